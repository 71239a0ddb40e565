/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Receipt of reports: is the option ours, is it to be believed, what does it say. What becomes of
 * the packet is report_way.h's.
 */
#ifndef PLIMSOLL_REPORT_H
#define PLIMSOLL_REPORT_H

#include "load_update.h"
#include "maps.h"
#include "packet.h"

#include "load_report.h"

struct received_report {
	struct load_report_option option;
	struct load_report report;
	enum load_report_error error;
	int by_old_key;
};

/* In IPv6: the extension header that an option of ours is in, up to the option. */
struct report_header {
	__u8 next_header;
	__u8 length; /* in units of 8 bytes, the first not counted */
	__u8 pad[6]; /* PadN */
};

_Static_assert(sizeof(struct report_header) == LOAD_REPORT_OFFSET_IPV6, "where the option begins");

/* Without options or extension headers as long as that, or longer, there is none of ours. */
static __always_inline int report_has_room(const struct packet *packet)
{
	if (packet->version == 4)
		return packet->ip_header_length >= sizeof(*packet->ip) + LOAD_REPORT_LENGTH;
	return packet->ip_header_length >=
	       sizeof(*packet->ip6) + sizeof(struct report_header) + LOAD_REPORT_LENGTH;
}

/* How many bytes longer the packet is by the report, whose option has been read. */
static __always_inline __u32 report_room(const struct packet *packet,
					 const struct received_report *received)
{
	return received->option.length + (packet->version == 4 ? 0 : sizeof(struct report_header));
}

/* Where an option of ours would be; NULL if there is no room for one. */
static __always_inline struct load_report_option *report_place(const struct packet *packet)
{
	const struct report_header *header = (void *)(packet->ip6 + 1);

	if (!report_has_room(packet))
		return 0;
	if (packet->version == 4)
		return (void *)(packet->ip + 1);
	return (void *)(header + 1);
}

/* Servers add the option only where there is no other. */
static __always_inline int report_is_alone(const struct packet *packet,
					   const struct received_report *received)
{
	__u32 base = packet->version == 4 ? sizeof(*packet->ip) : sizeof(*packet->ip6);

	return packet->ip_header_length == base + report_room(packet, received);
}

/* Is there an option of ours directly behind the base header? Then it is read into *received. */
static __always_inline int report_present(const struct packet *packet, void *end,
					  struct received_report *received)
{
	struct load_report_option *option = report_place(packet);

	if (!option || (void *)option + LOAD_REPORT_LENGTH > end)
		return 0;
	*received = (struct received_report){};
	__builtin_memcpy(&received->option, option, LOAD_REPORT_LENGTH);
	if (packet->version != 4) {
		if (packet->ip6->nexthdr != IPPROTO_DSTOPTS)
			return 0;
		load_report_from_ipv6(&received->option);
	}
	received->error = load_report_decode(&received->option, &received->report);
	if (received->error == LOAD_REPORT_NOT_OURS)
		return 0;
	if (received->error == LOAD_REPORT_OK && !report_is_alone(packet, received))
		received->error = LOAD_REPORT_BAD_LENGTH;
	if (received->error == LOAD_REPORT_OK && received->report.flags & LOAD_REPORT_KEYED) {
		if ((void *)(option + 1) > end) {
			received->error = LOAD_REPORT_BAD_LENGTH;
			return 1;
		}
		received->option.tag = option->tag;
	}
	return 1;
}

/* Of its own for the stack: the tag that an option of a packet between these two would have. */
__noinline __u64 report_tag(const struct load_report_option *option,
			    const struct ip_address *source, const struct ip_address *destination,
			    int old)
{
	struct load_report_option of_ipv6;
	struct load_report_key key;
	const struct settings *current;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	if (!current || !option || !source || !destination)
		return 0;
	key.word[0] = old ? current->old_report_key[0] : current->report_key[0];
	key.word[1] = old ? current->old_report_key[1] : current->report_key[1];
	if (ip_address_is_ipv4(source))
		return load_report_tag_ipv4(option, &key, source->word[3], destination->word[3]);
	of_ipv6 = *option;
	load_report_to_ipv6(&of_ipv6);
	return load_report_tag_ipv6(&of_ipv6, &key, source, destination);
}

/* Of its own for the stack: does a packet in which another one is come from that server? */
__noinline int outer_source_is(struct xdp_md *xdp, __u32 at, const struct server *server)
{
	struct ip_address source = {{0, 0, bpf_htonl(0xFFFF), 0}};
	__u8 version;

	if (!server || !server->tunnelled || bpf_xdp_load_bytes(xdp, at, &version, sizeof(version)))
		return 0;
	if (version >> 4 == 4 ? bpf_xdp_load_bytes(xdp, at + offsetof(struct iphdr, saddr),
						   &source.word[3], sizeof(source.word[3])) :
				bpf_xdp_load_bytes(xdp, at + offsetof(struct ipv6hdr, saddr),
						   &source, sizeof(source)))
		return 0;
	return ip_address_equal(&source, &server->address);
}

/* The packet has been turned round. */
static __always_inline int report_proved(const struct packet *packet,
					 const struct received_report *received, int old)
{
	return received->option.tag ==
	       report_tag(&received->option, &packet->to.address, &packet->source, old);
}

/* VERDICT_NONE if who has written the report knows the key, or the old one. */
static __always_inline enum verdict report_verify(const struct packet *packet,
						  struct received_report *received,
						  const struct settings *settings)
{
	if (!settings->keyed)
		return VERDICT_NONE;
	if (!(received->report.flags & LOAD_REPORT_KEYED))
		return VERDICT_REPORT_UNKEYED;
	if (report_proved(packet, received, 0))
		return VERDICT_NONE;
	if (!settings->old_keyed || !report_proved(packet, received, 1))
		return VERDICT_REPORT_WRONG_TAG;
	received->by_old_key = 1;
	return VERDICT_NONE;
}

#endif
