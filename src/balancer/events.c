/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "json.h"
#include "log.h"

#define CAUSE_MAX 256

struct events {
	struct streams *streams;
	json_t *ring[EVENTS_MAX]; /* by sequence modulo its size */
	uint64_t sequence; /* of the newest; they start at 1 */
	uint64_t counts[EVENT_KINDS];
};

const char *event_name(enum event_kind kind)
{
	static const char *const names[] = {
#define EVENT_NAME(symbol, name, sentence) name,
		EVENTS(EVENT_NAME)
#undef EVENT_NAME
	};

	return names[kind];
}

struct events *events_open(struct streams *streams)
{
	struct events *events = calloc(1, sizeof(*events));

	if (events)
		events->streams = streams;
	return events;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < EVENTS_MAX; i++)
		json_decref(events->ring[i]);
	free(events);
}

static void log_kind(const struct events *events, enum event_kind kind, const char *service,
		     const char *backend, const char *cause)
{
	const struct log_field fields[] = {
		{"service", service ? service : "", 0},
		{"backend", backend ? backend : "", 0},
		{"cause", cause, 0},
		{"count", NULL, (long long)events->counts[kind]},
		{0},
	};
	bool bad = kind == EVENT_NO_NEIGHBOUR || kind == EVENT_LOAD_UNKNOWN ||
		   kind == EVENT_NO_BACKEND || kind == EVENT_SUSPECT || kind == EVENT_DOWN ||
		   kind == EVENT_RELOAD_REFUSED || kind == EVENT_REPORTS_REFUSED;

	log_event(bad ? LOG_WARNING : LOG_NOTICE, event_name(kind), fields, "%s%s%s%s%s%s",
		  service ? service : "", service ? ": " : "", backend ? "backend " : "",
		  backend ? backend : "", backend ? " " : "", cause);
}

static json_t *event_json(const struct events *events, enum event_kind kind, const char *service,
			  const char *backend, const char *cause)
{
	json_t *event = json_object();

	json_set_integer(event, "sequence", events->sequence);
	json_set_integer(event, "time_ms", clock_ns(CLOCK_REALTIME) / 1000000);
	json_object_set_new(event, "kind", json_string(event_name(kind)));
	json_object_set_new(event, "service", service ? json_string(service) : json_null());
	json_object_set_new(event, "backend", backend ? json_string(backend) : json_null());
	json_object_set_new(event, "cause", json_string(cause));
	return event;
}

void events_add(struct events *events, enum event_kind kind, const char *service,
		const char *backend, const char *format, ...)
{
	char cause[CAUSE_MAX];
	va_list arguments;
	json_t **slot;

	va_start(arguments, format);
	vsnprintf(cause, sizeof(cause), format, arguments);
	va_end(arguments);
	events->counts[kind]++;
	/* A ready daemon has said so already, to systemd too. */
	if (kind != EVENT_START)
		log_kind(events, kind, service, backend, cause);
	slot = &events->ring[++events->sequence % EVENTS_MAX];
	json_decref(*slot);
	*slot = event_json(events, kind, service, backend, cause);
	streams_tell(events->streams, "event", events->sequence, *slot);
}

/* The first that is kept and newer. A client of a predecessor's may know a later one: it gets all. */
static uint64_t first_after(const struct events *events, uint64_t after)
{
	uint64_t oldest = events->sequence > EVENTS_MAX ? events->sequence - EVENTS_MAX + 1 : 1;

	return after > events->sequence || after < oldest ? oldest : after + 1;
}

json_t *events_json(const struct events *events, uint64_t after)
{
	json_t *array = json_array();

	for (uint64_t i = first_after(events, after); i <= events->sequence; i++)
		json_array_append(array, events->ring[i % EVENTS_MAX]);
	return json_pack("{s:o}", "events", array);
}

void events_replay(const struct events *events, uint64_t after, struct evbuffer *to)
{
	for (uint64_t i = first_after(events, after); i <= events->sequence; i++)
		stream_message(to, "event", i, events->ring[i % EVENTS_MAX]);
}

uint64_t events_count(const struct events *events, enum event_kind kind)
{
	return events->counts[kind];
}
