/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A backend's course through all states: which cause each has, since when, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/check.h"
#include "balancer/health_watch.h"
#include "clock.h"
#include "config/amend.h"
#include "health.h"

#define MS 1000000ULL
#define MEMBER 1 /* its index in each table */
#define LONG_AGO 1000

/* One service with one backend; of a dataplane what its health is told from. */
struct world {
	struct event_base *base;
	struct streams *streams;
	struct backend_config backend;
	struct service_config service;
	struct config config;
	struct member member;
	struct balanced_service balanced;
	struct load loads[MEMBER + 1];
	struct backend backends[MEMBER + 1];
	struct health healths[MEMBER + 1];
	uint64_t doubted[MEMBER + 1];
	struct dataplane dataplane;
	struct check check;
	struct health_watch watch;
};

static void nothing(size_t service, void *context)
{
	(void)service;
	(void)context;
}

static void frame(void *context)
{
	(void)context;
}

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->base = event_base_new();
	world->streams = streams_open(world->base, NULL, NULL);
	backend_begin(&world->backend);
	address_parse("10.1.0.11", &world->backend.address);
	strcpy(world->service.name, "web");
	world->service.backends = &world->backend;
	world->service.backend_count = 1;
	world->service.stale_after_ns = 10000 * MS;
	world->service.health = (struct health_config){.check = CHECK_HTTP, .path = "/health"};
	world->config.services = &world->service;
	world->config.service_count = 1;
	world->member = (struct member){
		.config = &world->backend,
		.index = MEMBER,
		.server = MEMBER,
		.weight = WEIGHT_ONE,
		.ramp = HEALTH_RAMP_ONE,
	};
	world->balanced = (struct balanced_service){&world->service, 1, &world->member};
	world->dataplane = (struct dataplane){
		.config = &world->config,
		.services = &world->balanced,
		.loads = world->loads,
		.backends = world->backends,
		.healths = world->healths,
		.doubted = world->doubted,
	};
	world->check.config = world->service.health;
	endpoint_parse("10.1.0.100:80", &world->check.service);
	world->watch.dataplane = &world->dataplane;
	world->watch.events = events_open(world->streams);
	world->watch.rebuild = rebuild_open(world->base, 1, nothing, frame, frame, NULL);
	*state = world;
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;

	events_close(world->watch.events);
	rebuild_close(world->watch.rebuild);
	streams_close(world->streams);
	event_base_free(world->base);
	free(world);
	return 0;
}

/* It is looked at, and looked at again, when nothing changes any more. */
static void becomes(struct world *world, enum health_state state, const char *cause)
{
	time_t now = time(NULL);

	if (world->member.health.since)
		world->member.health.since = LONG_AGO;
	health_look(&world->watch);
	assert_string_equal(health_state_name(world->member.health.state),
			    health_state_name(state));
	assert_string_equal(world->member.health.cause, cause);
	assert_in_range(world->member.health.since, now, now + 60);
	world->member.health.since = LONG_AGO;
	health_look(&world->watch);
	assert_int_equal(world->member.health.since, LONG_AGO);
}

/* Another cause, and the same state as before. */
static void goes_on(struct world *world, enum health_state state, const char *cause)
{
	world->member.health.since = LONG_AGO;
	health_look(&world->watch);
	assert_string_equal(health_state_name(world->member.health.state),
			    health_state_name(state));
	assert_string_equal(world->member.health.cause, cause);
	assert_int_equal(world->member.health.since, LONG_AGO);
}

static void told(const struct world *world, uint64_t healthy, uint64_t suspect, uint64_t down)
{
	assert_int_equal(events_count(world->watch.events, EVENT_HEALTHY), healthy);
	assert_int_equal(events_count(world->watch.events, EVENT_SUSPECT), suspect);
	assert_int_equal(events_count(world->watch.events, EVENT_DOWN), down);
}

static void answers(struct world *world)
{
	world->healths[MEMBER] = (struct health){.answered_ns = now_ns(), .handshake_us = 1000000};
	world->backends[MEMBER].suspect = 0;
	/* What was a suspicion a moment ago still is one. */
	world->member.health.suspect_ns = 0;
}

static void leaves_unanswered(struct world *world, uint32_t count, uint64_t ms)
{
	world->healths[MEMBER].unanswered = count;
	world->healths[MEMBER].unanswered_ns = now_ns() - ms * MS;
}

/* It is for longer by as much as the test takes. */
static void becomes_silent(struct world *world, uint32_t unanswered)
{
	const struct health *evidence = &world->healths[MEMBER];
	char cause[HEALTH_CAUSE_MAX];
	time_t now = time(NULL);

	leaves_unanswered(world, unanswered, 5000);
	world->member.health.since = LONG_AGO;
	health_look(&world->watch);
	assert_in_range(world->member.health.since, now, now + 60);
	snprintf(cause, sizeof(cause),
		 "has left %u connections without an answer for %llu ms, and does not report its "
		 "load",
		 unanswered,
		 (unsigned long long)(evidence->suspect_ns - evidence->unanswered_ns) / MS);
	assert_in_range(evidence->suspect_ns - evidence->unanswered_ns, 5000 * MS, 60000 * MS);
	assert_string_equal(health_state_name(world->member.health.state), "suspect");
	assert_string_equal(world->member.health.cause, cause);
}

/* What clients do is all that is known. */
static void test_by_clients(void **state)
{
	struct world *world = *state;

	becomes(world, HEALTH_UNKNOWN, "is being asked for its MAC address");
	world->member.neighbour.resolved = true;
	goes_on(world, HEALTH_UNKNOWN, "answers ARP; no client has connected to it yet");
	answers(world);
	becomes(world, HEALTH_HEALTHY, "answers clients' connections");
	told(world, 1, 0, 0);
	leaves_unanswered(world, 2, 5000);
	goes_on(world, HEALTH_HEALTHY, "answers clients' connections");
	leaves_unanswered(world, 3, 90);
	goes_on(world, HEALTH_HEALTHY, "answers clients' connections");
	becomes_silent(world, 3);
	told(world, 1, 1, 0);
	/* The data path goes by it, before it has looked itself. */
	assert_int_equal(world->backends[MEMBER].suspect, 1);
	assert_int_equal(world->backends[MEMBER].down, 0);
	answers(world);
	becomes(world, HEALTH_HEALTHY, "answers clients' connections");
	told(world, 2, 1, 0);
	world->backend.draining = true;
	becomes(world, HEALTH_DRAINING, "drains: new connections go to the others");
	world->backend.leaving = true;
	goes_on(world, HEALTH_DRAINING,
		"is removed: it is gone when its last connection has ended");
	world->backend.draining = world->backend.leaving = false;
	becomes(world, HEALTH_HEALTHY, "answers clients' connections");
	/* By hand: that is no news of its health. */
	told(world, 2, 1, 0);
	world->member.neighbour.resolved = false;
	becomes(world, HEALTH_DOWN, "does not answer ARP: new connections go to the others");
	assert_int_equal(world->backends[MEMBER].down, 1);
	world->member.neighbour.resolved = true;
	becomes(world, HEALTH_HEALTHY, "answers clients' connections");
	assert_int_equal(world->backends[MEMBER].down, 0);
}

static void check(struct world *world, bool passes, const char *result)
{
	check_note(&world->check.record, passes, result, 1, 1);
}

#define CHECK "http check of 10.1.0.100:80/health"

static void test_by_its_check(void **state)
{
	struct world *world = *state;

	world->member.neighbour.resolved = true;
	world->member.health.check = &world->check;
	becomes(world, HEALTH_UNKNOWN, "answers ARP; no client has connected to it yet");
	check(world, true, "status 200");
	becomes(world, HEALTH_HEALTHY, "passes its " CHECK);
	told(world, 1, 0, 0);
	check(world, false, "connection refused");
	becomes(world, HEALTH_DOWN, "fails its " CHECK ": connection refused");
	told(world, 1, 0, 1);
	assert_int_equal(world->backends[MEMBER].down, 1);
	/* Clients that still go on do not outweigh it. */
	answers(world);
	goes_on(world, HEALTH_DOWN, "fails its " CHECK ": connection refused");
	check(world, true, "status 200");
	becomes(world, HEALTH_HEALTHY, "passes its " CHECK);
	told(world, 2, 0, 1);
}

static void test_who_reports(void **state)
{
	struct world *world = *state;

	world->member.neighbour.resolved = true;
	world->loads[MEMBER].received_ns = now_ns();
	becomes(world, HEALTH_HEALTHY, "reports its load");
	/* A network that drops its reports is not held against it. */
	world->loads[MEMBER].received_ns = now_ns() - 20000 * MS;
	becomes(world, HEALTH_UNKNOWN, "answers ARP; no client has connected to it yet");
	told(world, 1, 0, 0);
	/* A reset of its own kernel's is: the data path has seen it. */
	leaves_unanswered(world, 1, 60);
	health_refuse(&world->healths[MEMBER], world->healths[MEMBER].unanswered_ns + 20 * MS);
	world->backends[MEMBER].suspect = 1;
	becomes(world, HEALTH_SUSPECT,
		"refuses connections: nobody listens there, 20 ms after the first that was not "
		"answered");
	told(world, 1, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_by_clients, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_by_its_check, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_who_reports, open_world, close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
