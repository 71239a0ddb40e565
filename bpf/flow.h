/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow table: which backend a connection has, and who gives way where there is no more room. */
#ifndef PLIMSOLL_FLOW_H
#define PLIMSOLL_FLOW_H

#include "bucket.h"
#include "coarse_clock.h"
#include "flow_slot.h"
#include "maps.h"

_Static_assert(FLOW_FINGERPRINT_SHIFT == BUCKET_FINGERPRINT_SHIFT, "flow slot layout");

struct flow {
	struct bucket *bucket;
	__u64 *slot; /* the flow's, or the one that it may take; NULL = none */
	__u64 value;
	__u64 fingerprint;
	__u64 now_ns;
	__u32 udp_timeout_ticks;
};

/* flow->slot: NULL = unknown flow. */
static __always_inline void flow_find(__u64 hash, const struct settings *settings,
				      struct flow *flow)
{
	/* The fingerprint is the hash's other half. */
	__u32 index = (hash & 0xFFFFFFFF) * settings->flow_buckets >> 32;

	flow->slot = 0;
	flow->value = 0;
	flow->fingerprint = bucket_fingerprint(hash);
	flow->now_ns = coarse_now_ns();
	flow->udp_timeout_ticks = settings->udp_timeout_ticks;
	flow->bucket = bpf_map_lookup_elem(&flows, &index);
	if (flow->bucket)
		flow->slot = bucket_find(flow->bucket, flow->fingerprint, &flow->value);
}

/* Is what the table has still the flow that this packet belongs to? */
static __always_inline int flow_goes_on(const struct flow *flow, int opens)
{
	if (!flow->slot || (opens && flow_state(flow->value) == FLOW_CLOSING))
		return 0;
	return !flow_timed_out(flow->value, flow->now_ns, flow->udp_timeout_ticks);
}

/* Notes a packet of a known flow. Mostly nothing changes, and nothing is written. */
static __always_inline void flow_touch(const struct flow *flow, enum flow_hint hint)
{
	__u64 value = flow_value(flow->fingerprint, flow_backend(flow->value),
				 flow_next_state(flow->value, hint, flow->now_ns), flow->now_ns);

	if (value != flow->value)
		bucket_exchange(flow->slot, flow->value, value);
}

static __always_inline void flow_count(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&flow_losses, &what);

	if (count)
		(*count)++;
}

/*
 * The slot of a bucket that gives way first, and its rank << FLOW_PLACE_BITS. Of its own for the
 * verifier, which would walk it again for every path that leads here.
 */
#define FLOW_PLACE_BITS 3
__noinline __u32 flow_least_dear(const struct bucket *bucket, __u64 now_ns, __u32 udp_timeout_ticks)
{
	__u32 lowest = ~0U, i;

	if (!bucket)
		return lowest;
	for (i = 0; i < BUCKET_SLOTS; i++) {
		__u32 rank = flow_rank(bucket_read(&bucket->slot[i]), now_ns, udp_timeout_ticks)
			     << FLOW_PLACE_BITS;

		if ((rank | i) < lowest)
			lowest = rank | i;
	}
	return lowest;
}

/*
 * Finds the slot that an unknown flow may take: its own old one, or the least dear. Returns whether
 * the flow is likely to be remembered until it is established.
 */
static __always_inline int flow_find_room(struct flow *flow)
{
	enum flow_class class;
	__u32 least;

	if (flow->slot || !flow->bucket)
		return flow->slot != 0;
	least = flow_least_dear(flow->bucket, flow->now_ns, flow->udp_timeout_ticks);
	class = flow_rank_class(least >> FLOW_PLACE_BITS);
	if (class < FLOW_CLASS_ESTABLISHED) {
		flow->slot = &flow->bucket->slot[least & (BUCKET_SLOTS - 1)];
		flow->value = bucket_read(flow->slot);
	}
	return class < FLOW_CLASS_FRESH;
}

/* Remembers a flow for which room has been looked for. */
static __always_inline void flow_insert(struct flow *flow, __u32 backend, enum flow_hint hint)
{
	__u64 value = flow_value(flow->fingerprint, backend, flow_next_state(0, hint, flow->now_ns),
				 flow->now_ns);
	int try;

	for (try = 0; try < BUCKET_TRIES && flow->slot; try++) {
		if (bucket_exchange(flow->slot, flow->value, value)) {
			if (flow->value >> FLOW_FINGERPRINT_SHIFT !=
				    value >> FLOW_FINGERPRINT_SHIFT &&
			    flow->value)
				flow_count(flow_state(flow->value));
			return;
		}
		flow->slot = 0;
		flow_find_room(flow);
	}
	if (flow->bucket)
		flow_count(FLOW_NO_ROOM);
}

#endif
