/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is counted in a simulation. Latencies go into buckets of about one per cent. */
#ifndef PLIMSOLL_SIMULATE_TALLY_H
#define PLIMSOLL_SIMULATE_TALLY_H

#include "simulate.h"

#include <math.h>

#define BUCKETS_PER_OCTAVE 64
#define LATENCY_BUCKETS (40 * BUCKETS_PER_OCTAVE)
/* Of the course after a step. */
#define STEP_MS 500

struct tally {
	uint64_t latencies[LATENCY_BUCKETS];
	uint64_t answered, packets, reports_sent, reports_received;
	double latency_ns;
	uint64_t choices, unknown;
	uint64_t focus_choices; /* of server 0 */
	double age_ns;
	double herding, focus_peak;
	uint64_t samples; /* of herding */
	double weight_moves;
	double settled_s;
	uint32_t steps;
	uint32_t step_own[STEP_MS], step_all[STEP_MS]; /* connections, by ms after the step */
};

static inline void tally_latency(struct tally *tally, uint64_t ns)
{
	double bucket = log2((double)ns) * BUCKETS_PER_OCTAVE;

	tally->latencies[bucket < LATENCY_BUCKETS ? (int)bucket : LATENCY_BUCKETS - 1]++;
	tally->latency_ns += (double)ns;
	tally->answered++;
}

static inline double tally_percentile_ms(const struct tally *tally, double share)
{
	double wanted = share * (double)tally->answered, passed = 0;

	for (int i = 0; i < LATENCY_BUCKETS; i++) {
		passed += (double)tally->latencies[i];
		if (passed >= wanted)
			return exp2((i + 0.5) / BUCKETS_PER_OCTAVE) / (double)MS;
	}
	return 0;
}

#endif
