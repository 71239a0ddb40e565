/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How often rings are built when backends change one by one, and that none is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <unistd.h>

#include "balancer/rebuild.h"
#include "clock.h"
#include "log.h"

#define SERVICES 3
#define CHANGES 1000
#define HEARD_MAX 64

struct world {
	struct event_base *base;
	struct rebuild *rebuild;
	unsigned int built[SERVICES];
	useconds_t first_takes_us; /* to build the first service's */
};

static void count(size_t service, void *context)
{
	struct world *world = context;

	if (!service)
		usleep(world->first_takes_us);
	world->built[service]++;
}

static void frame(void *context)
{
	(void)context;
}

static void open_world(struct world *world)
{
	*world = (struct world){.base = event_base_new()};
	world->rebuild = rebuild_open(world->base, SERVICES, count, frame, frame, world);
	assert_non_null(world->rebuild);
	for (size_t i = 0; i < SERVICES; i++)
		rebuild_mark(world->rebuild, i);
}

static void close_world(struct world *world)
{
	rebuild_close(world->rebuild);
	event_base_free(world->base);
}

static void expect(const struct world *world, unsigned int first, unsigned int second,
		   unsigned int third)
{
	assert_int_equal(world->built[0], first);
	assert_int_equal(world->built[1], second);
	assert_int_equal(world->built[2], third);
}

static void test_first(void **state)
{
	struct world world;

	(void)state;
	open_world(&world);
	expect(&world, 0, 0, 0);
	rebuild_soon(world.rebuild);
	expect(&world, 1, 1, 1);
	/* Nothing has changed since. */
	rebuild_now(world.rebuild);
	expect(&world, 1, 1, 1);
	close_world(&world);
}

static void test_one_change(void **state)
{
	uint64_t end_ns;
	struct world world;

	(void)state;
	open_world(&world);
	rebuild_now(world.rebuild);
	for (end_ns = now_ns() + 2 * REBUILD_INTERVAL_MS * 1000000ULL; now_ns() < end_ns;)
		;
	rebuild_mark(world.rebuild, 1);
	rebuild_soon(world.rebuild);
	expect(&world, 1, 2, 1);
	close_world(&world);
}

static void test_many_changes(void **state)
{
	uint64_t start_ns, elapsed_ms;
	struct world world;

	(void)state;
	open_world(&world);
	start_ns = now_ns();
	for (int i = 0; i < CHANGES; i++) {
		rebuild_mark(world.rebuild, 2);
		rebuild_soon(world.rebuild);
		event_base_loop(world.base, EVLOOP_NONBLOCK);
	}
	rebuild_mark(world.rebuild, 0);
	rebuild_soon(world.rebuild);
	/* Until no timer is left. */
	event_base_loop(world.base, 0);
	elapsed_ms = (now_ns() - start_ns) / 1000000;
	assert_int_equal(world.built[1], 1);
	assert_int_equal(world.built[0], 2);
	assert_true(world.built[2] >= 2);
	assert_true(world.built[2] <= 2 + elapsed_ms / REBUILD_INTERVAL_MS);
	close_world(&world);
}

static void test_now(void **state)
{
	struct world world;

	(void)state;
	open_world(&world);
	rebuild_now(world.rebuild);
	rebuild_mark(world.rebuild, 0);
	rebuild_soon(world.rebuild);
	rebuild_now(world.rebuild);
	expect(&world, 2, 1, 1);
	event_base_loop(world.base, 0);
	expect(&world, 2, 1, 1);
	close_world(&world);
}

static void hear(enum log_level level, const char *text, void *context)
{
	(void)level;
	snprintf(context, HEARD_MAX, "%s", text);
}

/* At the start somebody waits; later nobody needs to know. */
static void test_progress(void **state)
{
	char heard[HEARD_MAX] = "";
	struct world world;

	(void)state;
	log_listen(hear, heard);
	open_world(&world);
	world.first_takes_us = 1050000;
	rebuild_now(world.rebuild);
	assert_string_equal(heard, "rings: 1 of 3 are built");
	heard[0] = '\0';
	rebuild_mark(world.rebuild, 0);
	rebuild_now(world.rebuild);
	expect(&world, 2, 1, 1);
	assert_string_equal(heard, "");
	close_world(&world);
	log_listen(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),	     cmocka_unit_test(test_one_change),
		cmocka_unit_test(test_many_changes), cmocka_unit_test(test_now),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
