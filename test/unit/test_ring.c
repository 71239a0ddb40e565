/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ring.h"

#define SIZE_LARGE 65537
#define MEMBERS_LARGE 4096

static struct ring_member members[MEMBERS_LARGE];
static uint32_t before[SIZE_LARGE], after[SIZE_LARGE];
static uint32_t slots_before[MEMBERS_LARGE + 1], slots_after[MEMBERS_LARGE + 1];

enum weights {
	EQUAL,
	ONE_HEAVY, /* 1000 against 1 */
	RISING, /* 1, 2, 3 ... */
	MIXED,
};

static uint32_t weight_of(enum weights weights, size_t i)
{
	switch (weights) {
	case ONE_HEAVY:
		return i ? 1 : 1000;
	case RISING:
		return i + 1;
	case MIXED:
		return 1 + i * 7919 % 1000;
	default:
		return 1;
	}
}

/* Addresses one after the other, as servers have them; ids from 1. */
static void fill_members(size_t count, enum weights weights)
{
	size_t i;

	for (i = 0; i < count; i++)
		members[i] = (struct ring_member){
			.id = i + 1,
			.identity = 0x0a010003 + i,
			.weight = weight_of(weights, i),
		};
}

/* Builds a ring and counts the slots of each member, by id. */
static void build(size_t count, uint32_t *slots, uint32_t *counts, uint32_t size)
{
	uint32_t i;

	memset(slots, 0xff, size * sizeof(*slots));
	memset(counts, 0, (MEMBERS_LARGE + 1) * sizeof(*counts));
	assert_int_equal(ring_build(members, count, slots, size), 0);
	for (i = 0; i < size; i++) {
		assert_in_range(slots[i], 1, MEMBERS_LARGE);
		counts[slots[i]]++;
	}
}

/* Slots that changed hands although they could have stayed where they were. */
static uint32_t moved_needlessly(uint32_t size)
{
	uint32_t i, moved = 0, needed = 0;

	for (i = 0; i < size; i++)
		moved += before[i] != after[i];
	for (i = 1; i <= MEMBERS_LARGE; i++)
		if (slots_before[i] > slots_after[i])
			needed += slots_before[i] - slots_after[i];
	return moved - needed;
}

static void assert_close(double is, double should, double tolerance)
{
	if (is < should - tolerance || is > should + tolerance)
		fail_msg("%g is not within %g of %g", is, tolerance, should);
}

/*
 * What the turns promise: for some T everybody has weight * T slots, but for one at most. As the
 * deviations may add up to `count`, that is the member's quota but for 1 + count * its share.
 */
static void assert_shares(size_t count, uint32_t size)
{
	double total = 0, at_least = 0, at_most = size, weight, share;
	size_t i;

	for (i = 0; i < count; i++)
		total += members[i].weight;
	for (i = 0; i < count; i++) {
		weight = members[i].weight;
		if (!weight)
			continue;
		share = weight / total;
		assert_close(slots_before[i + 1], size * share, 1 + count * share);
		if ((slots_before[i + 1] - 1) / weight > at_least)
			at_least = (slots_before[i + 1] - 1) / weight;
		if ((slots_before[i + 1] + 1) / weight < at_most)
			at_most = (slots_before[i + 1] + 1) / weight;
	}
	assert_true(at_least <= at_most);
}

static void test_shares_follow_weights(void **state)
{
	static const uint32_t sizes[] = {251, 4099, SIZE_LARGE};
	static const size_t counts[] = {2, 3, 8, 100, 250, 1000, MEMBERS_LARGE};
	enum weights weights;
	size_t s, c;

	(void)state;
	for (weights = EQUAL; weights <= MIXED; weights++)
		for (s = 0; s < 3; s++)
			for (c = 0; c < 7 && counts[c] <= sizes[s]; c++) {
				fill_members(counts[c], weights);
				build(counts[c], before, slots_before, sizes[s]);
				assert_shares(counts[c], sizes[s]);
			}
}

static void test_equal_weights_differ_by_one_slot(void **state)
{
	uint32_t id;

	(void)state;
	fill_members(1000, EQUAL);
	build(1000, before, slots_before, SIZE_LARGE);
	for (id = 1; id <= 1000; id++)
		assert_in_range(slots_before[id], SIZE_LARGE / 1000, SIZE_LARGE / 1000 + 1);
}

/* Rings are agreed on by balancers that may not be of one version: this one must never change. */
static void test_ring_written_out(void **state)
{
	static const uint32_t expected[] = {3, 2, 2, 3, 3, 4, 3, 3, 4, 2, 3, 3, 1, 3, 3, 4,
					    2, 2, 3, 3, 3, 2, 3, 3, 2, 4, 1, 1, 1, 2, 3};
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		members[i] = (struct ring_member){i + 1, 0x0a010003 + i, i == 3 ? 1 : 1 << i};
	build(4, before, slots_before, 31);
	assert_memory_equal(before, expected, sizeof(expected));
}

static void test_order_of_members_does_not_matter(void **state)
{
	struct ring_member swapped;
	size_t i, j;

	(void)state;
	fill_members(500, MIXED);
	build(500, before, slots_before, SIZE_LARGE);
	srand(1);
	for (i = 499; i > 0; i--) {
		j = rand() % (i + 1);
		swapped = members[i];
		members[i] = members[j];
		members[j] = swapped;
	}
	build(500, after, slots_after, SIZE_LARGE);
	assert_memory_equal(before, after, sizeof(before));
}

static void test_only_ratio_of_weights_matters(void **state)
{
	size_t i;

	(void)state;
	fill_members(500, MIXED);
	build(500, before, slots_before, SIZE_LARGE);
	for (i = 0; i < 500; i++)
		members[i].weight *= UINT32_MAX / 1000;
	build(500, after, slots_after, SIZE_LARGE);
	assert_memory_equal(before, after, sizeof(before));
}

static void test_ids_do_not_matter(void **state)
{
	uint32_t i;

	(void)state;
	fill_members(50, MIXED);
	build(50, before, slots_before, SIZE_LARGE);
	for (i = 0; i < 50; i++)
		members[i].id = 50 - i;
	build(50, after, slots_after, SIZE_LARGE);
	for (i = 0; i < SIZE_LARGE; i++)
		assert_int_equal(before[i], 51 - after[i]);
}

/*
 * Nobody loses slots in number when another goes, that is exact. That some change places all the
 * same is Maglev's price: under 1 % of the ring here, which is what its authors measured too.
 */
static void test_one_of_many_goes_and_comes(void **state)
{
	static const size_t counts[] = {2, 10, 100, 1000};
	size_t c, gone, i;

	(void)state;
	for (c = 0; c < 4; c++) {
		fill_members(counts[c], MIXED);
		build(counts[c], before, slots_before, SIZE_LARGE);
		for (gone = 0; gone < counts[c]; gone += (counts[c] + 4) / 5) {
			uint32_t weight = members[gone].weight;

			members[gone].weight = 0;
			build(counts[c], after, slots_after, SIZE_LARGE);
			members[gone].weight = weight;
			assert_int_equal(slots_after[gone + 1], 0);
			for (i = 0; i < counts[c]; i++)
				if (i != gone)
					assert_true(slots_after[i + 1] >= slots_before[i + 1]);
			assert_true(moved_needlessly(SIZE_LARGE) < SIZE_LARGE / 100);
		}
	}
}

static void test_weight_zero_is_as_good_as_absent(void **state)
{
	(void)state;
	fill_members(20, RISING);
	members[19].weight = 0;
	build(20, before, slots_before, 4099);
	build(19, after, slots_after, 4099);
	assert_int_equal(slots_before[20], 0);
	assert_memory_equal(before, after, 4099 * sizeof(*before));
}

/* The needless moves are measured ones, rounded up: the smaller the change, the fewer. */
static void test_one_of_many_changes_weight(void **state)
{
	static const struct {
		uint32_t weight; /* that was 100 */
		double percent; /* of the ring that may move needlessly */
	} changes[] = {{0, 1},	  {50, 1},   {90, .5}, {99, .2},
		       {101, .2}, {110, .5}, {200, 1}, {1000, 2}};
	size_t c, i;
	int gains;

	(void)state;
	fill_members(100, EQUAL);
	for (i = 0; i < 100; i++)
		members[i].weight = 100;
	build(100, before, slots_before, SIZE_LARGE);
	for (c = 0; c < sizeof(changes) / sizeof(*changes); c++) {
		members[50].weight = changes[c].weight;
		build(100, after, slots_after, SIZE_LARGE);
		for (i = 0; i < 100; i++) {
			gains = (int)slots_after[i + 1] - (int)slots_before[i + 1];
			if (gains)
				assert_true((gains > 0) ==
					    ((i == 50) == (changes[c].weight > 100)));
		}
		assert_true(moved_needlessly(SIZE_LARGE) < SIZE_LARGE * changes[c].percent / 100);
	}
}

static void test_nobody_with_a_weight_starves(void **state)
{
	uint32_t id;

	(void)state;
	fill_members(100, EQUAL);
	members[0].weight = members[1].weight = UINT32_MAX;
	build(100, before, slots_before, 251);
	for (id = 3; id <= 100; id++)
		assert_int_equal(slots_before[id], 1);
	assert_close(slots_before[1], (251 - 98) / 2.0, 1);
}

static void test_one_member_has_all(void **state)
{
	(void)state;
	fill_members(1, ONE_HEAVY);
	build(1, before, slots_before, 251);
	assert_int_equal(slots_before[1], 251);
}

static void test_ids_of_all_values(void **state)
{
	uint32_t i, highest = 0;

	(void)state;
	fill_members(2, EQUAL);
	members[0].id = 0;
	members[1].id = UINT32_MAX;
	assert_int_equal(ring_build(members, 2, before, 251), 0);
	for (i = 0; i < 251; i++) {
		assert_true(before[i] == 0 || before[i] == UINT32_MAX);
		highest += before[i] == UINT32_MAX;
	}
	assert_in_range(highest, 125, 126);
}

static void test_nobody_to_take_slots(void **state)
{
	(void)state;
	fill_members(3, EQUAL);
	members[0].weight = members[1].weight = members[2].weight = 0;
	assert_int_equal(ring_build(members, 3, before, 251), -EINVAL);
	assert_int_equal(ring_build(NULL, 0, before, 251), -EINVAL);
	assert_int_equal(ring_build(members, 3, before, 0), -EINVAL);
}

static void test_one_or_two_slots(void **state)
{
	(void)state;
	fill_members(5, EQUAL);
	build(5, before, slots_before, 1);
	build(5, before, slots_before, 2);
	assert_int_not_equal(before[0], before[1]);
}

static void test_more_members_than_slots(void **state)
{
	uint32_t id;

	(void)state;
	fill_members(1000, EQUAL);
	build(1000, before, slots_before, 251);
	for (id = 1; id <= 1000; id++)
		assert_in_range(slots_before[id], 0, 1);
}

/* 15 ms where it was written; the bound is for sanitizers and tired machines. */
static void test_largest_ring_is_fast(void **state)
{
	clock_t start;

	(void)state;
	fill_members(MEMBERS_LARGE, MIXED);
	start = clock();
	build(MEMBERS_LARGE, before, slots_before, SIZE_LARGE);
	assert_true(clock() - start < CLOCKS_PER_SEC / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares_follow_weights),
		cmocka_unit_test(test_equal_weights_differ_by_one_slot),
		cmocka_unit_test(test_ring_written_out),
		cmocka_unit_test(test_order_of_members_does_not_matter),
		cmocka_unit_test(test_only_ratio_of_weights_matters),
		cmocka_unit_test(test_ids_do_not_matter),
		cmocka_unit_test(test_one_of_many_goes_and_comes),
		cmocka_unit_test(test_weight_zero_is_as_good_as_absent),
		cmocka_unit_test(test_one_of_many_changes_weight),
		cmocka_unit_test(test_nobody_with_a_weight_starves),
		cmocka_unit_test(test_one_member_has_all),
		cmocka_unit_test(test_ids_of_all_values),
		cmocka_unit_test(test_nobody_to_take_slots),
		cmocka_unit_test(test_one_or_two_slots),
		cmocka_unit_test(test_more_members_than_slots),
		cmocka_unit_test(test_largest_ring_is_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
