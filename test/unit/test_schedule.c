/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The round-robin schedule: as often as the weights say, and well spread. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ring.h"

#define MEMBERS_LARGE 5000
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct ring_member members[MEMBERS_LARGE];
static uint32_t slots[SCHEDULE_MAX];
static uint32_t counts[MEMBERS_LARGE + 1]; /* by id */

/* Ids from 1. Returns the size of the schedule, which stands in slots[]. */
static uint32_t build(const uint32_t *weights, size_t count)
{
	uint32_t size;

	for (size_t i = 0; i < count; i++)
		members[i] = (struct ring_member){.id = (uint32_t)i + 1, .weight = weights[i]};
	size = schedule_size(members, count);
	assert_true(size <= SCHEDULE_MAX);
	assert_int_equal(schedule_build(members, count, slots, size), 0);
	memset(counts, 0, sizeof(counts));
	for (uint32_t i = 0; i < size; i++) {
		assert_in_range(slots[i], 1, count);
		counts[slots[i]]++;
	}
	return size;
}

static uint32_t build_equal(size_t count, uint32_t weight)
{
	static uint32_t weights[MEMBERS_LARGE];

	for (size_t i = 0; i < count; i++)
		weights[i] = weight;
	return build(weights, count);
}

static double share(const uint32_t *weights, size_t count, size_t member)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += weights[i];
	return weights[member] / sum;
}

static void test_counts_are_the_weights(void **state)
{
	static const uint32_t weights[] = {1, 1, 2, 2, 4, 4, 8, 8};

	(void)state;
	assert_int_equal(build(weights, LENGTH(weights)), 30);
	for (size_t i = 0; i < LENGTH(weights); i++)
		assert_int_equal(counts[i + 1], weights[i]);
}

static void test_common_divisor_is_taken_out(void **state)
{
	static const uint32_t weights[] = {200, 400, 600}, with_none[] = {0, 512, 0, 256};

	(void)state;
	assert_int_equal(build(weights, 3), 6);
	assert_int_equal(counts[3], 3);
	assert_int_equal(build(with_none, 4), 3);
	assert_int_equal(build_equal(100, 1000), 100);
}

static void test_without_weight_no_turn(void **state)
{
	static const uint32_t weights[] = {0, 3, 0, 1}, none[] = {0, 0};

	(void)state;
	build(weights, 4);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[2], 3);
	assert_int_equal(counts[3], 0);
	assert_int_equal(build(none, 2), 0);
	assert_int_equal(schedule_size(members, 0), 0);
}

/* The example of nginx's authors. */
static void test_turns_are_written_out(void **state)
{
	static const uint32_t weights[] = {5, 1, 1}, expected[] = {1, 1, 2, 1, 3, 1, 1};

	(void)state;
	assert_int_equal(build(weights, 3), 7);
	assert_memory_equal(slots, expected, sizeof(expected));
}

/* At no time has a member had more than two turns more, or less, than its share. */
static void assert_spread(const uint32_t *weights, size_t count, double tolerance)
{
	uint32_t size = build(weights, count);

	for (size_t i = 0; i < count; i++) {
		double expected = 0, part = share(weights, count, i);
		uint32_t had = 0;

		for (uint32_t slot = 0; slot < size; slot++) {
			expected += part;
			had += slots[slot] == i + 1;
			if (had > expected + tolerance || had < expected - tolerance)
				fail_msg("member %zu had %u turns of %g after %u", i, had, expected,
					 slot + 1);
		}
	}
}

static void test_turns_are_spread(void **state)
{
	static const uint32_t uneven[] = {1, 1, 2, 2, 4, 4, 8, 8}, two[] = {999, 1000},
			      heavy[] = {1000, 1, 1, 1, 1, 1, 1, 1}, primes[] = {251, 257, 509, 3},
			      automatic[] = {37, 2048, 255, 256, 300, 1024, 777, 12};

	(void)state;
	assert_spread(two, LENGTH(two), 1);
	assert_spread(uneven, LENGTH(uneven), 2);
	assert_spread(heavy, LENGTH(heavy), 2);
	assert_spread(primes, LENGTH(primes), 2);
	assert_spread(automatic, LENGTH(automatic), 2);
}

static void test_equal_members_take_turns(void **state)
{
	(void)state;
	for (uint32_t i = 0, size = build_equal(64, 7); i < size; i++)
		assert_int_equal(slots[i], i + 1);
}

static void test_size_has_an_end(void **state)
{
	static const uint32_t weights[] = {999983, 99991, 10007, 2};

	(void)state;
	assert_int_equal(build(weights, LENGTH(weights)), SCHEDULE_MAX);
	for (size_t i = 0; i < LENGTH(weights); i++) {
		double expected = SCHEDULE_MAX * share(weights, LENGTH(weights), i);

		assert_true(counts[i + 1] > expected - 1 && counts[i + 1] < expected + 1);
	}
}

/* Sums of weights do not wrap, whatever their number. */
static void test_largest_weights(void **state)
{
	static const uint32_t weights[] = {UINT32_MAX, UINT32_MAX - 1, UINT32_MAX, 1};

	(void)state;
	assert_int_equal(build(weights, LENGTH(weights)), SCHEDULE_MAX);
	assert_in_range(counts[1], SCHEDULE_MAX / 3 - 1, SCHEDULE_MAX / 3 + 1);
	assert_in_range(counts[2], SCHEDULE_MAX / 3 - 1, SCHEDULE_MAX / 3 + 1);
	assert_int_equal(build_equal(3, UINT32_MAX), 3);
}

/* More members than slots: nobody twice. */
static void test_more_members_than_slots(void **state)
{
	(void)state;
	assert_int_equal(build_equal(MEMBERS_LARGE, 256), SCHEDULE_MAX);
	for (uint32_t id = 1; id <= MEMBERS_LARGE; id++)
		assert_true(counts[id] <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_are_the_weights),
		cmocka_unit_test(test_common_divisor_is_taken_out),
		cmocka_unit_test(test_without_weight_no_turn),
		cmocka_unit_test(test_turns_are_written_out),
		cmocka_unit_test(test_turns_are_spread),
		cmocka_unit_test(test_equal_members_take_turns),
		cmocka_unit_test(test_size_has_an_end),
		cmocka_unit_test(test_largest_weights),
		cmocka_unit_test(test_more_members_than_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
