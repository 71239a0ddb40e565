/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs of the balancer share: a packet's way has a context, a beginning and an end. */
#ifndef PLIMSOLL_CONTEXT_H
#define PLIMSOLL_CONTEXT_H

#include "maps.h"
#include "packet.h"
#include "trace.h"

/*
 * Programs of their own for what seldom comes, to which a packet goes on by a tail call: the verifier
 * walks each for itself, and each has all of the stack.
 */
enum way { WAY_REPORT, WAY_FRAGMENT, WAY_ICMP, WAY_ECHO, WAY_TOO_BIG, WAY_UNREACHABLE, WAY_COUNT };

int report_way(struct xdp_md *xdp);
int fragment_way(struct xdp_md *xdp);
int icmp_way(struct xdp_md *xdp);
int echo_way(struct xdp_md *xdp);
int too_big_way(struct xdp_md *xdp);
int unreachable_way(struct xdp_md *xdp);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, WAY_COUNT);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} ways SEC(".maps") = {
	.values =
		{
			[WAY_REPORT] = (void *)&report_way,
			[WAY_FRAGMENT] = (void *)&fragment_way,
			[WAY_ICMP] = (void *)&icmp_way,
			[WAY_ECHO] = (void *)&echo_way,
			[WAY_TOO_BIG] = (void *)&too_big_way,
			[WAY_UNREACHABLE] = (void *)&unreachable_way,
		},
};

/* What a packet's way has found out so far. */
struct context {
	struct xdp_md *xdp;
	const struct settings *settings;
	struct packet packet;
	int action; /* enum xdp_action, for verdicts that send */
};

static __always_inline enum parse_result parse(struct context *context)
{
	void *data = (void *)(long)context->xdp->data;
	void *end = (void *)(long)context->xdp->data_end;

	return packet_parse(context->xdp, data, end, end - data, &context->packet);
}

static const int verdict_actions[] = {
#define PASS XDP_PASS
#define DROP XDP_DROP
#define SEND (-1)
#define VERDICT_ACTION(symbol, name, action, sentence) action,
	VERDICTS(VERDICT_ACTION)
#undef VERDICT_ACTION
#undef PASS
#undef DROP
};

/* Counts what became of the packet, and tells the kernel what to do with it. */
static __always_inline int finish(const struct context *context, enum verdict verdict)
{
	__u32 index = verdict;
	struct verdict_count *count = bpf_map_lookup_elem(&verdicts, &index);

	if (count)
		count->packets++;
	if (index >= VERDICT_COUNT || verdict_actions[index] != SEND)
		return index < VERDICT_COUNT ? verdict_actions[index] : XDP_ABORTED;
	return context->action;
}

/* The end of a program: the packet is told of, and counted. */
static __always_inline int way_end(const struct context *context, enum verdict verdict)
{
	if (traced(context->settings))
		trace_end(context->xdp, verdict);
	return finish(context, verdict);
}

/* The beginning of one that goes on with a packet. Not 0: it cannot. */
static __always_inline int way_begin(struct context *context, struct xdp_md *xdp)
{
	__u32 zero = 0;

	context->xdp = xdp;
	context->action = XDP_ABORTED;
	context->settings = bpf_map_lookup_elem(&settings, &zero);
	return !context->settings;
}

/* Does not come back, unless there is no such program. */
static __always_inline enum verdict go_way(const struct context *context, enum way way)
{
	bpf_tail_call(context->xdp, &ways, way);
	return VERDICT_NOT_OURS;
}

/* The steps of balancer.bpf.c to which a packet comes back from its detour. */
static __always_inline enum verdict serve(struct context *context, __u32 *index);
static __always_inline enum verdict forward_to(struct context *context, __u32 index,
					       const struct backend *backend, __u64 hash,
					       int is_new);

#endif
