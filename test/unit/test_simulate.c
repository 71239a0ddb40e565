/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The simulator: order of events, rules of reporting, that it repeats itself and loses nothing, theory. */
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
#include "simulate_server.h"

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

/* -------------------------------------------------------------------- rules */

#define PEERS_MAX 4

/* A server by itself. */
struct bed {
	struct world world;
	struct contender contender;
	struct server_state server;
	struct peer_state peers[PEERS_MAX];
};

/* What simulate() makes of the default, where so many balancers are. */
static void bed_open(struct bed *bed, uint32_t balancers, double max_share)
{
	*bed = (struct bed){
		.world = {.balancers = balancers},
		.contender =
			{
				.interval_ns = MS,
				.patience = 20,
				.free_interval_ns = balancers * 4 * MS,
				.silence_ns = 50 * MS,
				.max_share = max_share,
			},
		.server = {.workers = 1, .peers = bed->peers},
	};
}

static void bed_hear(struct bed *bed, uint64_t now)
{
	for (uint32_t i = 0; i < bed->world.balancers; i++)
		bed->peers[i].heard_ns = now;
}

/* A packet, and there is always news to tell. Returns who gets a report. */
static uint32_t bed_send(struct bed *bed, enum response response, uint64_t now)
{
	struct load_report report;
	uint32_t peer;

	bed->server.metrics.in_flight++;
	peer = server_report_due(&bed->server, &bed->world, &bed->contender, response, now);
	if (peer != NOBODY)
		server_report(&bed->server, &bed->contender, peer, now, &report);
	return peer;
}

static void test_what_somebody_waits_for_is_the_last_to_bear_a_report(void **state)
{
	struct bed bed;

	(void)state;
	bed_open(&bed, 1, 1);
	bed_hear(&bed, SECOND);
	assert_int_equal(bed_send(&bed, RESPONSE_ACK, SECOND), 0);
	assert_int_equal(bed_send(&bed, RESPONSE_FIN, SECOND + MS - 1), NOBODY);
	assert_int_equal(bed_send(&bed, RESPONSE_FIN, SECOND + 2 * MS), 0);
	for (uint64_t ms = 3; ms < 22; ms++) {
		assert_int_equal(bed_send(&bed, RESPONSE_DATA, SECOND + ms * MS), NOBODY);
		assert_int_equal(bed_send(&bed, RESPONSE_SYN_ACK, SECOND + ms * MS), NOBODY);
	}
	assert_int_equal(bed_send(&bed, RESPONSE_DATA, SECOND + 22 * MS), 0);
}

static void test_a_silent_balancer_gets_no_report(void **state)
{
	struct bed bed;

	(void)state;
	bed_open(&bed, 2, 1);
	bed_hear(&bed, SECOND);
	bed.peers[1].heard_ns += MS;
	assert_int_equal(bed_send(&bed, RESPONSE_FIN, SECOND + 50 * MS), 0);
	assert_int_equal(bed_send(&bed, RESPONSE_FIN, SECOND + 51 * MS), 1);
	assert_int_equal(bed_send(&bed, RESPONSE_FIN, SECOND + 52 * MS), NOBODY);
}

/* Reports in a second of 10,000 packets, which all could bear one. */
static void count_reports(uint32_t balancers, double max_share, uint32_t *counts)
{
	struct bed bed;

	bed_open(&bed, balancers, max_share);
	memset(counts, 0, PEERS_MAX * sizeof(*counts));
	for (uint64_t now = SECOND; now < 2 * SECOND; now += 100 * US) {
		uint32_t peer;

		bed_hear(&bed, now);
		peer = bed_send(&bed, RESPONSE_FIN, now);
		if (peer != NOBODY)
			counts[peer]++;
	}
}

/* And some that were saved up before. */
static void test_what_is_free_is_shared_by_all_balancers(void **state)
{
	uint32_t counts[PEERS_MAX];

	(void)state;
	count_reports(1, 1e-9, counts);
	assert_in_range(counts[0], 250, 260);
	count_reports(4, 1e-9, counts);
	for (int i = 0; i < 4; i++)
		assert_in_range(counts[i], 62, 72);
}

/* The share of the packets, or what is free, not both. */
static void test_the_budget_is_not_added_to_what_is_free(void **state)
{
	uint32_t counts[PEERS_MAX];

	(void)state;
	count_reports(1, 1.0 / 64, counts);
	assert_in_range(counts[0], 250, 270);
	count_reports(1, 1.0 / 16, counts);
	assert_in_range(counts[0], 625, 750);
}

/* --------------------------------------------------------------- simulations */

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

/* A connection is pending or in flight all the way, however long that is. */
static void test_it_matters_when_a_connection_counts_as_seen(void **state)
{
	const struct contender all = {.name = "oracle", .knowledge = KNOWS_ALL};
	const struct world world = {
		.name = "far",
		.servers = 8,
		.balancers = 1,
		.sizes = SIZES_UNEVEN,
		.weights_known = true,
		.clients = 14,
		.round_trip_ns = 100 * MS,
	};
	struct contender contender = in_band;
	struct outcome best, outcome, late;

	(void)state;
	contender.estimator = ESTIMATOR_NONE;
	assert_int_equal(simulate(&world, &all, 1, &best), 0);
	assert_int_equal(simulate(&world, &contender, 1, &outcome), 0);
	assert_true(outcome.requests_per_second > 0.98 * best.requests_per_second);
	contender.seen_at_syn = true;
	assert_int_equal(simulate(&world, &contender, 1, &late), 0);
	assert_true(late.requests_per_second < 0.98 * outcome.requests_per_second);
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
		cmocka_unit_test(test_what_somebody_waits_for_is_the_last_to_bear_a_report),
		cmocka_unit_test(test_a_silent_balancer_gets_no_report),
		cmocka_unit_test(test_what_is_free_is_shared_by_all_balancers),
		cmocka_unit_test(test_the_budget_is_not_added_to_what_is_free),
		cmocka_unit_test(test_the_same_seed_gives_the_same_figures),
		cmocka_unit_test(test_no_request_is_lost_or_made),
		cmocka_unit_test(test_it_matters_when_a_connection_counts_as_seen),
		cmocka_unit_test(test_one_server_is_m_m_1),
		cmocka_unit_test(test_random_makes_as_many_m_m_1),
		cmocka_unit_test(test_choices_help_as_much_as_theory_says),
		cmocka_unit_test(test_a_closed_loop_keeps_all_workers_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
