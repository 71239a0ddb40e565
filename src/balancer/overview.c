/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The status as JSON, in whole and by its parts. */
#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/flows.h"
#include "balancer/status.h"
#include "balancer/status_private.h"
#include "clock.h"
#include "json.h"

static bool is_called(const struct service_config *service, const char *word)
{
	char address[ENDPOINT_TEXT_MAX];

	return !strcmp(service->name, word) ||
	       !strcmp(endpoint_format(&service->address, address), word);
}

/* only: by its name or address; NULL: all. */
static json_t *services_json(const struct status *status, const char *only)
{
	const struct dataplane *dataplane = status->dataplane;
	json_t *array = json_array();
	size_t first = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		if (!only || is_called(dataplane->services[i].config, only))
			json_array_append_new(array, describe_service(status, i, first));
		first += dataplane->services[i].config->backend_count;
	}
	return array;
}

static json_t *interfaces_json(const struct dataplane *dataplane)
{
	json_t *array = json_array();

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		json_t *object = json_object();

		json_object_set_new(object, "name", json_string(dataplane->interfaces[i].name));
		json_object_set_new(
			object, "xdp_mode",
			json_string(dataplane->interfaces[i].native ? "native" : "generic"));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *counters_json(const struct dataplane *dataplane)
{
	static const char *const names[] = {
#define VERDICT_NAME(symbol, name, action, sentence) name,
		VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
	};
	int map = bpf_map__fd(dataplane->bpf->maps.verdicts);
	json_t *object = json_object();
	uint64_t count;

	/* VERDICT_NONE, "not decided", never happens to a packet. */
	for (uint32_t i = 1; i < VERDICT_COUNT; i++)
		if (!percpu_sum(map, i, &count, 1))
			json_set_integer(object, names[i], count);
	return object;
}

json_t *status_json(void *context, const char *service)
{
	const struct status *status = context;
	const struct dataplane *dataplane = status->dataplane;
	json_t *object = json_object();

	json_object_set_new(object, "role", json_string("balancer"));
	json_object_set_new(object, "instance", json_string(dataplane->runtime->name));
	json_object_set_new(object, "version", json_string(PLIMSOLL_VERSION));
	json_set_real(object, "uptime_seconds", (double)(now_ns() - status->started_ns) / 1e9);
	json_object_set_new(object, "interfaces", interfaces_json(dataplane));
	json_object_set_new(object, "keyed", json_boolean(dataplane->config->keyed));
	json_object_set_new(object, "flows", flows_json(status->walk));
	json_object_set_new(object, "services", services_json(status, service));
	json_set_integer(object, "poll_strangers", poll_strangers(status->poller));
	json_object_set_new(object, "counters", counters_json(dataplane));
	return object;
}

json_t *status_services_json(const struct status *status)
{
	return json_pack("{s:o}", "services", services_json(status, NULL));
}

json_t *status_service_json(const struct status *status, const char *name)
{
	size_t i;

	return status_find_service(status, name, &i) ?
		       describe_service(status, i, first_member(status->dataplane, i)) :
		       NULL;
}

bool status_find_service(const struct status *status, const char *service, size_t *i)
{
	const struct config *config = status->dataplane->config;

	for (*i = 0; *i < config->service_count; (*i)++)
		if (is_called(&config->services[*i], service))
			return true;
	return false;
}

bool status_find(const struct status *status, const char *service, const char *backend, size_t *i,
		 size_t *j)
{
	const struct dataplane *dataplane = status->dataplane;
	char address[ADDRESS_TEXT_MAX];

	for (*i = 0; *i < dataplane->config->service_count; (*i)++) {
		const struct service_config *config = dataplane->services[*i].config;

		if (!is_called(config, service))
			continue;
		for (*j = 0; *j < config->backend_count; (*j)++)
			if (!strcmp(address_format(config->backends[*j].address, address), backend))
				return true;
	}
	return false;
}

json_t *status_backend_json(const struct status *status, size_t i, size_t j)
{
	return describe_backend(status, i, first_member(status->dataplane, i), j);
}

json_t *status_backends_json(const struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;
	json_t *array = json_array();
	size_t first = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		describe_backends(status, i, first, array);
		first += dataplane->services[i].config->backend_count;
	}
	return json_pack("{s:o}", "backends", array);
}

json_t *status_loads_json(const struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;
	bool *told = calloc(SERVERS_MAX, sizeof(*told));
	json_t *array = json_array();

	/* A server may stand behind several services. */
	for (size_t i = 0; told && i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++) {
			const struct member *member = &service->members[j];

			if (!told[member->server])
				json_array_append_new(array, describe_load(status, member));
			told[member->server] = true;
		}
	}
	free(told);
	return json_pack("{s:o}", "loads", array);
}

/* What there is to say of one of many: how many of its backends are how. */
static json_t *summarise(const struct status *status, size_t i, size_t first)
{
	const struct balanced_service *service = &status->dataplane->services[i];
	const struct service_config *config = service->config;
	json_int_t states[HEALTH_STATE_COUNT] = {0}, open = 0, silent = 0, in_flight = 0;
	char address[ENDPOINT_TEXT_MAX];

	for (size_t j = 0; j < config->backend_count; j++) {
		const struct member *member = &service->members[j];
		struct load load = status->dataplane->loads[member->server];

		states[member->health.state]++;
		open += member_is_open(member);
		silent += reports_expected(config) && load_cause(status, service, member) &&
			  traffic_of(status, first + j).recent;
		if (load.received_ns && load_known(&load, now_ns(), config->stale_after_ns))
			in_flight += load.in_flight;
	}
	return json_pack("{s:s,s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "name", config->name,
			 "address", endpoint_format(&config->address, address), "protocol",
			 protocol_name(config->protocol), "leaving", config->leaving, "backends",
			 (json_int_t)config->backend_count, "open", open, "suspect",
			 states[HEALTH_SUSPECT], "down", states[HEALTH_DOWN], "draining",
			 states[HEALTH_DRAINING], "silent", silent, "in_flight", in_flight,
			 "connections_per_second", traffic_of_service(status, i, first).per_second);
}

static size_t count_servers(const struct dataplane *dataplane)
{
	bool *counted = calloc(SERVERS_MAX, sizeof(*counted));
	size_t count = 0;

	for (size_t i = 0; counted && i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++) {
			count += !counted[service->members[j].server];
			counted[service->members[j].server] = true;
		}
	}
	free(counted);
	return count;
}

json_t *status_summary_json(const struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;
	json_t *array = json_array();
	size_t first = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		json_array_append_new(array, summarise(status, i, first));
		first += dataplane->services[i].config->backend_count;
	}
	return json_pack("{s:I,s:o}", "servers", (json_int_t)count_servers(dataplane), "services",
			 array);
}

static void add_problem(json_t *problems, const char *service, json_t *backend, const char *kind,
			const char *cause)
{
	json_array_append_new(problems,
			      json_pack("{s:s,s:o,s:s,s:s}", "service", service, "backend", backend,
					"kind", kind, "cause", cause));
}

/* Returns how many of the service's backends are open. */
static size_t check_service(const struct status *status, const struct balanced_service *service,
			    size_t first, json_t *problems)
{
	const char *name = service->config->name;
	size_t open = 0;

	for (size_t i = 0; i < service->config->backend_count; i++) {
		const struct member *member = &service->members[i];
		const char *guessed = load_cause(status, service, member);
		char text[ADDRESS_TEXT_MAX];

		open += member_is_open(member);
		address_format(member->config->address, text);
		/* Who drains is meant to. */
		if (member->config->draining)
			continue;
		if (!member->neighbour.resolved)
			add_problem(problems, name, json_string(text), "no-neighbour",
				    member->health.cause);
		else if (member->health.state == HEALTH_DOWN ||
			 member->health.state == HEALTH_SUSPECT)
			add_problem(problems, name, json_string(text),
				    health_state_name(member->health.state), member->health.cause);
		/* Who gets no connections has no packets to report on. */
		else if (guessed && reports_expected(service->config) &&
			 traffic_of(status, first + i).recent)
			add_problem(problems, name, json_string(text), "load-unknown", guessed);
	}
	if (!open)
		add_problem(problems, name, json_null(), "no-backend",
			    "no backend is up and does not drain: new connections are dropped, or "
			    "what `all_down` says");
	return open;
}

json_t *status_health_json(const struct status *status, bool *failing)
{
	const struct dataplane *dataplane = status->dataplane;
	json_t *problems = json_array();
	size_t first = 0, up = 0;
	const char *verdict;

	*failing = false;
	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];
		size_t count = check_service(status, service, first, problems);

		*failing |= !count;
		up += count;
		first += service->config->backend_count;
	}
	verdict = *failing ? "failing" : json_array_size(problems) ? "degraded" : "ok";
	return json_pack("{s:s,s:I,s:I,s:o}", "health", verdict, "backends", (json_int_t)first,
			 "backends_up", (json_int_t)up, "problems", problems);
}
