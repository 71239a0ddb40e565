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

static void set(struct dataplane *dataplane, struct member *member, uint32_t configured,
		uint32_t in_force, bool draining)
{
	member->configured = configured;
	member->draining = draining;
	member_set_weight(dataplane, member, in_force);
}

static bool takes_connections(const struct balanced_service *service)
{
	for (size_t i = 0; i < service->config->backend_count; i++)
		if (member_is_open(&service->members[i]))
			return true;
	return false;
}

static void tell(const struct sources *sources, const struct balanced_service *service,
		 const struct member *member, const struct member *before)
{
	const char *name = service->config->name;
	char address[INET_ADDRSTRLEN];

	address_format(member->config->address, address);
	if (member->configured != before->configured)
		events_add(sources->events, EVENT_WEIGHT_SET, name, address,
			   "has weight %u now, by hand, not %u; the file says %u",
			   member->configured, before->configured, member->config->weight);
	if (member->draining && !before->draining)
		events_add(sources->events, EVENT_DRAINING, name, address,
			   "drains, by hand: new connections go to the others; %u are left",
			   status_open_connections(sources->status, member));
	if (!member->draining && before->draining)
		events_add(sources->events, EVENT_UNDRAINED, name, address,
			   "gets new connections again, by hand");
}

int change_apply(struct sources *sources, size_t i, size_t j, const struct change *change,
		 const char **warning)
{
	struct dataplane *dataplane = sources->dataplane;
	struct balanced_service *service = &dataplane->services[i];
	struct member *member = &service->members[j];
	const struct member before = *member;
	bool reweighs = change->weight && change->weight != before.configured;
	bool took = takes_connections(service);
	int err;

	*warning = NULL;
	set(dataplane, member, reweighs ? change->weight : before.configured,
	    reweighs ? change->weight * WEIGHT_ONE : before.weight,
	    change->drains ? change->draining : before.draining);
	err = dataplane_build_ring(dataplane, service);
	if (err) {
		set(dataplane, member, before.configured, before.weight, before.draining);
		return err;
	}
	if (reweighs)
		weights_restart(sources->weights, i, j);
	tell(sources, service, member, &before);
	if (takes_connections(service))
		return 0;
	*warning = "no backend of the service takes new connections now: they are dropped";
	if (took)
		events_add(sources->events, EVENT_NO_BACKEND, service->config->name, NULL, "%s",
			   *warning);
	return 0;
}
