/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of a response that bears a report: the report is believed or not, and cut out; the response goes
 * on to its client.
 */
#ifndef PLIMSOLL_REPORT_WAY_H
#define PLIMSOLL_REPORT_WAY_H

#include "carrier.h"
#include "checksum.h"
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

	if (!load_update(load, &received->report, bpf_ktime_get_ns()))
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

/*
 * What becomes of a packet that may bear a report: its verdict, and if it is to go on to its client,
 * what the option takes << VERDICT_BITS. Of its own for the verifier, and so that the stack is used
 * only where it is needed. outer_length: of the IP header that the packet is behind, if it is.
 */
__noinline int report_way(struct xdp_md *xdp, __u32 link_header_length, __u32 outer_length)
{
	struct received_report received;
	enum parse_result parsed;
	struct context context;
	enum verdict verdict;
	__u32 zero = 0;

	context.xdp = xdp;
	context.settings = bpf_map_lookup_elem(&settings, &zero);
	if (!context.settings)
		return VERDICT_NOT_OURS;
	parsed = outer_length ?
			 parse_inner(&context, (link_header_length + outer_length) & OUTER_MASK) :
			 parse(&context);
	if (!is_parsed(parsed))
		return VERDICT_NOT_OURS;
	turn_round(&context.packet);
	if (!report_present(&context.packet, (void *)(long)xdp->data_end, &received) ||
	    !service_find(context.settings, &context.packet.to))
		return VERDICT_NOT_OURS;
	verdict = receive_report(&context, &received, outer_length);
	if (verdict != VERDICT_REPORT_TAKEN && verdict != VERDICT_REPORT_OLD)
		return verdict;
	return verdict | report_room(&context.packet, &received) << VERDICT_BITS;
}

static __always_inline enum verdict report(struct context *context, __u32 outer_length)
{
	__u32 link_header_length = context->packet.link_header_length;
	int way = report_way(context->xdp, link_header_length, outer_length);
	int sent;

	if (!(way >> VERDICT_BITS))
		return way;
	sent = carrier_go_on(context->xdp, link_header_length, outer_length, way >> VERDICT_BITS);
	if (!(sent >> VERDICT_BITS))
		return sent;
	context->action = sent >> VERDICT_BITS;
	return way & ((1 << VERDICT_BITS) - 1);
}

/* Servers behind routers send their reports inside packets to us. */
static __always_inline int may_bear_packet(const struct packet *packet)
{
	return (packet->to.protocol == IPPROTO_IPIP || packet->to.protocol == IPPROTO_IPV6) &&
	       packet->ip_header_length <= OUTER_LENGTH_MAX;
}

#endif
