/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A slot of the meter, for the kernel and for the daemon that sweeps:
 *
 *   fingerprint (28 bits, see bucket.h) | state (3) | level (4) | time (29, in ticks of 2 us)
 *
 * The level is that of the in-flight when the request came (server_load.h). The time wraps after 18
 * minutes: what waits longer only looks younger.
 *
 * A connection's slot is in its bucket of the front or, if that had no room, in its bucket of the rest,
 * where nobody looks as long as nothing has spilled over (metrics.spilled). So a server with few
 * requests at a time lives in a few KB that stay in the cache, however large its table is: a
 * line of it that has to be fetched from memory costs more than all else that is done for a packet.
 */
#ifndef PLIMSOLL_METER_SLOT_H
#define PLIMSOLL_METER_SLOT_H

#include "hash.h"
#include "server_load.h"
#include "shared.h"

#define METER_PROTOCOL 6 /* IPPROTO_TCP, whose header is another for programs and for libc */
#define METER_TIME_BITS 29
#define METER_TIME_MASK ((1ULL << METER_TIME_BITS) - 1)
#define METER_LEVEL_SHIFT METER_TIME_BITS
#define METER_STATE_SHIFT 33
#define METER_FINGERPRINT_SHIFT 37 /* the lowest bit of a fingerprint is always set */
#define METER_TICKS(seconds) ((seconds) * (1000000000ULL >> LATENCY_TICK_SHIFT))

/* Two SYNs of one connection are never further apart: the kernel's last retry waits 64 s. */
#define METER_HANDSHAKE_TICKS METER_TICKS(65)

/* 8 KiB: room for a thousand at once, and for some hundred almost without spilling. */
#define METER_FRONT_BUCKETS 128

enum meter_state {
	METER_NONE,
	METER_SYN, /* a SYN has come */
	METER_SYN_DATA, /* one with a request in it; in place of level and time: what acknowledges it */
	METER_SYN_ACK, /* it has been answered, by a socket here */
	METER_COOKIE, /* it has been answered by nobody who is known here: by cookie, or elsewhere */
	METER_WAITING, /* a request has come, no byte of the answer has left */
	METER_ELSEWHERE, /* the same, but there is no socket for the connection here */
};

#define METER_INLINE static inline __attribute__((always_inline, unused))

/* client and service: as packets towards the server have them. */
METER_INLINE __u64 meter_hash(const struct ip_address *client, __be16 client_port,
			      const struct ip_address *service, __be16 service_port)
{
	return hash_ends(0, client, service, client_port, service_port, METER_PROTOCOL);
}

/* How many of so many buckets are the front. */
METER_INLINE __u32 meter_front(__u32 buckets)
{
	return buckets < METER_FRONT_BUCKETS ? buckets : METER_FRONT_BUCKETS;
}

/* The bucket in the front. The fingerprint is the hash's other half. */
METER_INLINE __u32 meter_bucket(__u64 hash, __u32 buckets)
{
	return (hash & 0xFFFFFFFF) * meter_front(buckets) >> 32;
}

/* The bucket in the rest; none, and not to be looked for, where all is front: then it is `buckets`. */
METER_INLINE __u32 meter_bucket_behind(__u64 hash, __u32 buckets)
{
	__u32 front = meter_front(buckets);

	return front + ((hash & 0xFFFFFFFF) * (buckets - front) >> 32);
}

/* Does the slot belong to the connection? */
METER_INLINE int meter_same(__u64 value, __u64 hash)
{
	return value >> METER_FINGERPRINT_SHIFT == hash >> METER_FINGERPRINT_SHIFT;
}

METER_INLINE __u64 meter_value(__u64 fingerprint, enum meter_state state, __u32 level, __u64 now_ns)
{
	return fingerprint | (__u64)state << METER_STATE_SHIFT | (__u64)level << METER_LEVEL_SHIFT |
	       (now_ns >> LATENCY_TICK_SHIFT & METER_TIME_MASK);
}

METER_INLINE __u64 meter_again(__u64 value, __u64 now_ns)
{
	return (value & ~METER_TIME_MASK) | (now_ns >> LATENCY_TICK_SHIFT & METER_TIME_MASK);
}

METER_INLINE enum meter_state meter_state(__u64 value)
{
	return value >> METER_STATE_SHIFT & 7;
}

METER_INLINE int meter_waits(__u64 value)
{
	return meter_state(value) >= METER_WAITING;
}

METER_INLINE __u32 meter_level(__u64 value)
{
	return value >> METER_LEVEL_SHIFT & (LATENCY_LEVELS - 1);
}

/* Clocks that are read at other times, or only to the kernel's tick, differ by less than 134 ms. */
#define METER_SLACK_TICKS (1 << 16)

/* Time since the last change, in ticks. */
METER_INLINE __u64 meter_age(__u64 value, __u64 now_ns)
{
	__u64 age = ((now_ns >> LATENCY_TICK_SHIFT) - value) & METER_TIME_MASK;

	/* Without a branch, of which the verifier would follow both ways for each slot of a bucket. */
	return age & ~(__u64)is_less(METER_TIME_MASK - METER_SLACK_TICKS, age);
}

/* A handshake of which nothing more can come. (One with data does not know its age.) */
METER_INLINE int meter_is_stale(__u64 value, __u64 now_ns)
{
	enum meter_state state = meter_state(value);

	return (state == METER_SYN || state == METER_SYN_ACK || state == METER_COOKIE) &&
	       meter_age(value, now_ns) > METER_HANDSHAKE_TICKS;
}

#endif
