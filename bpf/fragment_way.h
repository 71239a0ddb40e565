/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a fragment: the first one goes as a whole packet would, the others after it. */
#ifndef PLIMSOLL_FRAGMENT_WAY_H
#define PLIMSOLL_FRAGMENT_WAY_H

#include "context.h"
#include "fragment.h"
#include "service.h"

/* On with a later fragment, to where the first one went. */
static __always_inline enum verdict forward_later(struct context *context,
						  const struct fragment *fragment)
{
	__u32 index = fragment_find(fragment->hash);
	struct backend *backend;

	if (index == FRAGMENT_TO_HOST)
		return VERDICT_NOT_OURS;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (index != BACKEND_NONE && backend && backend->service)
		return forward_to(context, index, backend, fragment->hash, 0);
	return unparsable(&context->packet, VERDICT_FRAGMENT_UNKNOWN);
}

/* A fragment that may be for a VIP. */
static __always_inline enum verdict steer_fragment(struct context *context)
{
	struct packet *packet = &context->packet;
	struct fragment fragment = {};
	__u32 index = BACKEND_NONE;
	enum verdict verdict;

	if (parse(context) != PARSED_FRAGMENT || !vip_find(packet))
		return VERDICT_NOT_OURS;
	verdict = fragment_read(context->xdp, packet, context->settings->hash_seed, &fragment);
	if (!verdict && !fragment.is_first)
		return forward_later(context, &fragment);
	if (!verdict)
		verdict = fragment_read_ports(context->xdp, packet, &fragment);
	if (verdict)
		return verdict == VERDICT_MALFORMED ? unparsable(packet, verdict) : verdict;
	verdict = serve(context, &index);
	if (verdict == VERDICT_NOT_OURS)
		fragment_remember(fragment.hash, FRAGMENT_TO_HOST);
	if (verdict == VERDICT_FORWARDED)
		fragment_remember(fragment.hash, index);
	return verdict;
}

SEC("xdp")
int fragment_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, steer_fragment(&context));
}

#endif
