/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "weighting.h"

#include <math.h>

static bool has_evidence(const struct weighted *member)
{
	return member->samples >= WEIGHTING_SAMPLES_MIN && member->latency_sum > 0;
}

/*
 * The mean of the latencies' logarithms, by weight in force: what steps in proportion to the difference
 * from it take from one, they give to others.
 */
static double mean_log_latency(const struct weighted *members, size_t count, size_t *judged)
{
	double sum = 0, weights = 0;

	*judged = 0;
	for (size_t i = 0; i < count; i++) {
		double weight = members[i].configured * members[i].factor;

		if (!has_evidence(&members[i]))
			continue;
		sum += weight * log(members[i].latency_sum / members[i].samples);
		weights += weight;
		(*judged)++;
	}
	return weights > 0 ? sum / weights : 0;
}

/* The logarithm of the step that one member's latency asks for; 0 for none. */
static double wanted_step(const struct weighted *member, double mean)
{
	double limit = log(WEIGHTING_STEP_MAX);
	double difference, chance, step;

	if (!has_evidence(member))
		return 0;
	difference = mean - log(member->latency_sum / member->samples);
	chance = WEIGHTING_SIGNIFICANCE / sqrt(member->samples);
	if (fabs(difference) < fmax(chance, WEIGHTING_DEAD_BAND))
		return 0;
	step = WEIGHTING_GAIN * difference;
	return fmax(-limit, fmin(limit, step));
}

/* Factors are relative: their mean by configured weight is 1. */
static void normalise(struct weighted *members, size_t count)
{
	double configured = 0, in_force = 0;

	for (size_t i = 0; i < count; i++) {
		configured += members[i].configured;
		in_force += members[i].configured * members[i].factor;
	}
	for (size_t i = 0; in_force > 0 && i < count; i++) {
		double factor = members[i].factor * configured / in_force;

		members[i].factor =
			fmax(1 / WEIGHTING_FACTOR_MAX, fmin(WEIGHTING_FACTOR_MAX, factor));
	}
}

bool weighting_step(struct weighted *members, size_t count)
{
	size_t judged;
	double mean = mean_log_latency(members, count, &judged);
	bool changed = false;

	for (size_t i = 0; judged > 1 && i < count; i++) {
		double step = wanted_step(&members[i], mean);

		members[i].factor *= exp(step);
		changed |= step != 0;
	}
	if (changed)
		normalise(members, count);
	for (size_t i = 0; i < count; i++) {
		double keep = changed ? 0 : members[i].samples > WEIGHTING_SAMPLES_MAX ? 0.5 : 1;

		members[i].samples *= keep;
		members[i].latency_sum *= keep;
	}
	return changed;
}
