/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "weighting.h"

#include <math.h>
#include <string.h>

static bool has_samples(const struct weighted *member)
{
	return member->samples >= WEIGHTING_SAMPLES_MIN && member->latency_sum > 0;
}

static double log_latency(const struct weighted *member)
{
	return log(member->latency_sum / member->samples);
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

		if (!has_samples(&members[i]))
			continue;
		sum += weight * log_latency(&members[i]);
		weights += weight;
		(*judged)++;
	}
	return weights > 0 ? sum / weights : 0;
}

/* Returns whether there is something to be said already; if so it is said, and its samples are used up. */
static bool look(struct weighted *member, double mean)
{
	double difference, chance;

	if (!has_samples(member))
		return false;
	difference = mean - log_latency(member);
	chance = WEIGHTING_SIGNIFICANCE / sqrt(member->samples);
	if (fabs(difference) < chance && member->samples < WEIGHTING_SAMPLES_ENOUGH)
		return false;
	if (fabs(difference) < fmax(chance, WEIGHTING_DEAD_BAND))
		difference = 0;
	memmove(member->looks + 1, member->looks, sizeof(member->looks) - sizeof(difference));
	member->looks[0] = difference;
	member->samples = 0;
	member->latency_sum = 0;
	return true;
}

/* What all looks agree on: the least of them, or 0 if they do not point the same way. */
static double agreed(const struct weighted *member)
{
	double least = member->looks[0];

	for (size_t i = 1; i < WEIGHTING_LOOKS; i++) {
		if (member->looks[i] * least <= 0)
			return 0;
		if (fabs(member->looks[i]) < fabs(least))
			least = member->looks[i];
	}
	return least;
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
	double limit = log(WEIGHTING_STEP_MAX);
	size_t judged;
	double mean = mean_log_latency(members, count, &judged);
	bool changed = false;

	for (size_t i = 0; judged > 1 && i < count; i++) {
		double step;

		if (!look(&members[i], mean))
			continue;
		step = WEIGHTING_GAIN * agreed(&members[i]);
		members[i].factor *= exp(fmax(-limit, fmin(limit, step)));
		changed |= step != 0;
	}
	if (changed)
		normalise(members, count);
	return changed;
}
