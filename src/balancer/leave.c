/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is taken out of the configuration does not drop its connections. It leaves: it stays in the one in
 * force, drains, and is removed when the last connection has ended. Where nobody else of the service
 * can take new connections yet, it goes on taking them.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.skel.h"
#include "balancer/balancer_private.h"
#include "balancer/flows.h"
#include "balancer/status_private.h"
#include "balancer/tables.h"
#include "clock.h"
#include "config/amend.h"
#include "config/compare.h"
#include "flow_slot.h"
#include "log.h"
#include "service_keys.h"

/*
 * A connection whose client has closed its half is alive as long as packets of his come: the other half
 * may go on for long, and its end wants an answer.
 */
#define CLOSING_TICKS FLOW_FINE_TICKS(10)

static bool is_alive(uint64_t value, uint64_t now, uint32_t udp_timeout_ticks)
{
	if (flow_state(value) == FLOW_CLOSING)
		return flow_age(value, now) <= CLOSING_TICKS;
	return value && !flow_over(value, now, udp_timeout_ticks);
}

uint32_t *leave_count(const struct dataplane *dataplane)
{
	uint32_t *alive = calloc(1U << FLOW_BACKEND_BITS, sizeof(*alive));
	uint32_t udp_timeout_ticks = flow_udp_timeout_ticks(dataplane->config);
	uint64_t now = now_ns(), value;

	for (size_t i = 0; alive && i < dataplane->flow_buckets; i++)
		for (size_t j = 0; j < BUCKET_SLOTS; j++) {
			value = __atomic_load_n(&dataplane->flows[i].slot[j], __ATOMIC_RELAXED);
			if (is_alive(value, now, udp_timeout_ticks))
				alive[flow_backend(value)]++;
		}
	return alive;
}

static int keep_member(struct service_config *service, const struct member *member)
{
	struct backend_config backend = *member->config;

	backend.leaving = true;
	backend.draining = true;
	return service_append(service, &backend);
}

/* Whether somebody who is there already takes the new connections. */
static bool is_served(const struct balanced_service *service, const struct service_config *next)
{
	for (size_t i = 0; i < service->config->backend_count; i++) {
		const struct backend_config *backend =
			service_find_backend(next, service->members[i].config->address, i);

		if (backend && !backend->draining && !backend->leaving &&
		    service->members[i].neighbour.resolved)
			return true;
	}
	return false;
}

/* next: the service as it is to be, with backends of its own. */
static int keep_members(const struct balanced_service *service, struct service_config *next,
			const uint32_t *alive)
{
	bool served = next->leaving || is_served(service, next);

	for (size_t i = 0; i < service->config->backend_count; i++) {
		const struct member *member = &service->members[i];
		bool serves = member_is_open(member) ||
			      (member->config->leaving && member->neighbour.resolved);

		if (service_find_backend(next, member->config->address, i) ||
		    (!alive[member->index] && (served || !serves)))
			continue;
		if (keep_member(next, member))
			return -ENOMEM;
	}
	return 0;
}

static bool name_is_taken(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (!strcmp(config->services[i].name, name))
			return true;
	return false;
}

static int append_service(struct config *config, const struct service_config *service)
{
	struct service_config *longer =
		realloc(config->services, (config->service_count + 1) * sizeof(*longer));

	if (!longer)
		return -ENOMEM;
	longer[config->service_count++] = *service;
	config->services = longer;
	return 0;
}

static int keep_service(struct config *config, const struct balanced_service *service,
			const uint32_t *alive)
{
	struct service_config next = *service->config;
	int err;

	next.leaving = true;
	next.backends = NULL;
	next.backend_count = 0;
	if (name_is_taken(config, next.name))
		endpoint_format(&next.address, next.name);
	err = keep_members(service, &next, alive);
	if (!err && next.backend_count)
		err = append_service(config, &next);
	if (err || !next.backend_count)
		free(next.backends);
	return err;
}

int leave_keep(const struct balancer *balancer, struct config *config, const uint32_t *alive)
{
	const struct dataplane *dataplane = &balancer->dataplane;
	int err = 0;

	for (size_t i = 0; !err && i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];
		struct service_config *next = config_find_service(config, service->config, i);

		err = next ? keep_members(service, next, alive) :
			     keep_service(config, service, alive);
	}
	return err;
}

/* The configuration's service that has that id in the kernel; NULL: none has. */
static struct service_config *find_by_id(const struct dataplane *dataplane, uint32_t id)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct config *config = dataplane->config;
	struct service service;

	for (size_t i = 0; i < config->service_count; i++) {
		struct service_key key = service_key(&config->services[i]);

		if (!bpf_map_lookup_elem(map, &key, &service) && service.id == id)
			return &config->services[i];
	}
	return NULL;
}

int leave_inherit(struct dataplane *dataplane)
{
	uint32_t *alive = leave_count(dataplane);
	int err = alive ? 0 : -ENOMEM;

	for (uint32_t i = 1; !err && i < BACKENDS_MAX; i++) {
		struct backend_config backend;
		struct service_config *service =
			dataplane->backends[i].service && alive[i] ?
				find_by_id(dataplane, dataplane->backends[i].service) :
				NULL;

		if (!service || service_find_backend(service, dataplane->backends[i].address, i))
			continue;
		backend_begin(&backend);
		backend.address = dataplane->backends[i].address;
		backend.leaving = true;
		backend.draining = true;
		err = service_append(service, &backend);
	}
	free(alive);
	return err;
}

/* Only a walk through the flow table that begins now sees the last connections. */
static void look_later(const struct balancer *balancer, struct member *member)
{
	member->leaves_after = flow_walk_rounds(balancer->sources.status->walk) + 2;
}

void leave_begin(struct balancer *balancer)
{
	struct dataplane *dataplane = &balancer->dataplane;

	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++) {
			struct member *member = &dataplane->services[i].members[j];

			if (member->config->leaving && !member->leaves_after)
				look_later(balancer, member);
		}
}

static bool may_have_left(const struct balancer *balancer, const struct balanced_service *service,
			  const struct member *member)
{
	const struct status *status = balancer->sources.status;

	return member->config->leaving && flow_walk_rounds(status->walk) >= member->leaves_after &&
	       !status_open_connections(status, member) &&
	       (service->config->leaving || is_served(service, service->config));
}

/* Whether anybody may have left; they are looked at again later if they have not. */
static bool somebody_may_have_left(struct balancer *balancer)
{
	struct dataplane *dataplane = &balancer->dataplane;
	bool found = false;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++) {
			if (!may_have_left(balancer, service, &service->members[j]))
				continue;
			look_later(balancer, &service->members[j]);
			found = true;
		}
	}
	return found;
}

static void tell_gone(const struct difference *difference, void *context)
{
	const struct balancer *balancer = context;
	char text[ADDRESS_TEXT_MAX];

	if (difference->kind == DIFFERENCE_REMOVED)
		events_add(
			balancer->sources.events, EVENT_BACKEND_REMOVED, difference->service->name,
			difference->backend ? address_format(difference->backend->address, text) :
					      NULL,
			difference->backend ? "has no connections left and is gone" :
					      "the service has no connections left and is gone");
}

static void count_difference(const struct difference *difference, void *context)
{
	(void)difference;
	(*(size_t *)context)++;
}

/* The configuration without those who have left; NULL if there are none, or for want of memory. */
static struct config *without_gone(struct balancer *balancer)
{
	struct config *config = config_copy_staying(balancer->daemon.config);
	uint32_t *alive = leave_count(&balancer->dataplane);
	size_t differences = 0;

	if (config && alive && !leave_keep(balancer, config, alive))
		config_compare(balancer->daemon.config, config, count_difference, &differences);
	free(alive);
	if (differences)
		return config;
	config_free(config);
	return NULL;
}

void leave_look(struct balancer *balancer)
{
	struct config *config, *before;
	int err;

	if (!somebody_may_have_left(balancer))
		return;
	config = without_gone(balancer);
	before = config ? config_copy(balancer->daemon.config) : NULL;
	if (!before) {
		config_free(config);
		return;
	}
	err = balancer_apply(balancer, config, balancer->file);
	if (!err) {
		config_compare(before, balancer->daemon.config, tell_gone, balancer);
	} else {
		config_free(config);
		log_warning("a backend without connections cannot be removed: %s; it is tried "
			    "again",
			    strerror(-err));
	}
	config_free(before);
}
