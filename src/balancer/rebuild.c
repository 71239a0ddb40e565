/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/rebuild.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

#define PROGRESS_NS 1000000000ULL
#define INTERVAL_NS (REBUILD_INTERVAL_MS * 1000000ULL)

struct rebuild {
	rebuild_service *build;
	rebuild_frame *begin, *end;
	void *context;
	struct event *timer;
	uint64_t built_ns; /* when something was last built, at its end; 0 = never */
	size_t service_count;
	bool changed[];
};

void rebuild_mark(struct rebuild *rebuild, size_t service)
{
	rebuild->changed[service] = true;
}

static size_t count_changed(const struct rebuild *rebuild)
{
	size_t count = 0;

	for (size_t i = 0; i < rebuild->service_count; i++)
		count += rebuild->changed[i];
	return count;
}

/* Who has started a daemon waits for its first rings. */
static void tell_progress(const struct rebuild *rebuild, size_t done, size_t count,
			  uint64_t *told_ns)
{
	const struct log_field fields[] = {
		{"built", NULL, (long long)done},
		{"of", NULL, (long long)count},
		{0},
	};

	if (rebuild->built_ns || now_ns() - *told_ns < PROGRESS_NS)
		return;
	*told_ns = now_ns();
	log_event(LOG_NOTICE, "building", fields, "rings: %zu of %zu are built", done, count);
}

void rebuild_now(struct rebuild *rebuild)
{
	size_t built = 0, count = count_changed(rebuild);
	uint64_t told_ns = now_ns();

	event_del(rebuild->timer);
	rebuild->begin(rebuild->context);
	for (size_t i = 0; i < rebuild->service_count; i++) {
		if (!rebuild->changed[i])
			continue;
		rebuild->changed[i] = false;
		rebuild->build(i, rebuild->context);
		tell_progress(rebuild, ++built, count, &told_ns);
	}
	rebuild->end(rebuild->context);
	if (built)
		rebuild->built_ns = now_ns();
}

void rebuild_soon(struct rebuild *rebuild)
{
	uint64_t since_ns = now_ns() - rebuild->built_ns;
	struct timeval wait = {0};

	if (event_pending(rebuild->timer, EV_TIMEOUT, NULL))
		return;
	if (rebuild->built_ns && since_ns < INTERVAL_NS)
		wait.tv_usec = (suseconds_t)((INTERVAL_NS - since_ns) / 1000);
	if (!wait.tv_usec || event_add(rebuild->timer, &wait))
		rebuild_now(rebuild);
}

static void interval_over(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	rebuild_now(context);
}

struct rebuild *rebuild_open(struct event_base *base, size_t service_count, rebuild_service *build,
			     rebuild_frame *begin, rebuild_frame *end, void *context)
{
	struct rebuild *rebuild;

	rebuild = calloc(1, sizeof(*rebuild) + service_count * sizeof(rebuild->changed[0]));
	if (!rebuild)
		return NULL;
	rebuild->build = build;
	rebuild->begin = begin;
	rebuild->end = end;
	rebuild->context = context;
	rebuild->service_count = service_count;
	rebuild->timer = event_new(base, -1, 0, interval_over, rebuild);
	if (rebuild->timer)
		return rebuild;
	free(rebuild);
	return NULL;
}

void rebuild_close(struct rebuild *rebuild)
{
	if (!rebuild)
		return;
	event_free(rebuild->timer);
	free(rebuild);
}
