/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a backend is chosen for a new flow.
 *
 * A policy says where the candidates come from and what each is worth: a key, of which the lowest
 * wins. Keys are pure functions of one shape. A signal says what of a report is the load. Both stand in
 * one table each, from which the configuration, the data path and the simulator are made: a new one is
 * a row and a function here. Everything compiles for BPF and for user space.
 */
#ifndef PLIMSOLL_CHOOSE_H
#define PLIMSOLL_CHOOSE_H

#include "hash.h"
#include "shared.h"

#include "load_report.h"

#define CHOOSE_INLINE static inline __attribute__((always_inline, unused))

/* Where a policy's candidates come from. */
enum candidates {
	CANDIDATES_RING, /* the ring, at several hashes of the flow: a function of flow and ring */
	CANDIDATES_ALL, /* every backend of the service */
	CANDIDATES_HASH, /* one: the ring at the flow's first hash */
	CANDIDATES_RANDOM, /* one: anywhere in the ring */
	CANDIDATES_NEXT, /* one: the next slot of the ring's schedule */
};

/*
 * What a policy keeps in proportion to weight, so far as it can: requests in flight, or whatever the signal is
 * of. For auto weights, src/weighting.h.
 */
enum evens {
	EVENS_NOTHING,
	EVENS_LOAD,
	EVENS_REQUESTS,
};

#define POLICIES(X)                                                                                 \
	X(POWER_OF_CHOICES, "power-of-choices", CANDIDATES_RING, key_load, EVENS_LOAD,              \
	  "of `choices` candidates the least loaded")                                               \
	X(LEAST_LOADED, "least-loaded", CANDIDATES_ALL, key_load, EVENS_LOAD,                       \
	  "of all backends the least loaded")                                                       \
	X(PREQUAL, "prequal", CANDIDATES_RING, key_prequal, EVENS_REQUESTS,                         \
	  "of the candidates with few requests the fastest, else the one with the fewest requests") \
	X(WEIGHTED_RANDOM, "weighted-random", CANDIDATES_ALL, key_spare, EVENS_NOTHING,             \
	  "at random, in proportion to the capacity to spare")                                      \
	X(ROUND_ROBIN, "round-robin", CANDIDATES_NEXT, key_none, EVENS_NOTHING,                     \
	  "in turn, by weight")                                                                     \
	X(RANDOM, "random", CANDIDATES_RANDOM, key_none, EVENS_NOTHING, "at random, by weight")     \
	X(MAGLEV, "maglev", CANDIDATES_HASH, key_none, EVENS_NOTHING,                               \
	  "by the hash of the flow, by weight")

#define SIGNALS(X)                                                                                 \
	X(IN_FLIGHT, "in-flight", load_in_flight, "requests waiting for an answer")                \
	X(UTILISATION, "utilisation", load_utilisation, "CPU time of the host in use")             \
	X(LATENCY, "latency", load_latency, "time from request to answer")                         \
	X(ACCEPT_QUEUE, "accept-queue", load_accept_queue,                                         \
	  "connections the application has not taken")                                             \
	X(APPLICATION, "application", load_application, "what the application says of itself")     \
	X(WORST, "worst", load_worst, "the fullest of utilisation and accept queue")

enum policy {
#define POLICY_ENUM(symbol, name, candidates, key, evens, sentence) POLICY_##symbol,
	POLICIES(POLICY_ENUM)
#undef POLICY_ENUM
		POLICY_COUNT
};

enum signal {
#define SIGNAL_ENUM(symbol, name, load, sentence) SIGNAL_##symbol,
	SIGNALS(SIGNAL_ENUM)
#undef SIGNAL_ENUM
		SIGNAL_COUNT
};

/* What a policy sees of a candidate. */
struct candidate {
	__u32 cost; /* of one connection, fixed point: small for a large weight */
	__u32 pending; /* connections sent there and not counted by the report */
	__u32 in_flight; /* as reported */
	__u32 utilisation, accept_queue; /* 65535 = 1 */
	__u32 latency_us;
	__u32 application; /* the utilisation is the application's own */
	__u64 load; /* by the signal, the pending ones and this one included */
};

/* What is the same for all candidates of one choice. */
struct choosing {
	__u64 hash; /* of the flow */
	__u64 random;
	__u32 hot; /* prequal: so many requests are many, fixed point with HOT_BITS */
};

/* From the worst up: anything else is better. */
#define KEY_AVOIDED (~0ULL) /* has left this very flow without an answer */
#define KEY_SUSPECT (KEY_AVOIDED - 1) /* down, or does not answer: health.h */
#define KEY_DRAINING (KEY_SUSPECT - 1) /* asks for no new connections */
#define KEY_UNKNOWN (KEY_DRAINING - 1) /* no fresh report */
#define KEY_FULL (KEY_UNKNOWN - 1) /* its accept queue is, or it mostly resets: server_load.h */

/* More pending connections are as bad as these: keeps products of loads within 64 bits. */
#define PENDING_MAX 65535

/* ------------------------------------------------------------------- signals */

/* Requests there and on the way, and this one, at what one costs there. */
CHOOSE_INLINE __u64 load_in_flight(const struct candidate *candidate)
{
	return ((__u64)candidate->in_flight + candidate->pending + 1) * candidate->cost;
}

/* Whatever else it reports: it would look idle to all but those who count its requests. */
CHOOSE_INLINE int is_full(const struct candidate *candidate)
{
	return candidate->accept_queue == 65535;
}

/*
 * A measure of the whole server, as it will be with what is on the way: in proportion to its
 * requests. It says by itself how full the server is, so the weight has no part in it.
 */
CHOOSE_INLINE __u64 load_projected(const struct candidate *candidate, __u64 measure)
{
	__u64 requests = (__u64)candidate->in_flight + 1;

	if (is_full(candidate))
		return KEY_FULL;
	return (measure + 1) * (requests + candidate->pending) * 256 / requests;
}

CHOOSE_INLINE __u64 load_utilisation(const struct candidate *candidate)
{
	return load_projected(candidate, candidate->utilisation);
}

CHOOSE_INLINE __u64 load_latency(const struct candidate *candidate)
{
	return load_projected(candidate, candidate->latency_us);
}

CHOOSE_INLINE __u64 load_accept_queue(const struct candidate *candidate)
{
	return load_projected(candidate, candidate->accept_queue);
}

CHOOSE_INLINE __u64 load_application(const struct candidate *candidate)
{
	return candidate->application ? load_utilisation(candidate) : KEY_UNKNOWN;
}

CHOOSE_INLINE __u64 load_worst(const struct candidate *candidate)
{
	return load_projected(candidate, candidate->utilisation > candidate->accept_queue ?
						 candidate->utilisation :
						 candidate->accept_queue);
}

CHOOSE_INLINE __u64 load_by_signal(const struct candidate *candidate, enum signal signal)
{
	switch (signal) {
#define SIGNAL_CASE(symbol, name, load, sentence)                                                  \
	case SIGNAL_##symbol:                                                                      \
		return load(candidate);
		SIGNALS(SIGNAL_CASE)
#undef SIGNAL_CASE
	default:
		return KEY_UNKNOWN;
	}
}

/* ------------------------------------------------------------------ policies */

CHOOSE_INLINE __u64 key_load(const struct candidate *candidate, const struct choosing *choosing)
{
	(void)choosing;
	return candidate->load;
}

/*
 * Prequal's hot-cold lexicographic rule (Wydrowski et al., NSDI 2024): hot is who has more requests
 * than a high quantile of what has been seen; cold ones compete by latency, hot ones by requests.
 */
#define HOT_BITS 12
/* The paper's quantile, 2^-0.25, in 1/256. */
#define HOT_QUANTILE 215
#define KEY_HOT (1ULL << 62)

CHOOSE_INLINE __u64 key_prequal(const struct candidate *candidate, const struct choosing *choosing)
{
	__u64 requests = load_in_flight(candidate) >> (COST_BITS - HOT_BITS);

	/* Of few servers one with very many requests makes all others cold, and is so itself. */
	if (is_full(candidate))
		return KEY_FULL;
	return requests > choosing->hot ? KEY_HOT | requests : candidate->latency_us;
}

/*
 * Moves the estimate of the quantile by what a candidate shows: seldom up and far, or often down and
 * little. Steps are in proportion, so that it gets there soon from anywhere.
 */
CHOOSE_INLINE __u32 hot_update(__u32 hot, const struct candidate *candidate)
{
	__u64 requests = load_in_flight(candidate) >> (COST_BITS - HOT_BITS);
	__u64 step = (hot >> 5) + 16;
	__u64 up = hot + (step * HOT_QUANTILE >> 7);
	__u64 down = step * (256 - HOT_QUANTILE) >> 7;

	if (requests > hot)
		return up < ~0U ? (__u32)up : ~0U;
	return hot > down ? (__u32)(hot - down) : 0;
}

/*
 * -log2(u) for u of 64 random bits as a fraction, in 1/2^24. Between two powers it is a cubic with the
 * right slope at both, within 0.006: a straight line would cheat a light backend of a quarter of its share.
 */
#define LOG2_BITS 24
#define LOG2_A 7427190 /* 1 / ln 2 - 1 */
#define LOG2_B 2752177 /* 3 / (2 ln 2) - 2 */

CHOOSE_INLINE __u64 minus_log2(__u64 u)
{
	__u32 zeros = 0;
	__u64 part, rest;

	u |= 1;
	if (!(u >> 32)) {
		zeros += 32;
		u <<= 32;
	}
	if (!(u >> 48)) {
		zeros += 16;
		u <<= 16;
	}
	if (!(u >> 56)) {
		zeros += 8;
		u <<= 8;
	}
	if (!(u >> 60)) {
		zeros += 4;
		u <<= 4;
	}
	if (!(u >> 62)) {
		zeros += 2;
		u <<= 2;
	}
	if (!(u >> 63)) {
		zeros += 1;
		u <<= 1;
	}
	part = u << 1 >> (64 - LOG2_BITS);
	rest = (1ULL << LOG2_BITS) - part;
	rest = (part * rest >> LOG2_BITS) * (LOG2_A - (part * LOG2_B >> LOG2_BITS)) >> LOG2_BITS;
	return ((__u64)(zeros + 1) << LOG2_BITS) - part - rest;
}

/*
 * The lowest of -log(u)/w is w's owner with a probability in proportion to w (Efraimidis and
 * Spirakis 2006). w: the idle part of the server times its weight; a full one keeps a little.
 */
CHOOSE_INLINE __u64 key_spare(const struct candidate *candidate, const struct choosing *choosing)
{
	__u64 busy = load_worst(candidate) >> 8;
	__u64 spare = busy < 64000 ? 65536 - busy : 1536;

	/* As large as can be, so that among thousands of backends few keys are equal. */
	return (minus_log2(choosing->random) * candidate->cost << 5) / spare;
}

CHOOSE_INLINE __u64 key_none(const struct candidate *candidate, const struct choosing *choosing)
{
	(void)candidate;
	(void)choosing;
	return 0;
}

CHOOSE_INLINE __u64 key_by_policy(const struct candidate *candidate,
				  const struct choosing *choosing, enum policy policy)
{
	switch (policy) {
#define POLICY_CASE(symbol, name, candidates, key, evens, sentence)                                \
	case POLICY_##symbol:                                                                      \
		return key(candidate, choosing);
		POLICIES(POLICY_CASE)
#undef POLICY_CASE
	default:
		return KEY_UNKNOWN;
	}
}

CHOOSE_INLINE enum candidates candidates_of(enum policy policy)
{
	switch (policy) {
#define POLICY_CANDIDATES(symbol, name, candidates, key, evens, sentence)                          \
	case POLICY_##symbol:                                                                      \
		return candidates;
		POLICIES(POLICY_CANDIDATES)
#undef POLICY_CANDIDATES
	default:
		return CANDIDATES_HASH;
	}
}

CHOOSE_INLINE enum evens evened_by(enum policy policy)
{
	switch (policy) {
#define POLICY_EVENS(symbol, name, candidates, key, evens, sentence)                               \
	case POLICY_##symbol:                                                                      \
		return evens;
		POLICIES(POLICY_EVENS)
#undef POLICY_EVENS
	default:
		return EVENS_NOTHING;
	}
}

/* Does that keep requests in flight in proportion to weight, so far as it can? For the slow loop: src/weighting.h. */
CHOOSE_INLINE int is_proportional(enum policy policy, enum signal signal, __u32 choices)
{
	enum evens evens = evened_by(policy);

	if (candidates_of(policy) == CANDIDATES_RING && choices < 2)
		return 0;
	return evens == EVENS_REQUESTS || (evens == EVENS_LOAD && signal == SIGNAL_IN_FLIGHT);
}

/* ---------------------------------------------------------------- candidates */

/* Where in the ring the flow's choice-th candidate is. */
CHOOSE_INLINE __u32 choose_slot(__u64 hash, __u32 choice, __u32 ring_size)
{
	/* The high half times the size: a modulus without a division. */
	return (__u32)((hash_mix(hash + choice) >> 32) * ring_size >> 32);
}

/*
 * Connections sent to a server that its latest report has not counted yet. What was sent and
 * never arrived is in connections_lost. Counters wrap.
 */
CHOOSE_INLINE __u32 load_pending(const struct load *load)
{
	__s32 pending =
		(__s32)(load->connections_sent - load->connections_seen - load->connections_lost);

	return pending > 0 ? (__u32)pending : 0;
}

/* Is the latest report younger than stale_after_ns? Times are of CLOCK_MONOTONIC; 0 is never. */
CHOOSE_INLINE int load_known(const struct load *load, __u64 now_ns, __u64 stale_after_ns)
{
	/* A report may arrive on another CPU between our reading the clock and this. */
	return load->received_ns && (__s64)(now_ns - load->received_ns) < (__s64)stale_after_ns;
}

CHOOSE_INLINE void candidate_fill(struct candidate *candidate, const struct load *load, __u32 cost,
				  enum signal signal, int with_pending)
{
	__u32 pending = with_pending ? load_pending(load) : 0;
	__u64 latency = load_report_float_decode(load->latency);

	candidate->cost = cost;
	candidate->pending = pending < PENDING_MAX ? pending : PENDING_MAX;
	candidate->in_flight = load->in_flight;
	candidate->utilisation = load->utilisation;
	candidate->accept_queue = load->accept_queue;
	candidate->latency_us = latency < ~0U ? (__u32)latency : ~0U;
	candidate->application = load->flags & LOAD_REPORT_APPLICATION;
	candidate->load = load_by_signal(candidate, signal);
}

#endif
