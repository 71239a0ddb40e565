/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What seldom comes: fragments (RFC 791, 3128, 8200) and ICMP (RFC 792, 4443). */
#include "oracle_parts.h"

#include <string.h>

#define ICMP 8
#define QUOTED 8 /* of a transport's header */
#define OWN_TTL 64

static uint64_t mix(uint64_t sum, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum = (sum ^ bytes[i]) * 0x100000001B3;
	return sum;
}

static void malformed(const struct oracle_world *world, const struct parts *parts,
		      struct oracle_verdict *verdict)
{
	if (concerns_us(world, parts))
		end(verdict, OUTCOME_MALFORMED, EXIT_NOWHERE);
}

/* Goes over the fragment's own header in IPv6; says where it belongs, and whether it is the first. */
static bool begin_fragment(struct parts *parts, struct oracle_verdict *verdict)
{
	const uint8_t *header = parts->ip + parts->header;

	if (parts->family == 4) {
		verdict->packet =
			mix(mix(mix(0, &parts->protocol, 1), parts->source, 8), parts->ip + 4, 2);
		return !(get_16(parts->ip + 6) & 0x1FFF);
	}
	parts->header += 8;
	verdict->packet = mix(mix(0, parts->source, 32), header + 4, 4);
	return !(get_16(header + 2) & 0xFFF8);
}

void judge_fragment(const struct oracle_world *world, struct parts *parts,
		    struct oracle_verdict *verdict)
{
	const struct oracle_service *service;
	size_t least;
	bool first;

	if (!is_to_vip(world, parts))
		return;
	first = begin_fragment(parts, verdict);
	if (parts->link + parts->total > parts->length || parts->header >= parts->total) {
		malformed(world, parts, verdict);
		return;
	}
	if (!first) {
		verdict->piece = PIECE_LATER;
		if (concerns_us(world, parts))
			end(verdict, OUTCOME_FRAGMENT_UNKNOWN, EXIT_NOWHERE);
		return;
	}
	if (parts->family == 6 && is_extension(parts->protocol)) {
		uint8_t protocol = parts->protocol;

		if (follow_extensions(parts) != FOUND_ALL) {
			parts->protocol = protocol;
			malformed(world, parts, verdict);
			return;
		}
	}
	if (parts->protocol != PROTOCOL_TCP && parts->protocol != PROTOCOL_UDP)
		return;
	least = parts->protocol == PROTOCOL_TCP ? TCP : UDP;
	if (parts->header + least > parts->total) {
		malformed(world, parts, verdict);
		return;
	}
	parts->transport = parts->ip + parts->header;
	parts->source_port = get_16(parts->transport);
	parts->destination_port = get_16(parts->transport + 2);
	verdict->piece = PIECE_FIRST;
	service = find_service(world, parts->family, parts->destination, parts->protocol,
			       parts->destination_port);
	if (service)
		forward(parts, service, verdict);
}

/* A 16-bit word of a sum has changed: RFC 1624, equation 3. */
static void mend(uint8_t *checksum, uint16_t was, uint16_t is)
{
	uint32_t sum = (uint16_t)~get_16(checksum);

	sum += (uint16_t)~was;
	sum += is;
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	checksum[0] = (uint8_t)(~sum >> 8);
	checksum[1] = (uint8_t)~sum;
}

static void swap(uint8_t *a, uint8_t *b, size_t count)
{
	uint8_t kept[16];

	memcpy(kept, a, count);
	memcpy(a, b, count);
	memcpy(b, kept, count);
}

static void answer_echo(const struct parts *parts, struct oracle_verdict *verdict)
{
	uint8_t *ip = verdict->frame + parts->link, *icmp = ip + parts->header;
	uint16_t was = get_16(icmp);

	swap(verdict->frame, verdict->frame + 6, 6);
	icmp[0] = parts->family == 4 ? 0 : 129;
	mend(icmp + 2, was, get_16(icmp));
	if (parts->family == 4) {
		was = get_16(ip + 8);
		ip[8] = OWN_TTL;
		mend(ip + 10, was, get_16(ip + 8));
		swap(ip + 12, ip + 16, 4);
	} else {
		ip[7] = OWN_TTL;
		swap(ip + 8, ip + 24, 16);
	}
	end(verdict, OUTCOME_ECHO_ANSWERED, EXIT_BACK);
}

static bool is_error(const struct parts *parts, uint8_t type)
{
	if (parts->family == 4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

/* Takes apart what an error quotes. FOUND_OTHER_TRANSPORT: nothing that concerns a service. */
static enum found find_quoted(const struct parts *error, struct parts *quoted)
{
	size_t least = error->family == 4 ? IPV4 : IPV6;
	enum found found;

	*quoted = (struct parts){.frame = error->frame,
				 .length = error->length,
				 .link = error->link + error->header + ICMP,
				 .family = error->family};
	quoted->ip = error->frame + quoted->link;
	quoted->total = error->total - error->header - ICMP;
	if (quoted->total < least || quoted->ip[0] >> 4 != error->family)
		return FOUND_BROKEN;
	if (error->family == 4) {
		quoted->header = (quoted->ip[0] & 0xF) * 4U;
		quoted->protocol = quoted->ip[9];
		quoted->source = quoted->ip + 12;
		quoted->destination = quoted->ip + 16;
		if (quoted->header < IPV4)
			return FOUND_BROKEN;
		if (get_16(quoted->ip + 6) & 0x1FFF)
			return FOUND_OTHER_TRANSPORT;
	} else {
		quoted->header = IPV6;
		quoted->protocol = quoted->ip[6];
		quoted->source = quoted->ip + 8;
		quoted->destination = quoted->ip + 24;
		found = follow_extensions(quoted);
		if (found != FOUND_ALL)
			return found == FOUND_BROKEN ? FOUND_BROKEN : FOUND_OTHER_TRANSPORT;
	}
	if ((quoted->protocol != PROTOCOL_TCP && quoted->protocol != PROTOCOL_UDP) ||
	    memcmp(quoted->source, error->destination, error->family == 4 ? 4 : 16) != 0)
		return FOUND_OTHER_TRANSPORT;
	return quoted->header + QUOTED > quoted->total ? FOUND_BROKEN : FOUND_ALL;
}

/* Who has sent what is quoted gets to hear of it: the flow is that of its client. */
static void steer_error(const struct oracle_world *world, const struct parts *error,
			struct oracle_verdict *verdict)
{
	struct parts quoted;
	enum found found = find_quoted(error, &quoted);
	const uint8_t *client = quoted.destination;

	if (found == FOUND_BROKEN)
		end(verdict, OUTCOME_MALFORMED, EXIT_NOWHERE);
	if (found != FOUND_ALL)
		return;
	quoted.transport = quoted.ip + quoted.header;
	quoted.destination_port = get_16(quoted.transport);
	quoted.source_port = get_16(quoted.transport + 2);
	quoted.destination = quoted.source;
	quoted.source = client;
	verdict->service = find_service(world, quoted.family, quoted.destination, quoted.protocol,
					quoted.destination_port);
	if (!verdict->service)
		return;
	verdict->outcome = OUTCOME_ICMP_STEERED;
	name_flow(&quoted, verdict);
}

void judge_icmp(const struct oracle_world *world, struct parts *parts,
		struct oracle_verdict *verdict)
{
	const uint8_t *icmp = parts->ip + parts->header;

	if (!is_to_vip(world, parts))
		return;
	if (parts->link + parts->total > parts->length || parts->header + ICMP > parts->total) {
		end(verdict, OUTCOME_MALFORMED, EXIT_NOWHERE);
		return;
	}
	if (icmp[0] == (parts->family == 4 ? 8 : 128) && icmp[1] == 0) {
		if (world->answers_echo && parts->header == (parts->family == 4 ? IPV4 : IPV6))
			answer_echo(parts, verdict);
	} else if (is_error(parts, icmp[0])) {
		steer_error(world, parts, verdict);
	}
}
