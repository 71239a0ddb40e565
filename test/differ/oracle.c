/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "oracle_parts.h"

#include <string.h>

/* doc/wire-format.md */
#define OPTION_TYPE 0x5E
#define OPTION_TYPE_IPV6 0x1E /* in a destination options header, behind six bytes of padding */
#define EXTENSION_DESTINATION 60
#define OPTION_OFFSET_IPV6 8
#define OPTION_MAGIC 0xB7
#define OPTION_VERSION 1
#define OPTION_PLAIN 24
#define OPTION_KEYED 32
#define FLAG_KEYED 8

uint16_t get_16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t get_32(const uint8_t *at)
{
	return (uint32_t)get_16(at) << 16 | get_16(at + 2);
}

uint16_t oracle_checksum(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}

bool oracle_is_newer(uint32_t sequence, uint32_t than)
{
	uint32_t ahead = sequence - than;

	return ahead > 0 && ahead < 0x80000000U;
}

static uint64_t turn(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

/* One round of SipHash, as its paper draws it: two halves that cross. */
static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turn(v[1], 13) ^ v[0];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] = turn(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = turn(v[1], 17) ^ v[2];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] = turn(v[2], 32);
}

static uint64_t little_endian(const uint8_t *at)
{
	uint64_t word = 0;

	for (int i = 7; i >= 0; i--)
		word = word << 8 | at[i];
	return word;
}

/* SipHash-2-4 of a message whose length is a multiple of 8. */
static uint64_t sip_hash(const uint8_t key[16], const uint8_t *message, size_t length)
{
	uint64_t k0 = little_endian(key), k1 = little_endian(key + 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			 k1 ^ 0x7465646279746573};
	uint64_t word;

	for (size_t i = 0; i <= length; i += 8) {
		word = i < length ? little_endian(message + i) : (uint64_t)length << 56;
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xFF;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t address_length(int family)
{
	return family == 4 ? 4 : 16;
}

void oracle_tag(const uint8_t key[16], const uint8_t option[24], int family, const uint8_t *source,
		const uint8_t *destination, uint8_t tag[8])
{
	size_t length = address_length(family);
	uint8_t message[56];
	uint64_t hash;

	memcpy(message, option, 24);
	memcpy(message + 24, source, length);
	memcpy(message + 24 + length, destination, length);
	hash = sip_hash(key, message, 24 + 2 * length);
	for (int i = 0; i < 8; i++)
		tag[i] = (uint8_t)(hash >> (56 - 8 * i));
}

const char *oracle_name(enum oracle_outcome outcome)
{
	static const char *const names[] = {
#define OUTCOME_NAME(symbol, name) name,
		OUTCOMES(OUTCOME_NAME)
#undef OUTCOME_NAME
	};

	return names[outcome];
}

static const struct oracle_port *port_of(const struct oracle_world *world, uint32_t ifindex)
{
	for (int i = 0; i < ORACLE_PORTS; i++)
		if (world->ports[i].ifindex == ifindex)
			return &world->ports[i];
	return NULL;
}

static enum oracle_exit exit_by(uint32_t out, uint32_t in)
{
	return out == in ? EXIT_BACK : EXIT_OTHER;
}

bool is_extension(uint8_t protocol)
{
	static const uint8_t extensions[] = {0, 43, EXTENSION_FRAGMENT, EXTENSION_AUTHENTICATION,
					     60};

	return memchr(extensions, protocol, sizeof(extensions));
}

/* Where IP begins, behind no more than two tags; 0 if it does not. */
static uint16_t find_ip(struct parts *parts)
{
	uint16_t type;

	if (parts->length < ETHERNET)
		return 0;
	type = get_16(parts->frame + 12);
	parts->link = ETHERNET;
	for (int tags = 0; type == ETHERTYPE_TAG || type == ETHERTYPE_SERVICE_TAG; tags++) {
		if (tags == TAGS_MAX || parts->length < parts->link + TAG)
			return 0;
		type = get_16(parts->frame + parts->link + 2);
		parts->link += TAG;
	}
	parts->ip = parts->frame + parts->link;
	return type;
}

/* Whether the lengths that the headers tell agree with each other and with the frame. */
static enum found find_transport(struct parts *parts)
{
	size_t room = parts->total - parts->header, least, header;

	if (parts->protocol != PROTOCOL_TCP && parts->protocol != PROTOCOL_UDP)
		return FOUND_OTHER_TRANSPORT;
	least = parts->protocol == PROTOCOL_TCP ? TCP : UDP;
	if (parts->link + parts->total > parts->length || parts->header + least > parts->total)
		return FOUND_BROKEN;
	parts->transport = parts->ip + parts->header;
	if (parts->protocol == PROTOCOL_TCP) {
		header = (parts->transport[12] >> 4) * 4U;
		if (header < TCP || header > room)
			return FOUND_BROKEN;
	} else if (get_16(parts->transport + 4) < UDP || get_16(parts->transport + 4) > room) {
		return FOUND_BROKEN;
	}
	parts->source_port = get_16(parts->transport);
	parts->destination_port = get_16(parts->transport + 2);
	return FOUND_ALL;
}

static enum found find_in_ipv4(struct parts *parts)
{
	if (parts->ip[0] >> 4 != 4 || (parts->ip[0] & 0xF) * 4 < IPV4)
		return FOUND_NOT_IP;
	parts->family = 4;
	parts->header = (parts->ip[0] & 0xF) * 4U;
	parts->total = get_16(parts->ip + 2);
	parts->protocol = parts->ip[9];
	parts->source = parts->ip + 12;
	parts->destination = parts->ip + 16;
	if (get_16(parts->ip + 6) & 0x3FFF) /* more fragments, or an offset */
		return FOUND_FRAGMENT;
	return find_transport(parts);
}

enum found follow_extensions(struct parts *parts)
{
	for (int i = 0; is_extension(parts->protocol); i++) {
		const uint8_t *header = parts->ip + parts->header;
		uint8_t kind = parts->protocol;

		if (i == EXTENSIONS_MAX || parts->link + parts->header + 8 > parts->length)
			return FOUND_BROKEN;
		parts->protocol = header[0];
		/* One that is all there is of its packet (RFC 6946) is none. */
		if (kind == EXTENSION_FRAGMENT && get_16(header + 2) & 0xFFF9)
			return FOUND_FRAGMENT;
		parts->header += kind == EXTENSION_FRAGMENT	  ? 8 :
				 kind == EXTENSION_AUTHENTICATION ? (header[1] + 2U) * 4 :
								    (header[1] + 1U) * 8;
	}
	return FOUND_ALL;
}

static enum found find_in_ipv6(struct parts *parts)
{
	enum found found;

	if (parts->length < parts->link + IPV6 || parts->ip[0] >> 4 != 6)
		return FOUND_NOT_IP;
	parts->family = 6;
	parts->header = IPV6;
	parts->total = IPV6 + get_16(parts->ip + 4);
	parts->protocol = parts->ip[6];
	parts->source = parts->ip + 8;
	parts->destination = parts->ip + 24;
	found = follow_extensions(parts);
	return found == FOUND_ALL ? find_transport(parts) : found;
}

static enum found find_parts(struct parts *parts)
{
	uint16_t type = find_ip(parts);

	if (!type || parts->length < parts->link + IPV4)
		return FOUND_NOT_IP;
	if (type == ETHERTYPE_IPV4)
		return find_in_ipv4(parts);
	return type == ETHERTYPE_IPV6 ? find_in_ipv6(parts) : FOUND_NOT_IP;
}

static bool is_at(const struct oracle_service *service, int family, const uint8_t *address)
{
	return service->family && service->family == family &&
	       !memcmp(service->address, address, family == 4 ? 4 : 16);
}

const struct oracle_service *find_service(const struct oracle_world *world, int family,
					  const uint8_t *address, uint8_t protocol, uint16_t port)
{
	const struct oracle_service *every = NULL;

	for (int i = 0; i < ORACLE_SERVICES; i++) {
		const struct oracle_service *service = &world->services[i];

		if (!is_at(service, family, address) || service->protocol != protocol)
			continue;
		if (service->port == port)
			return service;
		if (!service->port)
			every = service;
	}
	return every;
}

bool is_to_vip(const struct oracle_world *world, const struct parts *parts)
{
	for (int i = 0; i < ORACLE_SERVICES; i++)
		if (is_at(&world->services[i], parts->family, parts->destination))
			return true;
	return false;
}

/* Is what cannot be understood for one of our addresses, and maybe for a service there? */
bool concerns_us(const struct oracle_world *world, const struct parts *parts)
{
	for (int i = 0; i < ORACLE_SERVICES; i++)
		if (is_at(&world->services[i], parts->family, parts->destination) &&
		    (world->services[i].protocol == parts->protocol ||
		     (parts->family == 6 && is_extension(parts->protocol))))
			return true;
	return false;
}

void end(struct oracle_verdict *verdict, enum oracle_outcome outcome, enum oracle_exit exit)
{
	verdict->outcome = outcome;
	verdict->exit = exit;
}

/* Where an option of ours is; the first of its header, and that directly behind the base header. */
static const uint8_t *option_of(const struct parts *parts)
{
	return parts->ip + (parts->family == 4 ? IPV4 : IPV6 + OPTION_OFFSET_IPV6);
}

/* How much longer the headers are by such an option. */
static size_t room_of(const struct parts *parts, size_t length)
{
	return parts->family == 4 ? IPV4 + length : IPV6 + OPTION_OFFSET_IPV6 + length;
}

/* Is there an option that claims to be of our experiment? */
static bool bears_option(const struct parts *parts)
{
	const uint8_t *option = option_of(parts);

	if (parts->header < room_of(parts, OPTION_PLAIN) || option[2] != OPTION_MAGIC)
		return false;
	if (parts->family == 4)
		return option[0] == OPTION_TYPE;
	return parts->ip[6] == EXTENSION_DESTINATION && option[0] == OPTION_TYPE_IPV6;
}

/* Is the option what the document says, and the only one? RFC 8200 does not count its first two bytes. */
static bool option_is_right(const struct parts *parts)
{
	const uint8_t *option = option_of(parts);
	size_t length = option[3] & FLAG_KEYED ? OPTION_KEYED : OPTION_PLAIN;

	return option[3] >> 4 == OPTION_VERSION &&
	       option[1] == length - (parts->family == 4 ? 0 : 2) &&
	       parts->header == room_of(parts, length) &&
	       (parts->family == 6 || oracle_checksum(parts->ip, parts->header) == 0);
}

static void read_report(const uint8_t *option, struct oracle_report *report)
{
	report->flags = option[3] & 0xF;
	report->sequence = get_32(option + 8);
	report->in_flight = get_16(option + 12);
	report->utilisation = get_16(option + 14);
	report->latency = get_16(option + 16);
	report->accept_queue = get_16(option + 18);
	report->connections_seen = get_32(option + 20);
}

static int server_of(const struct oracle_world *world, const uint8_t *option)
{
	for (int i = 0; i < ORACLE_BACKENDS; i++)
		if (!memcmp(world->backends[i].id, option + 4, 4))
			return i;
	return -1;
}

/* The packet as it is without its options: lengths and the header's checksum mended. */
static void take_out_options(const struct parts *parts, struct oracle_verdict *verdict)
{
	size_t base = parts->family == 4 ? IPV4 : IPV6, options = parts->header - base;
	uint8_t *ip = verdict->frame + parts->link, *length = ip + (parts->family == 4 ? 2 : 4);
	size_t rest = get_16(length) - options, sum;

	memmove(ip + base, ip + parts->header, verdict->length - parts->link - parts->header);
	verdict->length -= options;
	length[0] = (uint8_t)(rest >> 8);
	length[1] = (uint8_t)rest;
	if (parts->family == 6) {
		ip[6] = parts->protocol;
		return;
	}
	ip[0] = 4 << 4 | IPV4 / 4;
	ip[10] = ip[11] = 0;
	sum = oracle_checksum(ip, IPV4);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

/* No host's: ours, and to all or any. Of IPv6 our services are at no interface of the world's. */
static bool is_no_host(const struct oracle_world *world, const struct oracle_network *network,
		       const uint8_t *client)
{
	static const uint8_t any_router[8];

	if (!memcmp(client, network->own, address_length(network->family)))
		return true;
	if (network->family == 6)
		return !memcmp(client + 8, any_router, 8);
	/* To Linux the network's own address is like any other. */
	if (client[3] == 255)
		return true;
	return !memcmp(client, world->services[0].address, 4);
}

/* The way to a client from here. */
static void send_to_client(const struct oracle_world *world, uint32_t ifindex, int family,
			   const uint8_t *client, size_t total, struct oracle_verdict *verdict)
{
	for (int i = 0; i < ORACLE_NETWORKS; i++) {
		const struct oracle_network *network = &world->networks[i];

		if (!network->ifindex || network->family != family ||
		    memcmp(network->own, client, family == 4 ? 3 : 8) != 0)
			continue;
		if (is_no_host(world, network, client) || total > network->mtu)
			break;
		for (int j = 0; j < ORACLE_NEIGHBOURS; j++) {
			const struct oracle_neighbour *neighbour = &world->neighbours[j];

			if (neighbour->family != family ||
			    memcmp(neighbour->address, client, address_length(family)) != 0)
				continue;
			memcpy(verdict->frame, neighbour->mac, 6);
			memcpy(verdict->frame + 6, port_of(world, neighbour->ifindex)->mac, 6);
			verdict->exit = exit_by(neighbour->ifindex, ifindex);
			return;
		}
		verdict->resolve_ifindex = network->ifindex;
		end(verdict, OUTCOME_REPORT_RESOLVING, EXIT_HOST);
		return;
	}
	end(verdict, OUTCOME_REPORT_NO_ROUTE, EXIT_NOWHERE);
}

static void receive_report(const struct oracle_world *world, uint32_t ifindex,
			   const struct parts *parts,
			   bool (*newer)(void *context, int server, uint32_t sequence),
			   void *context, struct oracle_verdict *verdict)
{
	size_t base = parts->family == 4 ? IPV4 : IPV6;
	const uint8_t *option = option_of(parts);
	uint8_t tag[8], client[16];

	verdict->exit = EXIT_NOWHERE;
	verdict->outcome = OUTCOME_REPORT_MALFORMED;
	if (!option_is_right(parts))
		return;
	verdict->outcome = OUTCOME_REPORT_UNKNOWN_SERVER;
	verdict->server = server_of(world, option);
	if (verdict->server < 0)
		return;
	verdict->outcome = OUTCOME_REPORT_WRONG_SOURCE;
	if (memcmp(parts->frame + 6, world->backends[verdict->server].mac, 6) != 0)
		return;
	verdict->outcome = OUTCOME_REPORT_UNKEYED;
	if (world->keyed && !(option[3] & FLAG_KEYED))
		return;
	verdict->outcome = OUTCOME_REPORT_WRONG_TAG;
	oracle_tag(world->key, option, parts->family, parts->source, parts->destination, tag);
	if (world->keyed && memcmp(tag, option + OPTION_PLAIN, sizeof(tag)) != 0)
		return;
	read_report(option, &verdict->report);
	verdict->outcome = newer(context, verdict->server, verdict->report.sequence) ?
				   OUTCOME_REPORT_TAKEN :
				   OUTCOME_REPORT_OLD;
	memcpy(client, parts->destination, address_length(parts->family));
	take_out_options(parts, verdict);
	send_to_client(world, ifindex, parts->family, client, parts->total + base - parts->header,
		       verdict);
}

/* RFC 791: each option but two says how long it is. */
static bool options_lead_on(const uint8_t *options, size_t length)
{
	size_t at = 0;

	while (at < length && options[at] != 0) {
		size_t size = options[at] == 1 ? 1 : at + 1 < length ? options[at + 1] : 0;

		if (size == 0 || (options[at] != 1 && size < 2))
			return false;
		at += size;
	}
	return at <= length;
}

void name_flow(const struct parts *parts, struct oracle_verdict *verdict)
{
	verdict->flow = (uint64_t)parts->source_port << 32 |
			(uint64_t)parts->destination_port << 8 | (uint64_t)parts->protocol << 1 |
			(parts->family == 6);
	verdict->flow *= 0x9E3779B97F4A7C15;
	for (int i = 0; i < (parts->family == 4 ? 4 : 16); i++) {
		verdict->flow = (verdict->flow ^ parts->source[i]) * 0x100000001B3;
		verdict->flow = (verdict->flow ^ parts->destination[i]) * 0x100000001B3;
	}
}

void forward(const struct parts *parts, const struct oracle_service *service,
	     struct oracle_verdict *verdict)
{
	size_t header = (parts->ip[0] & 0xF) * 4U;

	if (parts->family == 4 && !options_lead_on(parts->ip + IPV4, header - IPV4)) {
		end(verdict, OUTCOME_MALFORMED, EXIT_NOWHERE);
		return;
	}
	verdict->outcome = OUTCOME_FORWARDED;
	verdict->protocol = parts->protocol;
	verdict->tcp_flags = parts->protocol == PROTOCOL_TCP ? parts->transport[13] : 0;
	verdict->service = service;
	name_flow(parts, verdict);
}

void oracle_judge(const struct oracle_world *world, uint32_t ifindex, const uint8_t *frame,
		  size_t length, bool (*newer)(void *context, int server, uint32_t sequence),
		  void *context, struct oracle_verdict *verdict)
{
	const struct oracle_port *port = port_of(world, ifindex);
	const struct oracle_service *service;
	struct parts parts = {.frame = frame, .length = length};
	enum found found;

	memset(verdict, 0, offsetof(struct oracle_verdict, frame));
	verdict->server = -1;
	memcpy(verdict->frame, frame, length);
	verdict->length = length;
	end(verdict, OUTCOME_NOT_OURS, EXIT_HOST);

	found = find_parts(&parts);
	if (found == FOUND_NOT_IP || !port || memcmp(frame, port->mac, 6) != 0)
		return;
	verdict->link = parts.link;
	if (found == FOUND_FRAGMENT)
		judge_fragment(world, &parts, verdict);
	if (found == FOUND_OTHER_TRANSPORT && parts.protocol == (parts.family == 4 ? 1 : 58))
		judge_icmp(world, &parts, verdict);
	if (found == FOUND_BROKEN && concerns_us(world, &parts))
		end(verdict, OUTCOME_MALFORMED, EXIT_NOWHERE);
	if (found != FOUND_ALL)
		return;
	service = find_service(world, parts.family, parts.destination, parts.protocol,
			       parts.destination_port);
	if (service)
		forward(&parts, service, verdict);
	else if (bears_option(&parts) &&
		 find_service(world, parts.family, parts.source, parts.protocol, parts.source_port))
		receive_report(world, ifindex, &parts, newer, context, verdict);
}
