/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a backend is chosen for a new flow. The candidates come from the service's ring, at several
 * hashes of the flow, so that they are a function of flow and ring alone. A policy is a pure
 * function: candidates in, index of the one taken out. It compiles for BPF and for user space.
 */
#ifndef PLIMSOLL_CHOOSE_H
#define PLIMSOLL_CHOOSE_H

#include "hash.h"
#include "shared.h"

/* Keeps the compiler from seeing that x is 0 or 1, and making a branch of it. */
#define OPAQUE(x) __asm__("" : "+r"(x))

/* What a policy sees of a candidate. */
struct candidate {
	__u32 backend;
	__u32 cost; /* of one connection, fixed point: small for a large weight */
	__u64 load; /* connections there and on the way, plus this one */
	__u64 known; /* 1, or 0 if the report is too old to go by */
};

/* Where in the ring the flow's choice-th candidate is. */
static inline __attribute__((always_inline)) __u32 choose_slot(__u64 hash, __u32 choice,
							       __u32 ring_size)
{
	/* The high half times the size: a modulus without a division. */
	return (__u32)((hash_mix(hash + choice) >> 32) * ring_size >> 32);
}

/*
 * Connections sent to a server that its latest report has not counted yet. What was sent and
 * never arrived is in connections_lost. Counters wrap.
 */
static inline __attribute__((always_inline)) __u32 load_pending(const struct load *load)
{
	__s32 pending =
		(__s32)(load->connections_sent - load->connections_seen - load->connections_lost);

	/* At least 0, without a branch. */
	return (__u32)pending * (1 - ((__u32)pending >> 31));
}

/*
 * 1 if the latest report is younger than stale_after_ns, otherwise 0. Times are of CLOCK_MONOTONIC,
 * and "never" is 0: long ago. Worked out without a branch, as all that happens per candidate is:
 * the verifier walks every path, and eight candidates would make 2^8.
 */
static inline __attribute__((always_inline)) __u64 load_known(const struct load *load, __u64 now_ns,
							      __u64 stale_after_ns)
{
	return (now_ns - load->received_ns - stale_after_ns) >> 63;
}

/*
 * power-of-choices: the candidate that costs least; of equal ones the first. An unknown one counts as
 * the mean of the known; if all are unknown, it is the first: the weighted hash.
 */
static inline __attribute__((always_inline)) __u32
choose_least(const struct candidate candidates[CHOICES_MAX], __u32 count)
{
	__u64 sum = 0, known = 0, mean, lowest = ~0ULL >> 1, best = 0;
	__u32 i;

	for (i = 0; i < CHOICES_MAX && i < count; i++) {
		sum += candidates[i].load * candidates[i].cost * candidates[i].known;
		known += candidates[i].known;
	}
	if (!known)
		return 0;
	mean = sum / known;
	for (i = 0; i < CHOICES_MAX && i < count; i++) {
		__u64 cost = candidates[i].load * candidates[i].cost;
		__u64 less; /* 1 or 0 */

		cost = mean + (cost - mean) * candidates[i].known;
		less = (cost - lowest) >> 63;
		OPAQUE(less);
		lowest += (cost - lowest) * less;
		best += (i - best) * less;
	}
	return (__u32)best;
}

#endif
