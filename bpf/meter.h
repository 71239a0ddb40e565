/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The meter: which connections of a service are waiting for an answer, and for how long.
 *
 * A connection has a slot in the table only while it shakes hands or waits; an idle one costs
 * nothing. in_flight is the number of slots in METER_WAITING, changed only by who wins the exchange of
 * the slot: so it comes back to 0 whatever is reset, retransmitted, evicted or raced for.
 *
 * A slot is fingerprint (28 bits, see bucket.h) | state (4) | time of the last change, in us (32).
 */
#ifndef PLIMSOLL_METER_H
#define PLIMSOLL_METER_H

#include "bucket.h"
#include "hash.h"
#include "packet.h"
#include "server_maps.h"

/* The weight of a new sample in the moving average of the latency: 1/2^3. */
#define LATENCY_WEIGHT_SHIFT 3

enum meter_state {
	METER_NONE,
	METER_SYN, /* a SYN has come */
	METER_SYN_ACK, /* it has been answered */
	METER_WAITING, /* a request has come, no byte of the answer has left */
};

struct metered {
	struct bucket *bucket;
	__u64 *slot; /* NULL = neither shaking hands nor waiting */
	__u64 value;
	__u64 fingerprint;
};

static __always_inline enum meter_state meter_state(__u64 value)
{
	return value >> 32 & 0xF;
}

static __always_inline __u64 meter_value(__u64 fingerprint, enum meter_state state, __u32 time_us)
{
	return fingerprint | (__u64)state << 32 | time_us;
}

static __always_inline __u32 meter_now_us(void)
{
	return bpf_ktime_get_ns() / 1000;
}

/* client and service: as packets towards the server have them. */
static __always_inline void meter_find(__be32 client, __be16 client_port, __be32 service,
				       __be16 service_port, __u32 mask, struct metered *metered)
{
	__u64 hash = hash_flow(0, client, service, client_port, service_port, IPPROTO_TCP);
	__u32 index = hash & mask;

	metered->slot = 0;
	metered->value = 0;
	metered->fingerprint = bucket_fingerprint(hash);
	metered->bucket = bpf_map_lookup_elem(&meter, &index);
	if (metered->bucket)
		metered->slot = bucket_find(metered->bucket, metered->fingerprint, &metered->value);
}

/* Books the change of a slot from one value to another. */
static __always_inline void meter_book(struct metrics *metrics, __u64 from, __u64 to)
{
	int change = (meter_state(to) == METER_WAITING) - (meter_state(from) == METER_WAITING);

	if (change)
		__sync_fetch_and_add(&metrics->in_flight, change);
}

/* Exchanges the slot. Returns 1, or 0 if another CPU was faster: then it is as that one left it. */
static __always_inline int meter_set(struct metrics *metrics, const struct metered *metered,
				     __u64 value)
{
	if (!bucket_exchange(metered->slot, metered->value, value))
		return 0;
	meter_book(metrics, metered->value, value);
	return 1;
}

/* Free slots first, then handshakes, then those that wait longest. */
static __always_inline __u64 meter_rank(__u64 value, __u32 now_us)
{
	__u32 age = now_us - (__u32)value;

	if (!value)
		return 0;
	return (__u64)(meter_state(value) == METER_WAITING ? 2 : 1) << 32 | (~0U - age);
}

/* Takes a slot for a connection that has none. */
static __always_inline void meter_insert(struct metrics *metrics, const struct metered *metered,
					 enum meter_state state)
{
	__u32 now = meter_now_us();
	__u64 value = meter_value(metered->fingerprint, state, now);
	int try, i;

	if (!metered->bucket)
		return;
	for (try = 0; try < BUCKET_TRIES; try++) {
		__u64 lowest = ~0ULL, victim = 0;
		__u32 index = 0;

		for (i = 0; i < BUCKET_SLOTS; i++) {
			__u64 seen = bucket_read(&metered->bucket->slot[i]);
			__u64 rank = meter_rank(seen, now);

			if (rank < lowest) {
				lowest = rank;
				victim = seen;
				index = i;
			}
		}
		if (!bucket_exchange(&metered->bucket->slot[index & (BUCKET_SLOTS - 1)], victim,
				     value))
			continue;
		meter_book(metrics, victim, value);
		if (meter_state(victim) == METER_WAITING)
			__sync_fetch_and_add(&metrics->evicted, 1);
		return;
	}
}

/* Returns 1 if a new connection begins with it, not for its retransmission. */
static __always_inline int meter_syn(struct metrics *metrics, struct metered *metered)
{
	if (!metered->slot)
		meter_insert(metrics, metered, METER_SYN);
	else if (meter_state(metered->value) != METER_WAITING ||
		 !meter_set(metrics, metered,
			    meter_value(metered->fingerprint, METER_SYN, meter_now_us())))
		return 0;
	__sync_fetch_and_add(&metrics->connections, 1);
	return 1;
}

/* A packet of the client's. Returns 1 if a new connection begins with it. */
static __always_inline int meter_request(struct metrics *metrics, const struct packet *packet,
					 __u32 mask)
{
	const struct tcphdr *tcp = packet->tcp;
	struct metered metered;

	/* A bare ACK says nothing: most of the packets towards a server of large files. */
	if (!tcp->syn && !tcp->rst && !tcp->fin && !packet->payload_length)
		return 0;
	meter_find(packet->ip->saddr, tcp->source, packet->ip->daddr, tcp->dest, mask, &metered);
	if (tcp->syn)
		return meter_syn(metrics, &metered);
	if (tcp->rst || !packet->payload_length) {
		/* A client that has closed its side may still wait for the answer. */
		if (metered.slot && (tcp->rst || meter_state(metered.value) != METER_WAITING))
			meter_set(metrics, &metered, 0);
		return 0;
	}
	/* The time is that of the request's last byte. */
	if (!metered.slot)
		meter_insert(metrics, &metered, METER_WAITING);
	else
		meter_set(metrics, &metered,
			  meter_value(metered.fingerprint, METER_WAITING, meter_now_us()));
	return 0;
}

static __always_inline void meter_latency(struct metrics *metrics, __u32 since_us)
{
	__s64 sample = (__u32)(meter_now_us() - since_us);
	/* In 1/8 us, so that the average does not stick for want of bits. */
	__s64 average = metrics->latency_us_x8;

	metrics->latency_us_x8 = metrics->requests ?
					 average + sample - (average >> LATENCY_WEIGHT_SHIFT) :
					 sample << LATENCY_WEIGHT_SHIFT;
	__sync_fetch_and_add(&metrics->requests, 1);
}

/* A packet of the server's. Returns 1 if it is a SYN-ACK that had been sent before. */
static __always_inline int meter_response(struct metrics *metrics, const struct packet *packet,
					  __u32 mask)
{
	const struct tcphdr *tcp = packet->tcp;
	struct metered metered;

	if (!tcp->syn && !tcp->rst && !tcp->fin && !packet->payload_length)
		return 0;
	meter_find(packet->ip->daddr, tcp->dest, packet->ip->saddr, tcp->source, mask, &metered);
	if (tcp->rst)
		__sync_fetch_and_add(&metrics->resets, 1);
	if (!metered.slot)
		return tcp->syn;
	if (tcp->syn) {
		if (meter_state(metered.value) != METER_SYN)
			return 1;
		meter_set(metrics, &metered,
			  meter_value(metered.fingerprint, METER_SYN_ACK, meter_now_us()));
		return 0;
	}
	/* Answered, refused, or closed without an answer: in each case nobody waits any more. */
	if (meter_set(metrics, &metered, 0) && packet->payload_length &&
	    meter_state(metered.value) == METER_WAITING)
		meter_latency(metrics, (__u32)metered.value);
	return 0;
}

#endif
