/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "doctor/plan.h"

#include <stdio.h>
#include <string.h>

#include "address.h"
#include "json.h"

static json_t *service_plan(const char *name, const char *address, const char *protocol)
{
	struct endpoint endpoint;
	char vip[INET6_ADDRSTRLEN];

	if (!address || endpoint_parse(address, &endpoint))
		return NULL;
	address_format(endpoint.address, vip);
	return json_pack("{s:s,s:s,s:s,s:i,s:s,s:[]}", "name", name ? name : address, "address",
			 address, "vip", vip, "port", (int)endpoint.port, "protocol",
			 protocol ? protocol : "tcp", "backends");
}

static json_t *plan_of_service(const struct service_config *config)
{
	char text[ENDPOINT_TEXT_MAX], address[INET6_ADDRSTRLEN];
	json_t *service, *backends;

	service = service_plan(config->name, endpoint_format(&config->address, text),
			       config->protocol == IPPROTO_UDP ? "udp" : "tcp");
	backends = json_object_get(service, "backends");
	for (size_t i = 0; i < config->backend_count; i++)
		json_array_append_new(backends, json_string(address_format(
							config->backends[i].address, address)));
	return service;
}

json_t *plan_of_config(const struct config *config)
{
	json_t *plan = json_pack("{s:[],s:[],s:[]}", "interfaces", "services", "balancers");
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < config->interface_count; i++)
		json_array_append_new(json_object_get(plan, "interfaces"),
				      json_string(config->interfaces[i]));
	for (size_t i = 0; i < config->service_count; i++)
		json_array_append_new(json_object_get(plan, "services"),
				      plan_of_service(&config->services[i]));
	for (size_t i = 0; i < config->balancer_count; i++)
		json_array_append_new(json_object_get(plan, "balancers"),
				      json_string(address_format(config->balancers[i], text)));
	return plan;
}

/* Backends that only stay for their connections, or that somebody has added by hand, are in no file. */
static bool is_of_file(const json_t *object)
{
	json_t *change;
	size_t i;

	json_array_foreach (json_object_get(object, "changed"), i, change)
		if (!strcmp(json_string_value(change), "added"))
			return false;
	return !json_is_true(json_object_get(object, "leaving"));
}

/* The values of `key` in an array of objects. */
static void collect(const json_t *objects, const char *key, json_t *into)
{
	json_t *object;
	size_t i;

	json_array_foreach ((json_t *)objects, i, object)
		if (is_of_file(object))
			json_array_append(into, json_object_get(object, key));
}

json_t *plan_of_status(const json_t *status)
{
	json_t *plan = json_pack("{s:[],s:[],s:[]}", "interfaces", "services", "balancers");
	json_t *told;
	size_t i;

	collect(json_object_get(status, "interfaces"), "name", json_object_get(plan, "interfaces"));
	collect(json_object_get(status, "balancers"), "address",
		json_object_get(plan, "balancers"));
	json_array_foreach (json_object_get(status, "services"), i, told) {
		json_t *service =
			service_plan(json_string_value(json_object_get(told, "name")),
				     json_string_value(json_object_get(told, "address")),
				     json_string_value(json_object_get(told, "protocol")));

		if (!service)
			continue;
		collect(json_object_get(told, "backends"), "address",
			json_object_get(service, "backends"));
		json_array_append_new(json_object_get(plan, "services"), service);
	}
	return plan;
}

static bool contains(const json_t *array, const json_t *value)
{
	json_t *other;
	size_t i;

	json_array_foreach ((json_t *)array, i, other)
		if (json_equal(other, value))
			return true;
	return false;
}

static void append_once(json_t *array, json_t *value)
{
	if (!contains(array, value))
		json_array_append(array, value);
}

/* The first of `these` that is not among `those`. */
static const char *first_missing(const json_t *these, const json_t *those)
{
	json_t *value;
	size_t i;

	json_array_foreach ((json_t *)these, i, value)
		if (!contains(those, value))
			return json_string_value(value);
	return NULL;
}

static bool lists_differ(const char *what, const json_t *file, const json_t *daemon, char *text,
			 size_t size)
{
	const char *only_file = first_missing(file, daemon);
	const char *only_daemon = first_missing(daemon, file);

	if (only_file)
		snprintf(text, size, "%s %s stands in the file and is not in force", what,
			 only_file);
	else if (only_daemon)
		snprintf(text, size, "%s %s is in force and does not stand in the file", what,
			 only_daemon);
	return only_file || only_daemon;
}

static const json_t *find_service(const json_t *plan, const json_t *address)
{
	json_t *service;
	size_t i;

	json_array_foreach (json_object_get(plan, "services"), i, service)
		if (json_equal(json_object_get(service, "address"), address))
			return service;
	return NULL;
}

static bool services_differ(const json_t *file, const json_t *daemon, char *text, size_t size)
{
	json_t *these = json_array(), *those = json_array(), *service;
	bool differ;
	size_t i;

	collect(json_object_get(file, "services"), "address", these);
	collect(json_object_get(daemon, "services"), "address", those);
	differ = lists_differ("service", these, those, text, size);
	json_decref(these);
	json_decref(those);
	json_array_foreach (json_object_get(file, "services"), i, service) {
		const json_t *other = find_service(daemon, json_object_get(service, "address"));

		differ = differ || lists_differ("backend", json_object_get(service, "backends"),
						json_object_get(other, "backends"), text, size);
	}
	return differ;
}

bool plan_difference(const json_t *file, const json_t *daemon, char *text, size_t size)
{
	return lists_differ("interface", json_object_get(file, "interfaces"),
			    json_object_get(daemon, "interfaces"), text, size) ||
	       lists_differ("balancer", json_object_get(file, "balancers"),
			    json_object_get(daemon, "balancers"), text, size) ||
	       services_differ(file, daemon, text, size);
}

json_t *plan_vips(const json_t *plan)
{
	json_t *vips = json_array(), *service;
	size_t i;

	json_array_foreach (json_object_get(plan, "services"), i, service)
		append_once(vips, json_object_get(service, "vip"));
	return vips;
}

json_t *plan_partners(const json_t *plan)
{
	json_t *partners = json_array(), *service, *address;
	size_t i, j;

	json_array_foreach (json_object_get(plan, "balancers"), i, address)
		append_once(partners, address);
	json_array_foreach (json_object_get(plan, "services"), i, service)
		json_array_foreach (json_object_get(service, "backends"), j, address)
			append_once(partners, address);
	return partners;
}
