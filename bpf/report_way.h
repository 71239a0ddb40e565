/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of a response that bears a report: the report is believed or not, and cut out; the response goes
 * on to its client.
 */
#ifndef PLIMSOLL_REPORT_WAY_H
#define PLIMSOLL_REPORT_WAY_H

#include "carrier.h"
#include "checksum.h"
#include "coarse_clock.h"
#include "context.h"
#include "evidence.h"
#include "load_update.h"
#include "report.h"
#include "service.h"

static __always_inline void count_old_key(__u32 server)
{
	__u64 *count = bpf_map_lookup_elem(&old_key_reports, &server);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Does the packet refuse a connection, as a host does where nobody listens (RFC 9293, 3.10.7.1)? */
static __always_inline int refuses(const struct packet *packet)
{
	return (packet->tcp_flags & (TCP_BIT_RST | TCP_BIT_ACK)) == (TCP_BIT_RST | TCP_BIT_ACK) &&
	       !packet->tcp->seq;
}

/* A response that bears a report. */
static __always_inline enum verdict
receive_report(struct context *context, struct received_report *received, __u32 outer_length)
{
	__be32 id = received->report.server_id;
	struct server *server;
	enum verdict verdict;
	struct load *load;
	__u32 index;

	if (traced(context->settings))
		trace_report(received);
	if (received->error || (context->packet.version == 4 &&
				option_checksum(context->packet.ip, &received->option) != 0xFFFF))
		return VERDICT_REPORT_MALFORMED;
	server = bpf_map_lookup_elem(&servers, &id);
	if (!server)
		return VERDICT_REPORT_UNKNOWN_SERVER;
	if (!(outer_length ?
		      outer_source_is(context->xdp,
				      context->packet.link_header_length - outer_length, server) :
		      server->mac_known && mac_equal(context->packet.eth->h_source, server->mac)))
		return VERDICT_REPORT_WRONG_SOURCE;
	verdict = report_verify(&context->packet, received, context->settings);
	if (verdict)
		return verdict;
	index = server->index;
	load = bpf_map_lookup_elem(&loads, &index);
	if (!load)
		return VERDICT_REPORT_UNKNOWN_SERVER;

	if (!load_update(load, &received->report, coarse_now_ns()))
		return VERDICT_REPORT_OLD;
	if (received->by_old_key)
		count_old_key(index);
	if (refuses(&context->packet))
		note_refused(packet_hash(&context->packet, context->settings->hash_seed),
			     hash_vip(&context->packet.to.address, context->packet.to.port,
				      context->packet.to.protocol),
			     index);
	return VERDICT_REPORT_TAKEN;
}

/*
 * The packet inside another one, as if it began behind an Ethernet header that reaches as far as that.
 * Neither the inner packet's ends nor its report say whom it comes from, but the outer source.
 */
static __always_inline enum parse_result parse_inner(struct context *context, __u32 offset)
{
	void *data = (void *)(long)context->xdp->data;
	void *end = (void *)(long)context->xdp->data_end;
	struct packet *packet = &context->packet;
	__u32 length = end - data;

	/* A number, not a difference of pointers that clang may take apart again. */
	asm volatile("" : "+r"(length));
	asm volatile("" : : "r"(packet) : "memory");
	if (data + sizeof(struct ethhdr) > end || !parse_link(packet, data, end, offset))
		return PARSED_NOT_IP;
	return packet->ip->version == 4 ? parse_ipv4(packet, end, length) :
					  parse_ipv6(context->xdp, packet, end, length);
}

/* It comes from a service, as a request would go there. */
static __always_inline void turn_round(struct packet *packet)
{
	struct ip_address client = packet->to.address;
	__be16 client_port = packet->to.port;

	packet->to.address = packet->source;
	packet->to.port = packet->source_port;
	packet->source = client;
	packet->source_port = client_port;
}

/* Servers behind routers send their reports inside packets to us. */
static __always_inline int may_bear_packet(const struct packet *packet)
{
	return (packet->to.protocol == IPPROTO_IPIP || packet->to.protocol == IPPROTO_IPV6) &&
	       packet->ip_header_length <= OUTER_LENGTH_MAX;
}

/* How long the IP header is that the packet is behind. */
static __always_inline __u32 length_of_outer(enum parse_result parsed, const struct packet *packet)
{
	return parsed == PARSED_OTHER && may_bear_packet(packet) ? packet->ip_header_length : 0;
}

/* The packet's report, if there is one, is read. 0: it is none of ours. */
static __always_inline int find_report(struct context *context, struct received_report *received,
				       __u32 *outer_length)
{
	enum parse_result parsed = parse(context);

	*outer_length = length_of_outer(parsed, &context->packet);
	if (*outer_length)
		parsed = parse_inner(context, (context->packet.link_header_length + *outer_length) &
						      OUTER_MASK);
	if (!is_parsed(parsed))
		return 0;
	turn_round(&context->packet);
	return report_present(&context->packet, (void *)(long)context->xdp->data_end, received) &&
	       service_find(context->settings, &context->packet.to);
}

/* A packet that may bear a report: what the report says is noted, and the rest goes on to its client. */
static __always_inline enum verdict take_report(struct context *context)
{
	struct received_report received;
	__u32 outer_length, link_header_length;
	enum verdict verdict;
	int sent;

	if (!find_report(context, &received, &outer_length))
		return VERDICT_NOT_OURS;
	verdict = receive_report(context, &received, outer_length);
	if (verdict != VERDICT_REPORT_TAKEN && verdict != VERDICT_REPORT_OLD)
		return verdict;
	link_header_length = context->packet.link_header_length - outer_length;
	sent = carrier_go_on(context->xdp, link_header_length, outer_length,
			     report_room(&context->packet, &received));
	if (!(sent >> VERDICT_BITS))
		return sent;
	context->action = sent >> VERDICT_BITS;
	return verdict;
}

SEC("xdp")
int report_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, take_report(&context));
}

#endif
