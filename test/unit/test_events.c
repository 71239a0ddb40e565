/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring of events: what is kept, what is told to whom, and metrics' text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/events.h"
#include "balancer/refusals.h"
#include "http/metrics.h"

struct world {
	struct event_base *base;
	struct streams *streams;
	struct events *events;
};

static int open_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->base = event_base_new();
	world->streams = streams_open(world->base, NULL, NULL);
	world->events = events_open(world->streams);
	*state = world;
	return world->events ? 0 : -1;
}

static int close_world(void **state)
{
	struct world *world = *state;

	events_close(world->events);
	streams_close(world->streams);
	event_base_free(world->base);
	free(world);
	return 0;
}

/* "start" has no line in the log, which 300 of them would fill. */
static void add(struct world *world, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		events_add(world->events, EVENT_START, NULL, NULL, "number %u", i + 1);
}

/* The sequences from the first to the last, and nothing between is missing. */
static void expect_sequences(const struct world *world, uint64_t after, uint64_t first,
			     uint64_t last)
{
	json_t *object = events_json(world->events, after);
	json_t *array = json_object_get(object, "events"), *event;
	uint64_t next = first;
	size_t i;

	json_array_foreach (array, i, event)
		assert_int_equal(json_integer_value(json_object_get(event, "sequence")), next++);
	assert_int_equal(next, last + 1);
	json_decref(object);
}

static void test_ring(void **state)
{
	struct world *world = *state;

	expect_sequences(world, 0, 1, 0);
	expect_sequences(world, 99, 1, 0);
	add(world, EVENTS_MAX);
	expect_sequences(world, 0, 1, EVENTS_MAX);
	add(world, 44);
	expect_sequences(world, 0, 45, EVENTS_MAX + 44);
	expect_sequences(world, 44, 45, EVENTS_MAX + 44);
	expect_sequences(world, 299, 300, 300);
	expect_sequences(world, 300, 301, 300);
	/* From a predecessor's time: everything is new. */
	expect_sequences(world, 301, 45, EVENTS_MAX + 44);
	expect_sequences(world, UINT64_MAX, 45, EVENTS_MAX + 44);
	assert_int_equal(events_count(world->events, EVENT_START), EVENTS_MAX + 44);
	assert_int_equal(events_count(world->events, EVENT_XDP_MODE), 0);
}

static void test_replay(void **state)
{
	struct evbuffer *buffer = evbuffer_new();
	struct world *world = *state;
	const char *text;

	events_add(world->events, EVENT_START, NULL, NULL, "has started");
	events_add(world->events, EVENT_BACKEND_UP, "web", "10.1.0.3", "is at %d", 3);
	events_replay(world->events, 1, buffer);
	evbuffer_add(buffer, "", 1);
	text = (const char *)evbuffer_pullup(buffer, -1);
	assert_memory_equal(text, "id: 2\nevent: event\ndata: {\"sequence\":2,\"time_ms\":", 49);
	assert_non_null(strstr(text, ",\"kind\":\"backend-up\",\"service\":\"web\",\"backend\":"
				     "\"10.1.0.3\",\"cause\":\"is at 3\"}\n\n"));
	evbuffer_free(buffer);
}

/* What is longer than a cause may be is cut, not spilt. */
static void test_long_cause(void **state)
{
	struct world *world = *state;
	char text[1024];
	json_t *object, *event;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	events_add(world->events, EVENT_START, NULL, NULL, "%s", text);
	object = events_json(world->events, 0);
	event = json_array_get(json_object_get(object, "events"), 0);
	assert_in_range(json_string_length(json_object_get(event, "cause")), 100, 300);
	json_decref(object);
}

static const struct bounds bounds = {{0.1, 1}, 2};

/* Writes with the function and compares. */
static void expect_text(void (*write)(FILE *out), const char *expected)
{
	char text[2048];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(out);
	write(out);
	fclose(out);
	assert_string_equal(text, expected);
}

static void write_samples(FILE *out)
{
	metric_family(out, "a_total", "counter", "Help.");
	metric_sample(out, "a_total", 3, NULL);
	metric_sample(out, "a_total", 9007199254740991.0, "x", "1", "y", "q\"b\\n\n.", NULL);
	metric_sample(out, "a_total", 0.25, "x", "", NULL);
	metric_sample(out, "a_total", NAN, "x", "none", NULL);
}

static void test_samples(void **state)
{
	(void)state;
	expect_text(write_samples, "# HELP a_total Help.\n# TYPE a_total counter\na_total 3\n"
				   "a_total{x=\"1\",y=\"q\\\"b\\\\n\\n.\"} 9007199254740991\n"
				   "a_total{x=\"\"} 0.25\n");
}

static void write_histogram(FILE *out)
{
	struct histogram histogram = {0};

	histogram_observe(&histogram, &bounds, 0.05);
	histogram_observe(&histogram, &bounds, 0.1);
	histogram_observe(&histogram, &bounds, 0.5);
	histogram_observe(&histogram, &bounds, 3);
	metric_histogram(out, "h", &bounds, &histogram, "s", "web");
}

/* Buckets count what is not above their bound, and all below. */
static void test_histogram(void **state)
{
	(void)state;
	expect_text(write_histogram, "h_bucket{le=\"0.1\",s=\"web\"} 2\n"
				     "h_bucket{le=\"1\",s=\"web\"} 3\n"
				     "h_bucket{le=\"+Inf\",s=\"web\"} 4\n"
				     "h_sum{s=\"web\"} 3.65\nh_count{s=\"web\"} 4\n");
}

/* At once, then what has come since, once in a quiet time; and one that has stopped is not told again. */
static void test_refusals(void **state)
{
	struct refusal refusal = {.told = 7};
	uint64_t now = 1000;

	(void)state;
	assert_int_equal(refusal_due(&refusal, 7, now), 0);
	assert_int_equal(refusal_due(&refusal, 9, now), 2);
	assert_int_equal(refusal_due(&refusal, 500, now + REFUSALS_QUIET_NS - 1), 0);
	assert_int_equal(refusal_due(&refusal, 510, now + REFUSALS_QUIET_NS), 501);
	assert_int_equal(refusal_due(&refusal, 510, now + 9 * REFUSALS_QUIET_NS), 0);
	assert_int_equal(refusal_due(&refusal, 511, now + 9 * REFUSALS_QUIET_NS), 1);
	/* Counters that have been lost on the way to another daemon. */
	assert_int_equal(refusal_due(&refusal, 3, now + 20 * REFUSALS_QUIET_NS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ring, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_replay, open_world, close_world),
		cmocka_unit_test_setup_teardown(test_long_cause, open_world, close_world),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
