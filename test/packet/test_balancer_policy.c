/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The other policies and signals, each once in the kernel: that its row of the table in choose.h
 * reaches the data path. What they are worth is not asked here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "balancer_case.h"

#include "load_report.h"

#include "../count.h"
#include "choose.h"
#include "shared.h"

#define A LOAD_REPORT_APPLICATION
#define D LOAD_REPORT_DRAINING

#define FORWARDED .verdict = VERDICT_FORWARDED, .output = TO_BACKEND
#define BACKEND_1 .backends = BACKEND(1), .action = XDP_TX, FORWARDED
#define BACKEND_2 .backends = BACKEND(2), .action = XDP_TX, FORWARDED
#define BACKEND_3 .backends = BACKEND(3), .action = XDP_REDIRECT, FORWARDED

static const struct balancer_case signals[] = {
	{
		.name = "in-flight",
		.before = {.signal = SIGNAL_IN_FLIGHT, .in_flight = {1, 2, 3}, .utilisation = {9}},
		BACKEND_1,
	},
	{
		.name = "utilisation",
		.before = {.signal = SIGNAL_UTILISATION, .utilisation = {30000, 20000, 10000}},
		BACKEND_3,
	},
	{
		.name = "utilisation: what is on the way will raise it",
		.before = {.signal = SIGNAL_UTILISATION,
			   .utilisation = {30000, 20000, 10000},
			   .in_flight = {1, 1, 1},
			   .sent = {0, 0, 8}},
		BACKEND_2,
	},
	{
		.name = "latency",
		.before = {.signal = SIGNAL_LATENCY, .latency_us = {400000, 3000000, 500000}},
		BACKEND_1,
	},
	{
		.name = "accept queue",
		.before = {.signal = SIGNAL_ACCEPT_QUEUE, .accept_queue = {30000, 20000, 10000}},
		BACKEND_3,
	},
	{
		.name = "application",
		.before = {.signal = SIGNAL_APPLICATION,
			   .utilisation = {10000, 20000, 30000},
			   .flags = {A, A, A}},
		BACKEND_1,
	},
	{
		.name = "application: who only reports CPU time is not compared",
		.before = {.signal = SIGNAL_APPLICATION,
			   .utilisation = {10000, 20000, 30000},
			   .flags = {0, A, A}},
		BACKEND_2,
	},
	{
		.name = "worst: by utilisation",
		.before = {.signal = SIGNAL_WORST,
			   .utilisation = {50000, 50000, 40000},
			   .accept_queue = {0, 0, 30000}},
		BACKEND_3,
	},
	{
		.name = "worst: by accept queue",
		.before = {.signal = SIGNAL_WORST,
			   .utilisation = {10000, 50000, 40000},
			   .accept_queue = {30000, 0, 60000}},
		BACKEND_1,
	},
};

static const struct balancer_case policies[] = {
	{
		.name = "least-loaded looks at all, whatever `choices` says",
		.before = {.policy = POLICY_LEAST_LOADED, .choices = 1, .in_flight = {7, 9, 4}},
		BACKEND_3,
	},
	{
		.name = "least-loaded with an empty ring",
		.before = {.policy = POLICY_LEAST_LOADED, .empty_ring = true},
		.verdict = VERDICT_NO_BACKEND,
		.action = XDP_DROP,
	},
	{
		.name = "prequal: of the cold ones the fastest",
		.before = {.policy = POLICY_PREQUAL,
			   .hot = 1000 << HOT_BITS,
			   .in_flight = {20, 10, 1},
			   .latency_us = {1000, 2000, 3000}},
		BACKEND_1,
	},
	{
		.name = "prequal: a hot one is not taken however fast",
		.before = {.policy = POLICY_PREQUAL,
			   .hot = 10 << HOT_BITS,
			   .in_flight = {20, 5, 5},
			   .latency_us = {1, 1000000, 2000000}},
		BACKEND_2,
	},
	{
		.name = "prequal: of hot ones the one with the fewest requests",
		.before = {.policy = POLICY_PREQUAL,
			   .hot = 1 << HOT_BITS,
			   .in_flight = {500, 600, 400},
			   .latency_us = {1000, 2000, 3000}},
		BACKEND_3,
	},
	{
		.name = "round-robin with an empty ring",
		.before = {.policy = POLICY_ROUND_ROBIN, .empty_ring = true},
		.verdict = VERDICT_NO_BACKEND,
		.action = XDP_DROP,
	},
	{
		.name = "random with an empty ring",
		.before = {.policy = POLICY_RANDOM, .empty_ring = true},
		.verdict = VERDICT_NO_BACKEND,
		.action = XDP_DROP,
	},
};

/* A fresh report that asks for no new connections: whoever is left gets them. */
static const struct balancer_case draining[] = {
	{
		.name = "the least loaded drains",
		.before = {.in_flight = {5, 0, 9}, .flags = {0, D, 0}},
		BACKEND_1,
	},
	{
		.name = "who drains is worse than who is unknown",
		.before = {.flags = {0, D, D}, .age_ms = {NEVER, 0, 0}},
		BACKEND_1,
	},
	{
		.name = "all drain: better one of them than none",
		.before = {.flags = {D, D, D}},
		BACKEND_2,
	},
	{
		.name = "an old report asks for nothing",
		.before = {.flags = {0, D, 0}, .age_ms = {0, 5000, 0}},
		BACKEND_2,
	},
	{
		.name = "least-loaded",
		.before = {.policy = POLICY_LEAST_LOADED,
			   .in_flight = {0, 0, 9},
			   .flags = {D, D, 0}},
		BACKEND_3,
	},
	{
		.name = "least-loaded: unknown before draining",
		.before = {.policy = POLICY_LEAST_LOADED,
			   .flags = {0, D, D},
			   .age_ms = {NEVER, 0, 0}},
		BACKEND_1,
	},
	{
		.name = "prequal",
		.before = {.policy = POLICY_PREQUAL,
			   .hot = 1000 << HOT_BITS,
			   .latency_us = {1000, 2000, 3000},
			   .flags = {D, 0, 0}},
		BACKEND_2,
	},
	{
		.name = "round-robin",
		.before = {.policy = POLICY_ROUND_ROBIN, .flags = {D, D, 0}},
		BACKEND_3,
	},
	{
		.name = "maglev",
		.before = {.policy = POLICY_MAGLEV, .flags = {D, D, 0}},
		BACKEND_3,
	},
	{
		.name = "without feedback nobody is asked",
		.before = {.policy = POLICY_MAGLEV, .no_feedback = true, .flags = {0, D, 0}},
		BACKEND_2,
	},
	{
		.name = "in the middle of a connection it goes on",
		.before = {.flags = {0, D, 0}},
		.in = {.flags = TCP_ACK},
		BACKEND_2,
	},
};

/* Sends connections from as many ports, and counts them by backend. */
static void count_connections(const struct before *before, uint32_t count, uint32_t *counts)
{
	struct segment segment = segment_to_service();
	struct before lasting = *before;
	uint32_t i;

	lasting.stale_after_ms = 600000; /* thousands of runs take a while */
	world_reset(&lasting);
	memset(counts, 0, (BACKENDS + 1) * sizeof(*counts));
	for (i = 0; i < count; i++) {
		segment.source_port = 1 + i;
		counts[world_send(&segment)]++;
	}
	assert_int_equal(counts[0], 0);
}

/* The schedule is 1, 2, 3, 1, 2, 3, 1. */
static void test_round_robin_follows_its_schedule(void **state)
{
	const struct before before = {.policy = POLICY_ROUND_ROBIN, .in_flight = {9, 5, 0}};
	struct segment segment = segment_to_service();
	uint32_t i;

	(void)state;
	world_reset(&before);
	for (i = 0; i < 21; i++) {
		segment.source_port = 1 + i;
		assert_int_equal(world_send(&segment), 1 + i % 7 % 3);
	}
}

/* Bounds here and below are at least five standard deviations. */
static void test_random_follows_the_ring(void **state)
{
	const struct before before = {.policy = POLICY_RANDOM, .in_flight = {9, 5, 0}};
	uint32_t counts[BACKENDS + 1];

	(void)state;
	count_connections(&before, 7000, counts);
	assert_in_range(counts[1], 3000 - 210, 3000 + 210);
	assert_in_range(counts[2], 2000 - 190, 2000 + 190);
}

static void test_random_does_not_depend_on_the_flow(void **state)
{
	const struct before before = {.policy = POLICY_RANDOM};
	struct segment segment = segment_to_service();
	uint32_t i, elsewhere = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		world_reset(&before); /* forgets the flow */
		elsewhere += world_send(&segment) != FIRST_CANDIDATE;
	}
	assert_in_range(elsewhere, 40, 99);
}

/* All of its candidates drain once in 90 times: 4 of 7 slots, 8 times. */
static void test_random_spares_who_drains(void **state)
{
	const struct before before = {.policy = POLICY_RANDOM, .flags = {0, D, D}};
	uint32_t counts[BACKENDS + 1];

	(void)state;
	count_connections(&before, 2000, counts);
	assert_in_range(counts[1], 1977 - 24, 2000);
}

static void test_weighted_random_follows_what_is_to_spare(void **state)
{
	/* A quarter, a half and a quarter of the three servers' weight times their idle part. */
	const struct before before = {
		.policy = POLICY_WEIGHTED_RANDOM,
		.without_pending = true,
		.weight = {1, 1, 2},
		.utilisation = {32768, 0, 49152},
	};
	uint32_t counts[BACKENDS + 1];

	(void)state;
	count_connections(&before, 8000, counts);
	assert_in_range(counts[1], 2000 - 200, 2000 + 200);
	assert_in_range(counts[2], 4000 - 230, 4000 + 230);
}

static void test_least_loaded_spreads_a_burst_evenly(void **state)
{
	const struct before before = {.policy = POLICY_LEAST_LOADED};
	uint32_t counts[BACKENDS + 1];

	(void)state;
	count_connections(&before, 300, counts);
	assert_int_equal(counts[1], 100);
	assert_int_equal(counts[2], 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_robin_follows_its_schedule),
		cmocka_unit_test(test_random_follows_the_ring),
		cmocka_unit_test(test_random_does_not_depend_on_the_flow),
		cmocka_unit_test(test_random_spares_who_drains),
		cmocka_unit_test(test_weighted_random_follows_what_is_to_spare),
		cmocka_unit_test(test_least_loaded_spreads_a_burst_evenly),
	};
	int failed = 0;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed += run_cases("balancer: signals", signals, COUNT(signals));
	failed += run_cases("balancer: policies", policies, COUNT(policies));
	failed += run_cases("balancer: draining", draining, COUNT(draining));
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
