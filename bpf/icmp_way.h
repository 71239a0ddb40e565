/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of ICMP to a VIP: errors go to the backend that they are about, echo requests are answered. */
#ifndef PLIMSOLL_ICMP_WAY_H
#define PLIMSOLL_ICMP_WAY_H

#include "context.h"
#include "flow.h"
#include "icmp.h"
#include "select.h"
#include "service.h"

/* The backend of a flow, if it is known. */
__noinline __u32 flow_recall(__u64 hash)
{
	const struct settings *current;
	struct flow flow;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	if (!current)
		return BACKEND_NONE;
	flow_find(hash, current, &flow);
	return flow.slot ? flow_backend(flow.value) : BACKEND_NONE;
}

/* An error about a packet of a service: to the backend that has sent that packet. */
static __always_inline enum verdict steer_error(struct context *context)
{
	struct packet *packet = &context->packet;
	enum verdict verdict = packet_become_quoted(context->xdp, packet);
	const struct service *service;
	struct backend *backend;
	__u32 index;
	__u64 hash;

	if (verdict)
		return verdict;
	service = service_find(context->settings, &packet->to);
	if (!service)
		return VERDICT_NOT_OURS;
	hash = packet_hash(packet, context->settings->hash_seed);
	index = flow_recall(hash);
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend || backend->service != service->id) {
		index = select_backend(service, hash, 0, BACKEND_NONE, 0);
		backend = bpf_map_lookup_elem(&backends, &index);
	}
	if (traced(context->settings))
		trace_flow(service->id, index, 0);
	if (index == BACKEND_NONE || !backend)
		return VERDICT_NO_BACKEND;
	verdict = forward_to(context, index, backend, hash, 0);
	return verdict == VERDICT_FORWARDED ? VERDICT_ICMP_STEERED : verdict;
}

static __always_inline enum verdict answer_echo(struct context *context)
{
	struct packet *packet = &context->packet;

	/* Options and extension headers may want to be answered in their own way. */
	if (!context->settings->answers_echo || parse(context) != PARSED_OTHER ||
	    has_more_headers(packet) || echo_turn(context->xdp, packet))
		return VERDICT_NOT_OURS;
	context->action = XDP_TX;
	return VERDICT_ECHO_ANSWERED;
}

SEC("xdp")
int echo_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, answer_echo(&context));
}

/* An ICMP message that may be for a VIP. */
static __always_inline enum verdict take_icmp(struct context *context)
{
	struct packet *packet = &context->packet;
	struct icmp_header icmp;

	if (parse(context) != PARSED_OTHER || !vip_find(packet))
		return VERDICT_NOT_OURS;
	if (!packet_is_whole(context->xdp, packet) ||
	    packet->length < packet->ip_header_length + sizeof(icmp) ||
	    packet_load(context->xdp, packet->link_header_length + packet->ip_header_length, &icmp,
			sizeof(icmp)))
		return VERDICT_MALFORMED;
	if (is_echo_request(packet, &icmp))
		return go_way(context, WAY_ECHO);
	if (is_icmp_error(packet, &icmp))
		return steer_error(context);
	return VERDICT_NOT_OURS;
}

SEC("xdp")
int icmp_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, take_icmp(&context));
}

#endif
