/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/checks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/check.h"

struct checks {
	struct event_base *base;
	struct dataplane *dataplane;
	struct check **list;
	size_t count, room;
};

struct checks *checks_open(struct event_base *base, struct dataplane *dataplane)
{
	struct checks *checks = calloc(1, sizeof(*checks));

	if (!checks)
		return NULL;
	checks->base = base;
	checks->dataplane = dataplane;
	return checks;
}

void checks_close(struct checks *checks)
{
	if (!checks)
		return;
	for (size_t i = 0; i < checks->count; i++)
		check_free(checks->list[i]);
	free(checks->list);
	free(checks);
}

static uint16_t checked_port(const struct service_config *service)
{
	return service->health.port ? (uint16_t)service->health.port : service->address.port;
}

static bool is_same(const struct check *check, const struct service_config *service,
		    const struct backend_config *backend)
{
	const struct health_config *a = &check->config, *b = &service->health;

	if (!address_equal(check->server, backend->address) ||
	    check->service.port != checked_port(service) || a->check != b->check ||
	    a->interval_ns != b->interval_ns || a->timeout_ns != b->timeout_ns ||
	    a->rise != b->rise || a->fall != b->fall)
		return false;
	return a->check != CHECK_HTTP || (a->expect == b->expect && !strcmp(a->path, b->path));
}

static struct check *find(const struct checks *checks, const struct service_config *service,
			  const struct backend_config *backend)
{
	for (size_t i = 0; i < checks->count; i++)
		if (is_same(checks->list[i], service, backend))
			return checks->list[i];
	return NULL;
}

static struct check *add(struct checks *checks, const struct service_config *service,
			 const struct member *member)
{
	size_t room = checks->room ? 2 * checks->room : 16;
	struct check **list = checks->list;
	struct check *check;

	if (checks->count == checks->room) {
		list = realloc(checks->list, room * sizeof(struct check *));
		if (!list)
			return NULL;
		checks->list = list;
		checks->room = room;
	}
	check = check_new(checks->base, checks->dataplane, member->config->address,
			  &service->health);
	if (!check)
		return NULL;
	/* Who was taken out before we came has to rise. */
	if (checks->dataplane->backends[member->index].down)
		check_note(&check->record, false, "it was down when the daemon started", 1, 1);
	list[checks->count++] = check;
	return check;
}

/* Of several services, it goes to the first. */
static void aim(struct check *check, const struct service_config *service,
		const struct member *member)
{
	if (check->wanted)
		return;
	check->wanted = true;
	check->service = (struct endpoint){service->address.address, checked_port(service)};
	check->backend = member->index;
}

static void remove_unwanted(struct checks *checks)
{
	size_t kept = 0;

	for (size_t i = 0; i < checks->count; i++) {
		if (checks->list[i]->wanted)
			checks->list[kept++] = checks->list[i];
		else
			check_free(checks->list[i]);
	}
	checks->count = kept;
}

static int follow_member(struct checks *checks, const struct service_config *service,
			 struct member *member)
{
	struct check *check = find(checks, service, member->config);
	bool is_new = !check;

	if (is_new)
		check = add(checks, service, member);
	if (!check)
		return -ENOMEM;
	aim(check, service, member);
	member->health.check = check;
	return is_new ? check_start(check, checks->count) : 0;
}

int checks_follow(struct checks *checks)
{
	struct dataplane *dataplane = checks->dataplane;
	int err = 0;

	for (size_t i = 0; i < checks->count; i++)
		checks->list[i]->wanted = false;
	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++) {
			service->members[j].health.check = NULL;
			if (!err && service->config->health.check != CHECK_NONE)
				err = follow_member(checks, service->config, &service->members[j]);
		}
	}
	remove_unwanted(checks);
	return err;
}

size_t checks_count(const struct checks *checks)
{
	return checks->count;
}

uint64_t checks_runs(const struct checks *checks)
{
	uint64_t runs = 0;

	for (size_t i = 0; i < checks->count; i++)
		runs += checks->list[i]->runs;
	return runs;
}

const struct check_record *check_record_of(const struct check *check)
{
	return check ? &check->record : NULL;
}

const char *check_describe(const struct check *check, char text[CHECK_TEXT_MAX])
{
	char endpoint[ENDPOINT_TEXT_MAX];

	snprintf(text, CHECK_TEXT_MAX, "%s check of %s%s", check_name(check->config.check),
		 endpoint_format(&check->service, endpoint),
		 check->config.check == CHECK_HTTP ? check->config.path : "");
	return text;
}
