/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The slow loop's arithmetic: what moves a weight, and what must not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weighting.h"

#define MEMBERS 4
#define EPSILON 1e-9

/* Servers under full load: latency is what Little's law says of requests in proportion to weight. */
struct pool {
	struct weighted members[MEMBERS];
	double capacities[MEMBERS];
};

static const struct pool equal = {
	.members = {{.configured = 1, .factor = 1},
		    {.configured = 1, .factor = 1},
		    {.configured = 1, .factor = 1},
		    {.configured = 1, .factor = 1}},
	.capacities = {1, 1, 1, 1},
};

static void observe(struct pool *pool, double samples)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		struct weighted *member = &pool->members[i];
		double in_flight = member->configured * member->factor;

		member->samples += samples;
		member->in_flight_sum += samples * in_flight;
		member->latency_sum += samples * in_flight / pool->capacities[i];
	}
}

static bool second(struct pool *pool, double samples)
{
	observe(pool, samples);
	return weighting_step(pool->members, MEMBERS, true);
}

static void test_weights_come_to_be_the_capacities(void **state)
{
	struct pool pool = {.capacities = {1, 2, 4, 8}};

	(void)state;
	for (size_t i = 0; i < MEMBERS; i++)
		pool.members[i] = equal.members[i];
	for (int i = 0; i < 12; i++)
		second(&pool, 500);
	for (size_t i = 0; i < MEMBERS; i++) {
		double right = pool.capacities[i] * MEMBERS / 15;

		assert_true(fabs(log(pool.members[i].factor / right)) < 0.15);
	}
}

/* What a pool looks like that has little to do: never more than one request at a server. */
static bool idle_second(struct pool *pool, const double *latencies, bool proportional)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		struct weighted *member = &pool->members[i];

		member->samples += 500;
		member->in_flight_sum += 500;
		member->latency_sum += 500 * latencies[i];
	}
	return weighting_step(pool->members, MEMBERS, proportional);
}

/* However little it is given, its latency will never be that of the others. */
static void test_an_idle_slow_server_keeps_its_share(void **state)
{
	static const double latencies[MEMBERS] = {1, 1.0 / 2, 1.0 / 2, 1.0 / 4};
	struct pool pool = equal;

	(void)state;
	for (int i = 0; i < 100; i++)
		idle_second(&pool, latencies, true);
	for (size_t i = 0; i < MEMBERS; i++) {
		double right = MEMBERS / latencies[i] / 9;

		assert_true(fabs(log(pool.members[i].factor / right)) < 0.15);
	}
}

/* By weight alone, a server gets done what its weight brings: that says nothing. */
static void test_policies_that_go_by_weight_alone_have_latencies_alone(void **state)
{
	static const double latencies[MEMBERS] = {1, 1.0 / 2, 1.0 / 2, 1.0 / 4};
	struct pool pool = equal;

	(void)state;
	for (int i = 0; i < 100; i++)
		idle_second(&pool, latencies, false);
	assert_true(pool.members[0].factor < 0.25);
}

/* How many requests a server works on at a time shows only when it has as many. */
static void test_what_was_learned_outlives_a_lull(void **state)
{
	static const double latencies[MEMBERS] = {1, 1, 1, 1};
	struct pool pool = equal;

	(void)state;
	pool.members[0].factor = 0.25;
	pool.members[1].factor = 1.75;
	for (int i = 0; i < 20; i++)
		assert_false(idle_second(&pool, latencies, true));
	assert_true(pool.members[0].factor == 0.25 && pool.members[1].factor == 1.75);
}

static void test_equal_servers_keep_their_weights(void **state)
{
	struct pool pool = equal;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_false(second(&pool, 500));
	assert_true(pool.members[0].factor == 1);
}

/* Two seconds of another latency are a disturbance; three are a different server. */
static void test_short_disturbances_are_not_remembered(void **state)
{
	struct pool pool = equal;

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < WEIGHTING_LOOKS; i++) {
			pool.capacities[0] = i < WEIGHTING_LOOKS - 1 ? 0.2 : 1;
			assert_false(second(&pool, 500));
		}
	}
	pool.capacities[0] = 0.2;
	for (int i = 0; i < WEIGHTING_LOOKS - 1; i++)
		assert_false(second(&pool, 500));
	assert_true(second(&pool, 500));
	assert_true(pool.members[0].factor < pool.members[1].factor / 1.5);
}

/* Of looks that agree, the one counts that says least. */
static void test_the_smallest_difference_counts(void **state)
{
	struct pool pool = equal;

	(void)state;
	pool.capacities[0] = 0.1;
	second(&pool, 500);
	second(&pool, 500);
	pool.capacities[0] = 0.8;
	assert_true(second(&pool, 500));
	assert_true(pool.members[0].factor > 0.85 && pool.members[0].factor < 1);
}

static void test_few_samples_wait_for_more(void **state)
{
	struct pool pool = equal;

	(void)state;
	/* A quarter slower: less than chance makes of 20 samples, more than it makes of 400. */
	pool.capacities[0] = 0.75;
	for (int i = 0; i < 3; i++) {
		assert_false(second(&pool, 20));
		assert_true(pool.members[0].samples > 0);
	}
	for (int i = 0; i < 60; i++)
		second(&pool, 20);
	assert_true(pool.members[0].factor < 0.9);
}

static void test_who_is_silent_keeps_its_weight(void **state)
{
	struct pool pool = equal;

	(void)state;
	for (int i = 0; i < 5; i++) {
		observe(&pool, 500);
		for (size_t k = 1; k < MEMBERS; k++)
			pool.members[k].samples = 0;
		assert_false(weighting_step(pool.members, MEMBERS, true));
	}
}

static void test_steps_and_factors_are_bounded(void **state)
{
	struct pool pool = equal;
	double before = 1;

	(void)state;
	pool.capacities[0] = 1e-6;
	for (int i = 0; i < 100; i++) {
		second(&pool, 500);
		/* Down by one step, while the others may go up by one. */
		assert_true(pool.members[0].factor >=
			    before / (WEIGHTING_STEP_MAX * WEIGHTING_STEP_MAX) - EPSILON);
		before = pool.members[0].factor;
		for (size_t k = 0; k < MEMBERS; k++) {
			assert_true(pool.members[k].factor >= 1 / WEIGHTING_FACTOR_MAX - EPSILON);
			assert_true(pool.members[k].factor <= WEIGHTING_FACTOR_MAX + EPSILON);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights_come_to_be_the_capacities),
		cmocka_unit_test(test_an_idle_slow_server_keeps_its_share),
		cmocka_unit_test(test_policies_that_go_by_weight_alone_have_latencies_alone),
		cmocka_unit_test(test_what_was_learned_outlives_a_lull),
		cmocka_unit_test(test_equal_servers_keep_their_weights),
		cmocka_unit_test(test_short_disturbances_are_not_remembered),
		cmocka_unit_test(test_the_smallest_difference_counts),
		cmocka_unit_test(test_few_samples_wait_for_more),
		cmocka_unit_test(test_who_is_silent_keeps_its_weight),
		cmocka_unit_test(test_steps_and_factors_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
