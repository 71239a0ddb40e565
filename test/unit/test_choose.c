/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every signal and every policy of choose.h, as the pure functions that they are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "choose.h"

#define COST_LARGEST (COST_ONE * 256U) /* at the smallest weight in force, 1/256 */
#define COST_SMALLEST (COST_ONE / WEIGHT_MAX)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t random_state;

/* The same numbers in every run. */
static uint64_t random_next(void)
{
	random_state += 0x9e3779b97f4a7c15ULL;
	return hash_mix(random_state);
}

static double random_unit(void)
{
	return (double)((random_next() >> 11) + 1) * 0x1p-53;
}

static void random_seed(uint64_t seed)
{
	random_state = hash_mix(seed);
}

static void assert_close(double is, double should, double tolerance)
{
	if (!(fabs(is - should) <= tolerance))
		fail_msg("%g is not within %g of %g", is, tolerance, should);
}

/* Chance alone stays below the mean of the distribution and four of its standard deviations. */
static void assert_distribution(const uint32_t *counts, const double *shares, size_t count)
{
	double total = 0, chi_square = 0, freedom = (double)count - 1;

	for (size_t i = 0; i < count; i++)
		total += counts[i];
	for (size_t i = 0; i < count; i++) {
		double expected = total * shares[i];

		chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
	}
	if (chi_square > freedom + 4 * sqrt(2 * freedom))
		fail_msg("chi-square is %g with %g degrees of freedom", chi_square, freedom);
}

/* ------------------------------------------------------------------- signals */

static struct candidate a_candidate(void)
{
	return (struct candidate){
		.cost = COST_ONE,
		.pending = 3,
		.in_flight = 10,
		.utilisation = 20000,
		.accept_queue = 1000,
		.latency_us = 5000,
		.application = 1,
	};
}

static void test_in_flight_counts_this_one_and_pending(void **state)
{
	struct candidate candidate = {.cost = COST_ONE};

	(void)state;
	assert_int_equal(load_in_flight(&candidate), COST_ONE);
	candidate.in_flight = 4;
	candidate.pending = 2;
	assert_int_equal(load_in_flight(&candidate), 7 * COST_ONE);
	candidate.cost = COST_ONE / 4;
	assert_int_equal(load_in_flight(&candidate), 7 * COST_ONE / 4);
}

static void test_more_requests_are_more_load(void **state)
{
	(void)state;
	for (int signal = 0; signal < SIGNAL_COUNT; signal++) {
		struct candidate less = a_candidate(), more = a_candidate();
		uint64_t load = load_by_signal(&less, signal);

		more.pending++;
		assert_true(load_by_signal(&more, signal) > load);
		assert_true(load < KEY_UNKNOWN);
	}
}

static void test_more_of_the_measure_is_more_load(void **state)
{
	struct candidate less = a_candidate(), more;
	uint32_t *measures[] = {&more.in_flight,    &more.utilisation, &more.latency_us,
				&more.accept_queue, &more.utilisation, &more.utilisation};

	(void)state;
	_Static_assert(LENGTH(measures) == SIGNAL_COUNT, "one each");
	for (int signal = 0; signal < SIGNAL_COUNT; signal++) {
		more = less;
		(*measures[signal])++;
		assert_true(load_by_signal(&more, signal) > load_by_signal(&less, signal));
	}
}

/* What has been measured grows in proportion to the requests that will be there. */
static void test_measures_are_projected(void **state)
{
	struct candidate candidate = a_candidate();

	(void)state;
	candidate.in_flight = 9;
	candidate.utilisation = 9999;
	candidate.pending = 0;
	assert_int_equal(load_utilisation(&candidate), 10000 * 256);
	candidate.pending = 10;
	assert_int_equal(load_utilisation(&candidate), 20000 * 256);
}

static void test_weight_divides_requests_only(void **state)
{
	(void)state;
	for (int signal = 0; signal < SIGNAL_COUNT; signal++) {
		struct candidate light = a_candidate(), heavy = a_candidate();

		heavy.cost = light.cost / 10;
		if (signal == SIGNAL_IN_FLIGHT)
			assert_true(load_by_signal(&heavy, signal) <
				    load_by_signal(&light, signal));
		else
			assert_int_equal(load_by_signal(&heavy, signal),
					 load_by_signal(&light, signal));
	}
}

static void test_worst_is_the_fullest(void **state)
{
	struct candidate candidate = a_candidate();

	(void)state;
	assert_int_equal(load_worst(&candidate), load_utilisation(&candidate));
	candidate.accept_queue = 30000;
	assert_int_equal(load_worst(&candidate), load_accept_queue(&candidate));
}

/* By whatever is measured, and however idle it looks; who counts requests counts the penalty. */
static void test_full_is_worse_than_any_load(void **state)
{
	struct choosing choosing = {.hot = ~0U};
	struct candidate busy = {.cost = COST_ONE,
				 .in_flight = 65535,
				 .pending = PENDING_MAX,
				 .utilisation = 65535,
				 .accept_queue = 65534,
				 .latency_us = ~0U,
				 .application = 1};
	struct candidate full = {.cost = COST_ONE, .accept_queue = 65535, .application = 1};

	(void)state;
	for (int signal = 0; signal < SIGNAL_COUNT; signal++) {
		uint64_t load = load_by_signal(&full, signal);

		if (signal == SIGNAL_IN_FLIGHT)
			continue;
		assert_true(load > load_by_signal(&busy, signal));
		assert_true(load < KEY_UNKNOWN);
	}
	assert_true(key_prequal(&full, &choosing) > key_prequal(&busy, &choosing));
	choosing.hot = 0;
	assert_true(key_prequal(&full, &choosing) > key_prequal(&busy, &choosing));
	assert_true(key_prequal(&full, &choosing) < KEY_UNKNOWN);
}

static void test_application_is_unknown_until_it_speaks(void **state)
{
	struct candidate candidate = a_candidate();

	(void)state;
	assert_int_equal(load_application(&candidate), load_utilisation(&candidate));
	candidate.application = 0;
	assert_true(load_application(&candidate) == KEY_UNKNOWN);
}

/* The largest values that a report and the counters can have together, with wide arithmetic beside. */
static void test_signals_do_not_overflow(void **state)
{
	static const uint32_t costs[] = {COST_SMALLEST, COST_ONE, COST_LARGEST};
	static const uint32_t requests[] = {0, 1, 65535};
	struct candidate it;

	(void)state;
	for (size_t i = 0; i < LENGTH(costs) * 3 * 3; i++) {
		unsigned __int128 all;

		it = (struct candidate){
			.cost = costs[i % 3],
			.in_flight = requests[i / 3 % 3],
			.pending = i / 9 ? requests[i / 9] == 65535 ? PENDING_MAX : 1 : 0,
			.utilisation = 65534,
			.accept_queue = 65534,
			.latency_us = ~0U,
			.application = 1,
		};
		all = (unsigned __int128)it.in_flight + it.pending + 1;
		assert_true(load_in_flight(&it) == all * it.cost);
		assert_true(load_utilisation(&it) == 65535 * all * 256 / (it.in_flight + 1));
		assert_true(load_accept_queue(&it) == load_utilisation(&it));
		assert_true(load_latency(&it) == (all << 32) * 256 / (it.in_flight + 1));
	}
}

/* ------------------------------------------------------------ what is filled */

static void test_candidate_is_filled_from_the_report(void **state)
{
	struct load load = {
		.in_flight = 7,
		.utilisation = 100,
		.accept_queue = 200,
		.latency = load_report_float_encode(12345),
		.connections_sent = 50,
		.connections_seen = 44,
		.flags = LOAD_REPORT_APPLICATION | LOAD_REPORT_KEYED,
	};
	struct candidate candidate;

	(void)state;
	candidate_fill(&candidate, &load, COST_ONE / 2, SIGNAL_IN_FLIGHT, 1);
	assert_int_equal(candidate.in_flight, 7);
	assert_int_equal(candidate.pending, 6);
	assert_int_equal(candidate.utilisation, 100);
	assert_int_equal(candidate.accept_queue, 200);
	assert_close(candidate.latency_us, 12345, 12345 / 4096.0);
	assert_true(candidate.application);
	assert_int_equal(candidate.load, 14 * COST_ONE / 2);
	candidate_fill(&candidate, &load, COST_ONE / 2, SIGNAL_IN_FLIGHT, 0);
	assert_int_equal(candidate.pending, 0);
	assert_int_equal(candidate.load, 8 * COST_ONE / 2);
}

/* The 16-bit float reaches further than 32 bits of microseconds do. */
static void test_latency_saturates(void **state)
{
	struct load load = {0};
	struct candidate candidate;
	uint32_t last = 0;

	(void)state;
	for (uint32_t code = 0; code <= 0xFFFF; code++) {
		load.latency = (uint16_t)code;
		candidate_fill(&candidate, &load, COST_ONE, SIGNAL_LATENCY, 0);
		assert_true(candidate.latency_us >= last);
		last = candidate.latency_us;
	}
	assert_int_equal(last, ~0U);
}

static void test_pending_is_sent_less_seen_less_lost(void **state)
{
	struct load load = {.connections_sent = 100, .connections_seen = 90};

	(void)state;
	assert_int_equal(load_pending(&load), 10);
	load.connections_lost = 4;
	assert_int_equal(load_pending(&load), 6);
	load.connections_lost = 11; /* what was thought lost came after all */
	assert_int_equal(load_pending(&load), 0);
}

static void test_pending_wraps(void **state)
{
	struct load load = {.connections_sent = 5, .connections_seen = ~0U - 4};

	(void)state;
	assert_int_equal(load_pending(&load), 10);
	load.connections_lost = ~0U;
	assert_int_equal(load_pending(&load), 11);
	load = (struct load){.connections_sent = ~0U - 4, .connections_seen = 5};
	assert_int_equal(load_pending(&load), 0);
}

/* A flood of SYNs that no server ever sees, and the pending of an absurd counter. */
static void test_pending_is_bounded(void **state)
{
	struct load load = {.connections_sent = 0x7FFFFFFF};
	struct candidate candidate;

	(void)state;
	for (int signal = 0; signal < SIGNAL_COUNT; signal++) {
		candidate_fill(&candidate, &load, COST_LARGEST, signal, 1);
		assert_int_equal(candidate.pending, PENDING_MAX);
	}
}

static void test_reports_grow_stale(void **state)
{
	struct load load = {.received_ns = 1000};

	(void)state;
	assert_true(load_known(&load, 1000, 500));
	assert_true(load_known(&load, 1499, 500));
	assert_false(load_known(&load, 1500, 500));
	assert_true(load_known(&load, 990, 500)); /* it came while we read the clock */
	load.received_ns = 0;
	assert_false(load_known(&load, 100, 500));
}

/* ------------------------------------------------------------------ policies */

/* What auto weights may take for granted. */
static void test_who_keeps_requests_in_proportion(void **state)
{
	(void)state;
	for (int signal = 0; signal < SIGNAL_COUNT; signal++) {
		int by_requests = signal == SIGNAL_IN_FLIGHT;

		assert_int_equal(is_proportional(POLICY_POWER_OF_CHOICES, signal, 2), by_requests);
		assert_int_equal(is_proportional(POLICY_POWER_OF_CHOICES, signal, 1), 0);
		assert_int_equal(is_proportional(POLICY_LEAST_LOADED, signal, 1), by_requests);
		assert_int_equal(is_proportional(POLICY_PREQUAL, signal, 2), 1);
		assert_int_equal(is_proportional(POLICY_PREQUAL, signal, 1), 0);
		assert_int_equal(is_proportional(POLICY_WEIGHTED_RANDOM, signal, 2), 0);
		assert_int_equal(is_proportional(POLICY_ROUND_ROBIN, signal, 2), 0);
		assert_int_equal(is_proportional(POLICY_RANDOM, signal, 2), 0);
		assert_int_equal(is_proportional(POLICY_MAGLEV, signal, 2), 0);
	}
}

static const struct choosing cold_below_ten = {.hot = 10 << HOT_BITS};

static struct candidate prequal_candidate(uint32_t in_flight, uint32_t latency_us)
{
	return (struct candidate){
		.cost = COST_ONE, .in_flight = in_flight, .latency_us = latency_us};
}

static void test_policies_by_name(void **state)
{
	struct choosing choosing = {.random = 1ULL << 62};
	struct candidate candidate = a_candidate();

	(void)state;
	candidate.load = 77;
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_POWER_OF_CHOICES), 77);
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_LEAST_LOADED), 77);
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_PREQUAL),
			 key_prequal(&candidate, &choosing));
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_WEIGHTED_RANDOM),
			 key_spare(&candidate, &choosing));
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_ROUND_ROBIN), 0);
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_RANDOM), 0);
	assert_int_equal(key_by_policy(&candidate, &choosing, POLICY_MAGLEV), 0);
	assert_true(key_by_policy(&candidate, &choosing, POLICY_COUNT) == KEY_UNKNOWN);
	assert_true(load_by_signal(&candidate, SIGNAL_COUNT) == KEY_UNKNOWN);
	assert_int_equal(candidates_of(POLICY_POWER_OF_CHOICES), CANDIDATES_RING);
	assert_int_equal(candidates_of(POLICY_LEAST_LOADED), CANDIDATES_ALL);
	assert_int_equal(candidates_of(POLICY_COUNT), CANDIDATES_HASH);
}

static void test_prequal_rule(void **state)
{
	struct candidate fast = prequal_candidate(8, 100), slow = prequal_candidate(0, 9000),
			 hot_fast = prequal_candidate(40, 1), hot = prequal_candidate(30, 70000);

	(void)state;
	/* Cold ones by latency, however many requests they have. */
	assert_true(key_prequal(&fast, &cold_below_ten) < key_prequal(&slow, &cold_below_ten));
	/* Every cold one before every hot one, and those by requests. */
	assert_true(key_prequal(&slow, &cold_below_ten) < key_prequal(&hot, &cold_below_ten));
	assert_true(key_prequal(&hot, &cold_below_ten) < key_prequal(&hot_fast, &cold_below_ten));
	/* The border itself is cold. */
	fast.in_flight = 9;
	assert_int_equal(key_prequal(&fast, &cold_below_ten), 100);
}

static void test_prequal_extremes(void **state)
{
	struct candidate slowest = prequal_candidate(0, ~0U), fullest = prequal_candidate(65535, 0);

	(void)state;
	fullest.pending = PENDING_MAX;
	fullest.cost = COST_LARGEST;
	assert_true(key_prequal(&slowest, &cold_below_ten) < KEY_HOT);
	assert_true(key_prequal(&fullest, &cold_below_ten) > KEY_HOT);
	assert_true(key_prequal(&fullest, &cold_below_ten) < KEY_UNKNOWN);
}

static void test_prequal_sees_requests_of_the_heaviest(void **state)
{
	struct choosing none = {.hot = 0};
	struct candidate one = prequal_candidate(0, 0), two = prequal_candidate(1, 0);

	(void)state;
	one.cost = two.cost = COST_SMALLEST;
	assert_true(key_prequal(&one, &none) < key_prequal(&two, &none));
}

/* The estimate, averaged, after `rounds` of requests drawn from a geometric distribution. */
static double hot_after(uint32_t hot, double mean, uint32_t cost, int rounds)
{
	struct candidate candidate = {.cost = cost};
	double sum = 0;

	for (int i = 0; i < 2 * rounds; i++) {
		double drawn = log(random_unit()) / log(mean / (mean + 1));

		candidate.in_flight = drawn < 65535 ? (uint32_t)drawn : 65535;
		hot = hot_update(hot, &candidate);
		if (i >= rounds)
			sum += hot;
	}
	return sum / rounds / (1 << HOT_BITS);
}

/* Requests with this one: 1 + geometric, of which P(> n) = (mean / (mean + 1))^n. */
static void test_hot_finds_the_quantile(void **state)
{
	static const double means[] = {5, 30, 1000};
	static const uint32_t starts[] = {0, 1 << HOT_BITS, ~0U};

	(void)state;
	for (size_t i = 0; i < LENGTH(means) * LENGTH(starts); i++) {
		double mean = means[i % 3];
		double quantile = log(1 - HOT_QUANTILE / 256.0) / log(mean / (mean + 1));

		random_seed(i);
		assert_close(hot_after(starts[i / 3], mean, COST_ONE, 20000), quantile,
			     0.08 * quantile + 0.5);
	}
}

static void test_hot_of_heavy_backends(void **state)
{
	double quantile = log(1 - HOT_QUANTILE / 256.0) / log(300.0 / 301);

	(void)state;
	random_seed(9);
	assert_close(hot_after(0, 300, COST_SMALLEST, 20000), quantile / WEIGHT_MAX,
		     0.1 * quantile / WEIGHT_MAX);
}

static void test_hot_does_not_wrap(void **state)
{
	struct candidate idle = {.cost = COST_SMALLEST};
	struct candidate full = {.cost = COST_LARGEST, .in_flight = 65535, .pending = PENDING_MAX};
	uint32_t hot, next;

	(void)state;
	for (hot = 1 << 20; hot > 10; hot = next) {
		next = hot_update(hot, &idle);
		assert_true(next < hot);
	}
	assert_true(hot_update(0, &idle) < 1 << HOT_BITS);
	for (int i = 0; i < 10000; i++, hot = next) {
		next = hot_update(hot, &full);
		assert_true(next > hot || next == ~0U);
	}
	assert_int_equal(hot, ~0U);
}

/* ------------------------------------------------------------ weighted-random */

static void test_minus_log2_is_close(void **state)
{
	(void)state;
	random_seed(1);
	for (int i = 0; i < 1000000; i++) {
		/* All powers alike, not most of them near 1. */
		uint64_t u = (random_next() | 1) >> (i & 63) | 1;

		assert_close((double)minus_log2(u) / (1 << LOG2_BITS), 64 - log2((double)u), 0.006);
	}
	assert_true(minus_log2(~0ULL) <= 1);
	assert_int_equal(minus_log2(1), 64ULL << LOG2_BITS);
	assert_int_equal(minus_log2(0), 64ULL << LOG2_BITS);
	assert_int_equal(minus_log2(1ULL << 63), 1ULL << LOG2_BITS);
}

static void test_minus_log2_falls(void **state)
{
	uint64_t last = ~0ULL;

	(void)state;
	for (uint64_t u = 1; u < 1ULL << 63; u += u / 1000 + 1) {
		uint64_t is = minus_log2(u);

		assert_true(is <= last);
		last = is;
	}
}

/* How often each of the candidates has the lowest key, the first of equals. */
static void draw(const struct candidate *candidates, size_t count, uint32_t draws, uint32_t *counts)
{
	for (size_t i = 0; i < count; i++)
		counts[i] = 0;
	for (uint32_t n = 0; n < draws; n++) {
		uint64_t lowest = ~0ULL;
		size_t first = random_next() % count, best = 0;

		for (size_t i = 0; i < count; i++) {
			struct choosing choosing = {.random = random_next()};
			size_t place = (first + i) % count;
			uint64_t key = key_spare(&candidates[place], &choosing);

			if (key < lowest) {
				lowest = key;
				best = place;
			}
		}
		counts[best]++;
	}
}

#define DRAWN_MAX 1000

static void assert_drawn_by_share(struct candidate *candidates, size_t count, uint32_t draws)
{
	static uint32_t counts[DRAWN_MAX];
	static double shares[DRAWN_MAX];
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		shares[i] =
			(65536.0 - (double)(load_worst(&candidates[i]) >> 8)) / candidates[i].cost;
		sum += shares[i];
	}
	for (size_t i = 0; i < count; i++)
		shares[i] /= sum;
	draw(candidates, count, draws, counts);
	assert_distribution(counts, shares, count);
}

static void test_spare_is_drawn_by_weight(void **state)
{
	static const uint32_t weights[] = {1, 1, 2, 2, 4, 4, 8, 8};
	struct candidate candidates[LENGTH(weights)] = {0};

	(void)state;
	random_seed(2);
	for (size_t i = 0; i < LENGTH(weights); i++)
		candidates[i].cost = COST_ONE / weights[i];
	assert_drawn_by_share(candidates, LENGTH(weights), 100000);
	assert_drawn_by_share(candidates + 5, 2, 100000); /* 4 against 8 */
}

static void test_spare_is_drawn_by_idleness(void **state)
{
	static const uint32_t utilisations[] = {0, 16384, 32768, 49152};
	struct candidate candidates[LENGTH(utilisations)] = {0};

	(void)state;
	random_seed(3);
	for (size_t i = 0; i < LENGTH(utilisations); i++) {
		candidates[i].cost = COST_ONE;
		candidates[i].utilisation = utilisations[i];
	}
	assert_drawn_by_share(candidates, LENGTH(utilisations), 100000);
	/* And what is on the way takes from it. */
	candidates[0].in_flight = 7;
	candidates[0].utilisation = 16000;
	candidates[0].pending = 16;
	assert_drawn_by_share(candidates, LENGTH(utilisations), 100000);
}

static void test_spare_of_many_heavy_ones(void **state)
{
	static struct candidate candidates[DRAWN_MAX];

	(void)state;
	random_seed(4);
	for (size_t i = 0; i < DRAWN_MAX; i++)
		candidates[i].cost = COST_ONE / (i % 2 ? WEIGHT_MAX : WEIGHT_MAX / 2);
	assert_drawn_by_share(candidates, DRAWN_MAX, 30000);
}

static void test_full_backends_keep_a_little(void **state)
{
	struct candidate candidates[2] = {
		{.cost = COST_ONE, .utilisation = 65535, .pending = 65535},
		{.cost = COST_ONE, .utilisation = 0}};
	uint32_t counts[2];

	(void)state;
	random_seed(5);
	draw(candidates, 2, 100000, counts);
	assert_in_range(counts[0], 1500, 3200);
}

static void test_spare_does_not_overflow(void **state)
{
	struct choosing unlucky = {.random = 0}, luckier = {.random = 1ULL << 40};
	struct candidate full = {
		.cost = COST_LARGEST, .utilisation = 65535, .pending = PENDING_MAX};

	(void)state;
	assert_true(key_spare(&full, &unlucky) > key_spare(&full, &luckier));
	assert_true(key_spare(&full, &unlucky) < KEY_UNKNOWN);
}

/* ---------------------------------------------------------------- candidates */

static void test_slots_are_within_the_ring(void **state)
{
	static const uint32_t sizes[] = {1, 2, 251, RING_SIZE_MAX};

	(void)state;
	random_seed(6);
	for (size_t i = 0; i < LENGTH(sizes) * 10000; i++)
		assert_true(choose_slot(random_next(), i % CHOICES_MAX, sizes[i % 4]) <
			    sizes[i % 4]);
}

static void test_slots_are_uniform(void **state)
{
	enum { SIZE = 251 };
	static uint32_t counts[SIZE];
	double shares[SIZE];

	(void)state;
	random_seed(7);
	for (uint32_t choice = 0; choice < CHOICES_MAX; choice++) {
		for (size_t i = 0; i < SIZE; i++) {
			counts[i] = 0;
			shares[i] = 1.0 / SIZE;
		}
		for (int i = 0; i < 200000; i++)
			counts[choose_slot(random_next(), choice, SIZE)]++;
		assert_distribution(counts, shares, SIZE);
	}
}

/* A flow's candidates are as many slots as if each were drawn by itself. */
static void test_choices_are_independent(void **state)
{
	enum { SIZE = 13 };
	static uint32_t counts[SIZE * SIZE];
	double shares[SIZE * SIZE];

	(void)state;
	random_seed(8);
	for (size_t i = 0; i < SIZE * SIZE; i++)
		shares[i] = 1.0 / (SIZE * SIZE);
	for (int i = 0; i < 200000; i++) {
		uint64_t hash = random_next();

		counts[choose_slot(hash, 0, SIZE) * SIZE + choose_slot(hash, 1, SIZE)]++;
	}
	assert_distribution(counts, shares, SIZE * SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_flight_counts_this_one_and_pending),
		cmocka_unit_test(test_more_requests_are_more_load),
		cmocka_unit_test(test_more_of_the_measure_is_more_load),
		cmocka_unit_test(test_measures_are_projected),
		cmocka_unit_test(test_weight_divides_requests_only),
		cmocka_unit_test(test_worst_is_the_fullest),
		cmocka_unit_test(test_full_is_worse_than_any_load),
		cmocka_unit_test(test_application_is_unknown_until_it_speaks),
		cmocka_unit_test(test_signals_do_not_overflow),
		cmocka_unit_test(test_candidate_is_filled_from_the_report),
		cmocka_unit_test(test_latency_saturates),
		cmocka_unit_test(test_pending_is_sent_less_seen_less_lost),
		cmocka_unit_test(test_pending_wraps),
		cmocka_unit_test(test_pending_is_bounded),
		cmocka_unit_test(test_reports_grow_stale),
		cmocka_unit_test(test_who_keeps_requests_in_proportion),
		cmocka_unit_test(test_policies_by_name),
		cmocka_unit_test(test_prequal_rule),
		cmocka_unit_test(test_prequal_extremes),
		cmocka_unit_test(test_prequal_sees_requests_of_the_heaviest),
		cmocka_unit_test(test_hot_finds_the_quantile),
		cmocka_unit_test(test_hot_of_heavy_backends),
		cmocka_unit_test(test_hot_does_not_wrap),
		cmocka_unit_test(test_minus_log2_is_close),
		cmocka_unit_test(test_minus_log2_falls),
		cmocka_unit_test(test_spare_is_drawn_by_weight),
		cmocka_unit_test(test_spare_is_drawn_by_idleness),
		cmocka_unit_test(test_spare_of_many_heavy_ones),
		cmocka_unit_test(test_full_backends_keep_a_little),
		cmocka_unit_test(test_spare_does_not_overflow),
		cmocka_unit_test(test_slots_are_within_the_ring),
		cmocka_unit_test(test_slots_are_uniform),
		cmocka_unit_test(test_choices_are_independent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
