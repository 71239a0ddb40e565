/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of a packet that fits no longer once it has an outer header: its client is told. */
#ifndef PLIMSOLL_TOO_BIG_WAY_H
#define PLIMSOLL_TOO_BIG_WAY_H

#include "context.h"
#include "too_big.h"

/* Its client is told of a packet that is too big. */
static __always_inline enum verdict tell_too_big(struct context *context)
{
	struct icmp_errors *errors = icmp_errors_here();

	if (!errors || !may_be_told_of(&context->packet, parse(context)) ||
	    !error_allowed(errors) || error_make(context->xdp, &context->packet, errors->mtu))
		return VERDICT_TOO_BIG;
	context->action = XDP_TX;
	return VERDICT_TOO_BIG_TOLD;
}

SEC("xdp")
int too_big_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, tell_too_big(&context));
}

#endif
