/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/changes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "balancer/status_private.h"
#include "balancer/tables.h"

__attribute__((format(printf, 2, 3))) static int refuse(char wrong[CHANGE_WRONG_MAX],
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(wrong, CHANGE_WRONG_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int read_weight(const json_t *value, struct change *change, char wrong[CHANGE_WRONG_MAX])
{
	json_int_t weight = json_integer_value(value);

	if (!json_is_integer(value) || weight < 1 || weight > WEIGHT_MAX)
		return refuse(wrong,
			      "weight: expected a whole number from 1 to %d; who is to get no new "
			      "connections drains: {\"draining\": true}",
			      WEIGHT_MAX);
	change->weight = (uint32_t)weight;
	return 0;
}

static int read_draining(const json_t *value, struct change *change, char wrong[CHANGE_WRONG_MAX])
{
	if (!json_is_boolean(value))
		return refuse(wrong, "draining: expected true or false");
	change->drains = true;
	change->draining = json_is_true(value);
	return 0;
}

static int read_key(const char *key, const json_t *value, struct change *change,
		    char wrong[CHANGE_WRONG_MAX])
{
	if (!strcmp(key, "weight"))
		return read_weight(value, change, wrong);
	if (!strcmp(key, "draining"))
		return read_draining(value, change, wrong);
	return refuse(wrong, "unknown key \"%.64s\"; there are weight and draining", key);
}

int change_parse(const char *text, size_t length, struct change *change,
		 char wrong[CHANGE_WRONG_MAX])
{
	json_t *object = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *key;
	json_t *value;
	int err = 0;

	*change = (struct change){0};
	if (!json_object_size(object))
		err = refuse(wrong, "expected a JSON object such as {\"weight\": 3} or "
				    "{\"draining\": true}");
	json_object_foreach (object, key, value) {
		if (!err)
			err = read_key(key, value, change, wrong);
	}
	json_decref(object);
	return err;
}

static void set(struct dataplane *dataplane, struct member *member,
		const struct backend_config *config, uint32_t in_force)
{
	*member->config = *config;
	member_set_weight(dataplane, member, in_force);
}

static bool takes_connections(const struct balanced_service *service)
{
	for (size_t i = 0; i < service->config->backend_count; i++)
		if (member_is_open(&service->members[i]))
			return true;
	return false;
}

static void tell_weight(const struct sources *sources, const char *service, const char *address,
			const struct member *member, uint32_t before)
{
	char file[64] = "has no such backend";

	if (member->file)
		snprintf(file, sizeof(file), "says %u", member->file->weight);
	events_add(sources->events, EVENT_WEIGHT_SET, service, address,
		   "has weight %u now, by hand, not %u; the file %s", member->config->weight,
		   before, file);
}

static void tell(const struct sources *sources, const struct balanced_service *service,
		 const struct member *member, const struct backend_config *before)
{
	const struct backend_config *now = member->config;
	const char *name = service->config->name;
	char address[ADDRESS_TEXT_MAX];

	address_format(now->address, address);
	if (now->weight != before->weight)
		tell_weight(sources, name, address, member, before->weight);
	if (now->draining && !before->draining)
		events_add(sources->events, EVENT_DRAINING, name, address,
			   "drains, by hand: new connections go to the others; %u are left",
			   status_open_connections(sources->status, member));
	if (!now->draining && before->draining)
		events_add(sources->events, EVENT_UNDRAINED, name, address,
			   "gets new connections again, by hand");
}

int change_apply(struct sources *sources, size_t i, size_t j, const struct change *change,
		 const char **warning)
{
	struct dataplane *dataplane = sources->dataplane;
	struct balanced_service *service = &dataplane->services[i];
	struct member *member = &service->members[j];
	const struct backend_config before = *member->config;
	const uint32_t in_force = member->weight;
	struct backend_config next = before;
	bool reweighs = change->weight && change->weight != before.weight;
	bool took = takes_connections(service);
	int err;

	*warning = NULL;
	if (reweighs)
		next.weight = change->weight;
	if (change->drains)
		next.draining = change->draining;
	set(dataplane, member, &next, reweighs ? next.weight * WEIGHT_ONE : in_force);
	err = dataplane_build_ring(dataplane, service);
	if (err) {
		set(dataplane, member, &before, in_force);
		return err;
	}
	if (reweighs)
		weights_restart(sources->weights, i, j);
	watch_changed(sources->watch, i, j);
	tell(sources, service, member, &before);
	health_look(sources->health);
	if (takes_connections(service))
		return 0;
	*warning = "no backend of the service takes new connections now: they are dropped";
	if (took)
		events_add(sources->events, EVENT_NO_BACKEND, service->config->name, NULL, "%s",
			   *warning);
	return 0;
}
