/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MIN 10
#define SAMPLES_MAX 4000
#define SIGNIFICANCE 2
#define DEAD_BAND 0.05
#define FACTOR_MAX 8
/* Of the steps until latencies agree. */
#define STEP_GAIN 0.4
#define STEP_MAX 1.3
/* Of those that go towards a capacity. */
#define GAIN 0.5

static double weight(const struct estimated *member)
{
	return member->configured * member->factor;
}

/* How many observations of their own there are. */
static double samples(const struct estimated *member, enum estimator estimator)
{
	return estimator == ESTIMATOR_LATENCY ? member->reports / 2 : member->connections;
}

/* What is to agree with each other if the weights are right: a logarithm. */
static double log_excess(const struct estimated *member, enum estimator estimator)
{
	switch (estimator) {
	case ESTIMATOR_LATENCY:
		return log(member->latency_us / member->reports);
	case ESTIMATOR_THROUGHPUT:
		return log(weight(member) / member->connections);
	case ESTIMATOR_UTILISATION:
		return log(weight(member) * member->utilisation / member->reports /
			   member->connections);
	default:
		return log(member->in_flight_us / member->connections);
	}
}

static bool has_evidence(const struct estimated *member, enum estimator estimator)
{
	return samples(member, estimator) >= SAMPLES_MIN && member->in_flight_us > 0 &&
	       member->latency_us > 0 && member->reports > 0 &&
	       (member->utilisation > 0 || estimator != ESTIMATOR_UTILISATION);
}

/* By weight in force: what steps in proportion to the difference take from one, they give to others. */
static double mean_excess(const struct estimated *members, size_t count, enum estimator estimator,
			  size_t *judged)
{
	double sum = 0, weights = 0;

	*judged = 0;
	for (size_t i = 0; i < count; i++) {
		if (!has_evidence(&members[i], estimator))
			continue;
		sum += weight(&members[i]) * log_excess(&members[i], estimator);
		weights += weight(&members[i]);
		(*judged)++;
	}
	return weights > 0 ? sum / weights : 0;
}

static void normalise(struct estimated *members, size_t count)
{
	double configured = 0, in_force = 0;

	for (size_t i = 0; i < count; i++) {
		configured += members[i].configured;
		in_force += weight(&members[i]);
	}
	for (size_t i = 0; in_force > 0 && i < count; i++) {
		double factor = members[i].factor * configured / in_force;

		members[i].factor = fmax(1.0 / FACTOR_MAX, fmin(FACTOR_MAX, factor));
	}
}

static void forget(struct estimated *member, double keep)
{
	member->reports *= keep;
	member->latency_us *= keep;
	member->in_flight_us *= keep;
	member->connections *= keep;
	member->utilisation *= keep;
}

static double wanted_step(const struct estimated *member, double mean, enum estimator estimator)
{
	bool agree = estimator == ESTIMATOR_LATENCY || estimator == ESTIMATOR_LITTLE;
	double difference = mean - log_excess(member, estimator);
	double chance = SIGNIFICANCE / sqrt(samples(member, estimator));
	double limit = log(STEP_MAX);

	if (fabs(difference) < fmax(chance, DEAD_BAND))
		return 0;
	if (!agree)
		return GAIN * difference;
	return fmax(-limit, fmin(limit, STEP_GAIN * difference));
}

static bool is_old(const struct estimated *member, enum estimator estimator)
{
	return samples(member, estimator) > SAMPLES_MAX;
}

static bool step(struct estimated *members, size_t count, enum estimator estimator)
{
	size_t judged;
	double mean = mean_excess(members, count, estimator, &judged);
	bool changed = false;

	for (size_t i = 0; judged > 1 && i < count; i++) {
		double by = 0;

		if (has_evidence(&members[i], estimator))
			by = wanted_step(&members[i], mean, estimator);
		members[i].factor *= exp(by);
		changed |= by != 0;
	}
	if (changed)
		normalise(members, count);
	for (size_t i = 0; i < count; i++)
		forget(&members[i], changed ? 0 : is_old(&members[i], estimator) ? 0.5 : 1);
	return changed;
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(const double *values, unsigned count)
{
	double sorted[HISTORY];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	return (sorted[count / 2] + sorted[(count - 1) / 2]) / 2;
}

/* A capacity is a server's own, whatever the weights were: so the looks of ten seconds can be compared. */
static bool recall(struct estimated *members, size_t count, enum estimator estimator)
{
	size_t judged;
	double mean = mean_excess(members, count, estimator, &judged);
	bool changed = false;

	for (size_t i = 0; judged > 1 && i < count; i++) {
		struct estimated *member = &members[i];
		double target;

		if (!has_evidence(member, estimator))
			continue;
		member->history[member->looks++ % HISTORY] =
			log(member->factor) + mean - log_excess(member, estimator);
		target = median(member->history, member->looks < HISTORY ? member->looks : HISTORY);
		if (fabs(target - log(member->factor)) > DEAD_BAND) {
			member->factor = exp(target);
			changed = true;
		}
		forget(member, 0);
	}
	if (changed)
		normalise(members, count);
	return changed;
}

bool estimate(struct estimated *members, size_t count, enum estimator estimator)
{
	if (estimator == ESTIMATOR_MEDIAN)
		return recall(members, count, estimator);
	return step(members, count, estimator);
}
