/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "weighting.h"

#include <math.h>
#include <string.h>

static bool has_samples(const struct weighted *member)
{
	return member->samples >= WEIGHTING_SAMPLES_MIN && member->latency_sum > 0 &&
	       member->in_flight_sum > 0;
}

static double weight_in_force(const struct weighted *member)
{
	return member->configured * member->factor;
}

/* What is to be alike everywhere if the weights are right; as logarithms, or the means of them. */
struct figures {
	double latency;
	double excess; /* weight : requests that are done in a second, which is in flight : latency */
};

static struct figures figures_of(const struct weighted *member)
{
	return (struct figures){
		.latency = log(member->latency_sum / member->samples),
		.excess =
			log(weight_in_force(member) * member->latency_sum / member->in_flight_sum),
	};
}

/*
 * The means by weight in force: what steps in proportion to the difference from them take from one, they
 * give to others.
 */
static struct figures mean_figures(const struct weighted *members, size_t count, size_t *judged)
{
	struct figures sum = {0};
	double weights = 0;

	*judged = 0;
	for (size_t i = 0; i < count; i++) {
		double weight = weight_in_force(&members[i]);
		struct figures own;

		if (!has_samples(&members[i]))
			continue;
		own = figures_of(&members[i]);
		sum.latency += weight * own.latency;
		sum.excess += weight * own.excess;
		weights += weight;
		(*judged)++;
	}
	if (weights > 0)
		sum = (struct figures){sum.latency / weights, sum.excess / weights};
	return sum;
}

/* The lesser of two that point the same way; 0 of two that do not. */
static double consent(double a, double b)
{
	if (a * b <= 0)
		return 0;
	return fabs(a) < fabs(b) ? a : b;
}

/* Returns whether there is something to be said already; if so it is said, and its samples are used up. */
static bool look(struct weighted *member, struct figures mean, bool proportional)
{
	struct figures own;
	double difference, chance;

	if (!has_samples(member))
		return false;
	own = figures_of(member);
	difference = mean.latency - own.latency;
	if (proportional)
		difference = consent(difference, mean.excess - own.excess);
	chance = WEIGHTING_SIGNIFICANCE / sqrt(member->samples);
	if (fabs(difference) < chance && member->samples < WEIGHTING_SAMPLES_ENOUGH)
		return false;
	if (fabs(difference) < fmax(chance, WEIGHTING_DEAD_BAND))
		difference = 0;
	memmove(member->looks + 1, member->looks, sizeof(member->looks) - sizeof(difference));
	member->looks[0] = difference;
	member->samples = 0;
	member->latency_sum = 0;
	member->in_flight_sum = 0;
	return true;
}

/* What all looks agree on: the least of them, or 0 if they do not point the same way. */
static double agreed(const struct weighted *member)
{
	double least = member->looks[0];

	for (size_t i = 1; i < WEIGHTING_LOOKS; i++)
		least = consent(member->looks[i], least);
	return least;
}

/* Factors are relative: their mean by configured weight is 1. */
static void normalise(struct weighted *members, size_t count)
{
	double configured = 0, in_force = 0;

	for (size_t i = 0; i < count; i++) {
		configured += members[i].configured;
		in_force += weight_in_force(&members[i]);
	}
	for (size_t i = 0; in_force > 0 && i < count; i++) {
		double factor = members[i].factor * configured / in_force;

		members[i].factor =
			fmax(1 / WEIGHTING_FACTOR_MAX, fmin(WEIGHTING_FACTOR_MAX, factor));
	}
}

bool weighting_step(struct weighted *members, size_t count, bool proportional)
{
	double limit = log(WEIGHTING_STEP_MAX);
	size_t judged;
	struct figures mean = mean_figures(members, count, &judged);
	bool changed = false;

	for (size_t i = 0; judged > 1 && i < count; i++) {
		double step;

		if (!look(&members[i], mean, proportional))
			continue;
		step = WEIGHTING_GAIN * agreed(&members[i]);
		members[i].factor *= exp(fmax(-limit, fmin(limit, step)));
		changed |= step != 0;
	}
	if (changed)
		normalise(members, count);
	return changed;
}
