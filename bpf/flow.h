/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: which backend a connection has. What only knocked (FLOW_OPENING) and what has
 * ended gives way first, so that a flood of SYNs does not push out an established connection.
 */
#ifndef PLIMSOLL_FLOW_H
#define PLIMSOLL_FLOW_H

#include "bucket.h"
#include "maps.h"
#include "packet.h"

#define FLOW_MASK(bits) ((1ULL << (bits)) - 1)

_Static_assert(FLOW_FINGERPRINT_SHIFT == BUCKET_FINGERPRINT_SHIFT, "flow slot layout");

struct flow {
	struct bucket *bucket;
	__u64 *slot; /* NULL = unknown flow */
	__u64 value;
	__u64 fingerprint;
};

static __always_inline __u32 flow_tick(void)
{
	return bpf_ktime_get_coarse_ns() >> FLOW_TICK_SHIFT & FLOW_MASK(FLOW_TICK_BITS);
}

static __always_inline __u64 flow_value(__u64 fingerprint, __u32 backend, enum flow_state state,
					__u32 tick)
{
	return fingerprint | (__u64)backend << FLOW_BACKEND_SHIFT |
	       (__u64)state << FLOW_STATE_SHIFT | tick;
}

static __always_inline __u32 flow_backend(__u64 value)
{
	return value >> FLOW_BACKEND_SHIFT & FLOW_MASK(FLOW_BACKEND_BITS);
}

static __always_inline enum flow_state flow_state(__u64 value)
{
	return value >> FLOW_STATE_SHIFT & FLOW_MASK(FLOW_STATE_BITS);
}

static __always_inline void flow_find(__u64 hash, __u32 mask, struct flow *flow)
{
	__u32 index = hash & mask;

	flow->slot = 0;
	flow->value = 0;
	flow->fingerprint = bucket_fingerprint(hash);
	flow->bucket = bpf_map_lookup_elem(&flows, &index);
	if (flow->bucket)
		flow->slot = bucket_find(flow->bucket, flow->fingerprint, &flow->value);
}

/* The state after a packet of the client's. */
static __always_inline enum flow_state flow_next_state(enum flow_state state,
						       const struct tcphdr *tcp)
{
	if (tcp->fin || tcp->rst)
		return FLOW_CLOSING;
	if (tcp->syn)
		return state == FLOW_OPEN ? FLOW_OPEN : FLOW_OPENING;
	return state == FLOW_CLOSING ? FLOW_CLOSING : FLOW_OPEN;
}

/* Notes a packet of a known flow. Mostly nothing changes, and nothing is written. */
static __always_inline void flow_touch(const struct flow *flow, const struct tcphdr *tcp)
{
	__u64 value = flow_value(flow->fingerprint, flow_backend(flow->value),
				 flow_next_state(flow_state(flow->value), tcp), flow_tick());

	if (value != flow->value)
		bucket_exchange(flow->slot, flow->value, value);
}

/* How dear a slot is: the state counts first, then how recently it was used. */
static __always_inline __u32 flow_rank(__u64 value, __u32 tick)
{
	__u32 age = (tick - (__u32)value) & FLOW_MASK(FLOW_TICK_BITS);
	/* FREE < CLOSING < OPENING < OPEN */
	__u32 class = value == 0			? 0 :
		      flow_state(value) == FLOW_CLOSING ? 1 :
		      flow_state(value) == FLOW_OPENING ? 2 :
							  3;

	return class << FLOW_TICK_BITS | (FLOW_MASK(FLOW_TICK_BITS) - age);
}

/* Remembers a flow, at the expense of the least dear one where the bucket is full. */
static __always_inline void flow_insert(struct flow *flow, __u32 backend, enum flow_state state)
{
	__u32 tick = flow_tick();
	__u64 value = flow_value(flow->fingerprint, backend, state, tick);
	int try, i;

	if (flow->slot && bucket_exchange(flow->slot, flow->value, value))
		return;
	if (!flow->bucket)
		return;
	for (try = 0; try < BUCKET_TRIES; try++) {
		__u32 lowest = ~0U;
		__u64 victim = 0;
		__u32 index = 0;

		for (i = 0; i < BUCKET_SLOTS; i++) {
			__u64 seen = bucket_read(&flow->bucket->slot[i]);
			__u32 rank = flow_rank(seen, tick);

			if (rank < lowest) {
				lowest = rank;
				victim = seen;
				index = i;
			}
		}
		if (bucket_exchange(&flow->bucket->slot[index & (BUCKET_SLOTS - 1)], victim, value))
			return;
	}
}

#endif
