/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The simulator: its order of events, that it repeats itself and loses nothing, and queueing theory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "simulate.h"
#include "simulate_events.h"

#define EVENTS 10000

static const struct contender in_band = {
	.name = "in-band",
	.knowledge = KNOWS_BY_REPORTS,
	.estimator = ESTIMATOR_PUBLISHED,
	.max_share = 0.02,
};

static void test_events_come_in_the_order_of_time(void **state)
{
	struct random random = {1};
	struct heap heap = {0};
	uint64_t last = 0;

	(void)state;
	for (uint32_t i = 0; i < EVENTS; i++) {
		heap_push(&heap, (struct event){.time = random_next(&random) % EVENTS});
		/* Now and then one is taken out in between. */
		if (i % 5 == 0)
			heap_pop(&heap);
	}
	assert_int_equal(heap.count, EVENTS - EVENTS / 5);
	while (heap.count) {
		uint64_t time = heap_time(&heap);

		assert_int_equal(heap_pop(&heap).time, time);
		assert_true(time >= last);
		last = time;
	}
	assert_true(heap_time(&heap) == UINT64_MAX);
	free(heap.events);
}

static void test_lanes_keep_their_order(void **state)
{
	struct lane lane = {.delay = 10};
	uint32_t in = 0, out = 0;

	(void)state;
	/* Grows while its beginning is anywhere. */
	while (in < EVENTS) {
		for (int i = 0; i < 3; i++, in++)
			lane_push(&lane, in, in);
		assert_int_equal(lane_time(&lane), out + 10);
		assert_int_equal(lane_pop(&lane), out++);
	}
	while (lane.count)
		assert_int_equal(lane_pop(&lane), out++);
	assert_int_equal(in, out);
	free(lane.waiting);
}

/* Everything that can happen does. */
static const struct world rough = {
	.name = "rough",
	.servers = 16,
	.balancers = 3,
	.sizes = SIZES_UNEVEN,
	.work = WORK_BATCH,
	.incident = INCIDENT_SINKHOLE,
	.antagonist = true,
	.syn_loss = 0.01,
	.warmup = 1,
	.seconds = 2,
};

static void test_the_same_seed_gives_the_same_figures(void **state)
{
	struct contender contender = in_band;
	struct outcome first, again, other;

	(void)state;
	contender.carrier_loss = 0.01;
	assert_int_equal(simulate(&rough, &contender, 1, &first), 0);
	assert_int_equal(simulate(&rough, &contender, 1, &again), 0);
	assert_int_equal(simulate(&rough, &contender, 2, &other), 0);
	first.cost_seconds = again.cost_seconds = other.cost_seconds = 0;
	assert_memory_equal(&first, &again, sizeof(first));
	assert_memory_not_equal(&first, &other, sizeof(first));
}

static void test_no_request_is_lost_or_made(void **state)
{
	struct contender contender = in_band;
	struct world world = rough;
	struct outcome outcome;

	(void)state;
	contender.carrier_loss = 0.01;
	assert_int_equal(simulate(&world, &contender, 1, &outcome), 0);
	assert_true(outcome.answered > 1000 && outcome.refused > 0);
	assert_int_equal(outcome.begun, outcome.answered + outcome.refused + outcome.left);
	/* Two clients for each of 60 workers. */
	assert_true(outcome.left <= 120);
	world.load = 0.5;
	assert_int_equal(simulate(&world, &contender, 1, &outcome), 0);
	assert_int_equal(outcome.begun, outcome.answered + outcome.refused + outcome.left);
}

/* ------------------------------------------------------------------- theory */

/* What a request takes on top of its time at the server. */
static const double ways_ms = 0.05 + 0.2 + 0.2;

static double mean_ms(uint32_t servers, double load, const struct contender *contender)
{
	struct world world = {
		.name = "theory",
		.servers = servers,
		.balancers = 1,
		.sizes = SIZES_SINGLE,
		.load = load,
		.warmup = 5,
		.seconds = 40000.0 / (servers * load * 100),
	};
	struct outcome outcome;

	assert_int_equal(simulate(&world, contender, 1, &outcome), 0);
	return outcome.mean_ms - ways_ms;
}

static void assert_near(double value, double expected)
{
	if (fabs(value / expected - 1) > 0.05)
		fail_msg("%.2f ms, theory says %.2f ms", value, expected);
}

static void test_one_server_is_m_m_1(void **state)
{
	const struct contender random = {.name = "random", .policy = "random"};

	(void)state;
	assert_near(mean_ms(1, 0.3, &random), 10 / (1 - 0.3));
	assert_near(mean_ms(1, 0.6, &random), 10 / (1 - 0.6));
}

static void test_random_makes_as_many_m_m_1(void **state)
{
	const struct contender random = {.name = "random", .policy = "random"};

	(void)state;
	assert_near(mean_ms(100, 0.7, &random), 10 / (1 - 0.7));
}

/* Mitzenmacher 1996: of d choices among many servers, the sum over i of load^((d^i - d) / (d - 1)). */
static double with_choices_ms(double load, double choices)
{
	double sum = 0;

	for (int i = 1; i < 12; i++)
		sum += pow(load, (pow(choices, i) - choices) / (choices - 1));
	return 10 * sum;
}

static void test_choices_help_as_much_as_theory_says(void **state)
{
	struct contender truth = {.name = "truth", .knowledge = KNOWS_THE_TRUTH};

	(void)state;
	for (truth.choices = 2; truth.choices <= 4; truth.choices++)
		assert_near(mean_ms(200, 0.8, &truth), with_choices_ms(0.8, truth.choices));
}

/* And what they do not do, waits. */
static void test_a_closed_loop_keeps_all_workers_busy(void **state)
{
	const struct contender all = {.name = "oracle", .knowledge = KNOWS_ALL};
	const struct world world = {
		.name = "closed",
		.servers = 8,
		.balancers = 1,
		.sizes = SIZES_EQUAL,
		.clients = 20,
		.warmup = 1,
		.seconds = 20,
	};
	struct outcome outcome;

	(void)state;
	assert_int_equal(simulate(&world, &all, 1, &outcome), 0);
	assert_near(outcome.requests_per_second, 3200);
	/* Little's law: 640 clients. */
	assert_near(outcome.mean_ms, 640 / outcome.requests_per_second * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_come_in_the_order_of_time),
		cmocka_unit_test(test_lanes_keep_their_order),
		cmocka_unit_test(test_the_same_seed_gives_the_same_figures),
		cmocka_unit_test(test_no_request_is_lost_or_made),
		cmocka_unit_test(test_one_server_is_m_m_1),
		cmocka_unit_test(test_random_makes_as_many_m_m_1),
		cmocka_unit_test(test_choices_help_as_much_as_theory_says),
		cmocka_unit_test(test_a_closed_loop_keeps_all_workers_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
