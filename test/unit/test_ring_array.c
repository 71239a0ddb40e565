/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose the slots of a service's ring are: for new flows, and for those that are found by their hash alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "balancer/ring_array.h"

#define MEMBERS 3
#define RING_SIZE 1021

/* Members 1 to 3, all reached, each of another weight that is set. */
struct world {
	struct backend backends[MEMBERS + 1];
	struct dataplane dataplane;
	struct backend_config configs[MEMBERS];
	struct member members[MEMBERS];
	struct service_config config;
	struct balanced_service service;
};

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->dataplane.backends = world->backends;
	world->config.ring_size = RING_SIZE;
	world->config.backend_count = MEMBERS;
	world->config.backends = world->configs;
	world->service.config = &world->config;
	world->service.members = world->members;
	for (uint32_t i = 0; i < MEMBERS; i++) {
		world->configs[i].address = address_of_ipv4((struct in_addr){htonl(10 << 24 | i)});
		world->configs[i].weight = i + 1;
		world->members[i] = (struct member){
			.config = &world->configs[i],
			.index = i + 1,
			.weight = (i + 1) * WEIGHT_ONE,
			.ramp = HEALTH_RAMP_ONE,
			.neighbour.resolved = true,
		};
	}
	*state = world;
	return 0;
}

static int close_world(void **state)
{
	free(*state);
	return 0;
}

static void fill(struct world *world, struct ring_array *array)
{
	assert_int_equal(ring_array_fill(array, &world->dataplane, &world->service), 0);
}

static size_t count_slots(const uint32_t *slots, uint32_t member)
{
	size_t count = 0;

	for (size_t i = 0; i < RING_SIZE; i++)
		count += slots[i] == member;
	return count;
}

static void test_as_set(void **state)
{
	struct ring_array array;

	fill(*state, &array);
	assert_null(array.steady);
	assert_int_equal(array.member_count, MEMBERS);
	assert_int_equal(ring_array_size(&array), RING_SIZE + MEMBERS + array.schedule_size);
	for (uint32_t i = 0; i < ring_array_size(&array); i++)
		assert_int_equal(ring_array_slot(&array, i), array.slots[i]);
	for (uint32_t i = 0; i < MEMBERS; i++)
		assert_int_equal(array.slots[RING_SIZE + i], i + 1);
	ring_array_free(&array);
}

/* What the slots say for those that are not remembered is as if nothing had happened. */
static void expect_steady(struct world *world, const struct ring_array *before)
{
	struct ring_array array;
	uint32_t i;

	fill(world, &array);
	assert_non_null(array.steady);
	assert_memory_equal(array.steady, before->slots, RING_SIZE * sizeof(*array.steady));
	assert_memory_not_equal(array.slots, before->slots, RING_SIZE * sizeof(*array.slots));
	for (i = 0; i < RING_SIZE; i++)
		assert_int_equal(ring_array_slot(&array, i),
				 (uint64_t)before->slots[i] << RING_STEADY_SHIFT | array.slots[i]);
	for (; i < ring_array_size(&array); i++)
		assert_int_equal(ring_array_slot(&array, i), array.slots[i]);
	ring_array_free(&array);
}

static void test_live_weights(void **state)
{
	struct world *world = *state;
	struct ring_array before;

	fill(world, &before);
	world->members[2].weight = WEIGHT_ONE / 4;
	expect_steady(world, &before);
	world->members[2].weight = 3 * WEIGHT_ONE;
	world->members[0].ramp = HEALTH_RAMP_ONE / 8;
	expect_steady(world, &before);
	ring_array_free(&before);
}

static void test_set_weights(void **state)
{
	struct world *world = *state;
	struct ring_array before, array;

	fill(world, &before);
	world->configs[0].weight = 10;
	fill(world, &array);
	assert_non_null(array.steady);
	assert_memory_equal(array.slots, before.slots, RING_SIZE * sizeof(*array.slots));
	assert_true(count_slots(array.steady, 1) > RING_SIZE / 2);
	ring_array_free(&array);
	ring_array_free(&before);
}

/* Of those who are not in the ring there is nothing in the other, either. */
static void test_absent_members(void **state)
{
	struct world *world = *state;
	struct ring_array array;

	world->configs[0].draining = true;
	world->members[1].weight = WEIGHT_ONE;
	fill(world, &array);
	assert_int_equal(array.member_count, 2);
	assert_int_equal(count_slots(array.slots, 1), 0);
	assert_int_equal(count_slots(array.steady, 1), 0);
	assert_int_equal(count_slots(array.steady, 2) + count_slots(array.steady, 3), RING_SIZE);
	ring_array_free(&array);
}

static void test_last_resort(void **state)
{
	struct world *world = *state;
	struct ring_array array;

	for (size_t i = 0; i < MEMBERS; i++)
		world->members[i].health.state = HEALTH_DOWN;
	world->backends[2].ifindex = 1;
	world->config.all_down = ALL_DOWN_TRY_ALL;
	fill(world, &array);
	assert_int_equal(array.member_count, 1);
	assert_int_equal(count_slots(array.slots, 2), RING_SIZE);
	ring_array_free(&array);
	world->config.all_down = ALL_DOWN_RESET;
	fill(world, &array);
	assert_int_equal(ring_array_size(&array), 0);
	ring_array_free(&array);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)
	const struct CMUnitTest tests[] = {
		TEST(test_as_set),	   TEST(test_live_weights), TEST(test_set_weights),
		TEST(test_absent_members), TEST(test_last_resort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
