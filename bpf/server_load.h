/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a server's counters come to when somebody wants to know: the same functions for the report in
 * a packet, the answer to a poll, and `plimsoll show`. Nothing here needs a lock: each word is read and
 * written whole, and a sample that is lost to another CPU does no harm.
 *
 * latency: medians of the answers' latencies, one for each power of two of the in-flight that the
 * request met on its arrival; what is told is the one nearest to the in-flight of now (Prequal, NSDI 2024).
 *
 * penalty: a server that resets connections at once would look idle and draw everything. Each
 * reset counts as if it were a request for a while, which halves every 100 ms. By what else is measured it
 * would look idle still: if it mostly resets, its accept queue is told to be full.
 */
#ifndef PLIMSOLL_SERVER_LOAD_H
#define PLIMSOLL_SERVER_LOAD_H

#include "shared.h"

#include "load_report.h"

/* Latencies are measured in ticks of 2^11 ns. */
#define LATENCY_TICK_SHIFT 11
#define LATENCY_TICK_NS (1 << LATENCY_TICK_SHIFT)

/*
 * A level: median (32 bits, in 1/16 tick) | trend (8) | time of the last sample (24, in 2^27 ns).
 * The median steps up or down by each sample: by 1/256 as long as it goes now up, now down, and in
 * longer steps, up to 1/8, the longer the samples keep to one side. Of exponentially distributed
 * latencies it is 2 % below the true median in the mean, and strays by 10 %; five times slower ones
 * are found out in about 80 samples.
 */
#define LATENCY_FRACTION_SHIFT 4
#define LATENCY_TIME_SHIFT 27
#define LATENCY_TIME_MASK 0xFFFFFFU
#define LATENCY_TREND_UP 0x80
#define LATENCY_STEP_SHIFT 8
#define LATENCY_RUN_FREE 4 /* samples on one side that do not make the steps longer */
#define LATENCY_RUN_MAX 9 /* steps grow to 2^-(8 - (9 - 4)) */
/* A level that has not been visited for so long speaks only if there is no other: 69 s. */
#define LATENCY_FRESH 512

/* The penalty: time (32 bits, in 2^20 ns) | what it was then (32, in 1/4096 request). */
#define PENALTY_TIME_SHIFT 20
#define PENALTY_ONE_SHIFT 12
#define PENALTY_HALF_LIFE 96 /* 101 ms */
#define PENALTY_MEAN_US 145000 /* so long a reset counts in all: half-life / ln 2 */
#define PENALTY_MOST 64

#define SERVER_LOAD_INLINE static inline __attribute__((always_inline, unused))

/* The level of a request that makes it so many in flight, itself included. */
SERVER_LOAD_INLINE __u32 latency_level(__s64 in_flight)
{
	__u32 rest = in_flight > 0xFFFF ? 0xFFFF : in_flight < 1 ? 1 : (__u32)in_flight;
	__u32 level = 0;

	if (rest >> 8) {
		level = 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		level += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		level += 2;
		rest >>= 2;
	}
	return level + (rest >> 1);
}

SERVER_LOAD_INLINE __u64 latency_word(__u64 median, __u32 trend, __u64 now_ns)
{
	return median << 32 | (__u64)trend << 24 |
	       (now_ns >> LATENCY_TIME_SHIFT & LATENCY_TIME_MASK);
}

/* A level after one more sample. */
SERVER_LOAD_INLINE __u64 latency_learn(__u64 level, __u64 ticks, __u64 now_ns)
{
	__u64 sample = ticks << LATENCY_FRACTION_SHIFT;
	__u64 median = level >> 32;
	__u32 trend = level >> 24 & 0xFF;
	__u32 run = trend & ~LATENCY_TREND_UP;
	__u32 side = sample >= median ? LATENCY_TREND_UP : 0;
	__u64 step;

	if (sample > 0xFFFFFFFF)
		sample = 0xFFFFFFFF;
	if (!median)
		return latency_word(sample ? sample : 1, 0, now_ns);
	if (side != (trend & LATENCY_TREND_UP))
		run = 0;
	else if (run < LATENCY_RUN_MAX)
		run++;
	step = median >> (run > LATENCY_RUN_FREE ? LATENCY_STEP_SHIFT + LATENCY_RUN_FREE - run :
						   LATENCY_STEP_SHIFT);
	median = side ? median + step + 1 : median - step - 1;
	if (median > 0xFFFFFFFF)
		median = 0xFFFFFFFF;
	/* Small ones would creep below by the 1 that keeps them from sticking. */
	return latency_word(median ? median : 1, side | run, now_ns);
}

/*
 * -1 if a < b, else 0; both below 2^63. Without a branch, and so that the compiler makes none of
 * it: the verifier would follow each of the 2^16 ways through latency_now_us().
 */
SERVER_LOAD_INLINE __s64 is_less(__u64 a, __u64 b)
{
	__s64 difference = a - b;

	asm volatile("" : "+r"(difference));
	difference >>= 63;
	asm volatile("" : "+r"(difference));
	return difference;
}

/* In microseconds; 0 = nothing was ever answered. */
SERVER_LOAD_INLINE __u64 latency_now_us(const struct metrics *metrics, __u64 now_ns)
{
	__u32 now = now_ns >> LATENCY_TIME_SHIFT & LATENCY_TIME_MASK;
	__u64 here = latency_level(metrics->in_flight);
	__u64 best = ~0ULL >> 1; /* distance (31 bits) | median (32) */
	__u32 i;

	for (i = 0; i < LATENCY_LEVELS; i++) {
		__u64 level = metrics->latency[i];
		__u64 age = (now - (__u32)level) & LATENCY_TIME_MASK;
		__s64 before = is_less(i, here);
		__u64 distance = ((i - here) ^ before) - before; /* the absolute value */

		distance += is_less(LATENCY_FRESH, age) & LATENCY_LEVELS;
		distance += is_less(level >> 32, 1) & (4 * LATENCY_LEVELS); /* nothing known */
		level = distance << 32 | level >> 32;
		best += (level - best) & is_less(level, best);
	}
	return (best & 0xFFFFFFFF) * LATENCY_TICK_NS / (1000 << LATENCY_FRACTION_SHIFT);
}

/* What is left of a penalty, in 1/4096 request. */
SERVER_LOAD_INLINE __u64 penalty_left(__u64 penalty, __u64 now_ns)
{
	__u32 age = (__u32)(now_ns >> PENALTY_TIME_SHIFT) - (__u32)(penalty >> 32);
	__u64 part = age % PENALTY_HALF_LIFE;

	if (age / PENALTY_HALF_LIFE > 31)
		return 0;
	/* 2^-x for x from 0 to 1 is 1 - 0.672 x + 0.172 x^2, within half a per cent. */
	part = 1024 - 688 * part / PENALTY_HALF_LIFE +
	       176 * part * part / (PENALTY_HALF_LIFE * PENALTY_HALF_LIFE);
	return ((penalty & 0xFFFFFFFF) >> (age / PENALTY_HALF_LIFE)) * part >> 10;
}

/*
 * The penalty with one more reset. It is to weigh what the request would have weighed if it had been
 * answered, at least 1; where nothing was ever answered nobody knows, and it weighs as much as it can.
 */
SERVER_LOAD_INLINE __u64 penalty_add(const struct metrics *metrics, __u64 now_ns)
{
	__u64 left = penalty_left(metrics->penalty, now_ns);
	__u64 latency_us = latency_now_us(metrics, now_ns);
	__u64 charge =
		(1ULL << PENALTY_ONE_SHIFT) + (latency_us << PENALTY_ONE_SHIFT) / PENALTY_MEAN_US;

	if (!latency_us || charge > PENALTY_MOST << PENALTY_ONE_SHIFT)
		charge = PENALTY_MOST << PENALTY_ONE_SHIFT;
	left += charge;
	if (left > 0xFFFFFFFF)
		left = 0xFFFFFFFF;
	return now_ns >> PENALTY_TIME_SHIFT << 32 | left;
}

/* Requests in flight as the balancers are told: with the penalty. */
SERVER_LOAD_INLINE __u16 in_flight_told(const struct metrics *metrics, __u64 now_ns)
{
	__s64 in_flight = metrics->in_flight;
	__u64 penalty = penalty_left(metrics->penalty, now_ns) >> PENALTY_ONE_SHIFT;

	penalty += in_flight < 0 ? 0 : (__u64)in_flight;
	return penalty > 65535 ? 65535 : (__u16)penalty;
}

/* Of what is told as in flight, most is penalty. */
SERVER_LOAD_INLINE int mostly_resets(const struct metrics *metrics, __u32 told)
{
	__s64 in_flight = metrics->in_flight;

	return told > 2 * (in_flight < 0 ? 0 : (__u64)in_flight);
}

/* Fills in the load; whose it is and to whom it is told, is the caller's. */
SERVER_LOAD_INLINE void server_load_tell(const struct metrics *metrics,
					 const struct application *application, __u64 now_ns,
					 struct load_report *report)
{
	int has_application = now_ns < application->until_ns;

	report->in_flight = in_flight_told(metrics, now_ns);
	report->utilisation = has_application ? application->utilisation : metrics->utilisation;
	report->latency = load_report_float_encode(latency_now_us(metrics, now_ns));
	report->accept_queue =
		mostly_resets(metrics, report->in_flight) ? 65535 : metrics->accept_queue;
	report->flags = has_application ? LOAD_REPORT_APPLICATION : 0;
}

#endif
