/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/tables.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "log.h"

struct service_key service_key(const struct service_config *config)
{
	return (struct service_key){
		.address = config->address.address.s_addr,
		.port = htons(config->address.port),
		.protocol = config->protocol,
	};
}

/* What a predecessor or we have given out already: looked up once, not for each service and server. */
struct given {
	bool old_services[SERVICES_MAX + 1], services[SERVICES_MAX + 1];
	uint32_t highest_server;
};

static void look_up_services(struct dataplane *dataplane, struct given *given)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service_key key, *previous = NULL;
	struct service service;

	while (!bpf_map_get_next_key(map, previous, &key)) {
		if (!bpf_map_lookup_elem(map, &key, &service) && service.id <= SERVICES_MAX)
			given->old_services[service.id] = true;
		previous = &key;
	}
}

static void look_up_servers(struct dataplane *dataplane, struct given *given)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	uint32_t key, *previous = NULL;
	struct server server;

	while (!bpf_map_get_next_key(map, previous, &key)) {
		if (!bpf_map_lookup_elem(map, &key, &server) &&
		    server.index > given->highest_server)
			given->highest_server = server.index;
		previous = &key;
	}
}

/* The id that the service has had, or one that nobody has; 0 if there is none. */
static uint32_t service_id_take(struct dataplane *dataplane, const struct service_key *key,
				struct given *given)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service service;
	uint32_t id = 1;

	if (!bpf_map_lookup_elem(map, key, &service) && service.id && service.id <= SERVICES_MAX &&
	    !given->services[service.id])
		id = service.id;
	else
		while (id <= SERVICES_MAX && (given->services[id] || given->old_services[id]))
			id++;
	if (id > SERVICES_MAX)
		return 0;
	given->services[id] = true;
	return id;
}

/* The index that the server has in `loads`, or a new one; 0 if there is no more room. */
static uint32_t server_index(struct dataplane *dataplane, struct in_addr address,
			     struct given *given)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	struct server server = {0};

	if (!bpf_map_lookup_elem(map, &address.s_addr, &server))
		return server.index;
	if (given->highest_server + 1 >= SERVERS_MAX)
		return 0;
	server.index = given->highest_server + 1;
	if (bpf_map_update_elem(map, &address.s_addr, &server, BPF_ANY))
		return 0;
	return given->highest_server = server.index;
}

/* The index of that pair in `backends`, or a free one; 0 if there is none. */
static uint32_t backend_index(struct dataplane *dataplane, uint32_t service, struct in_addr address)
{
	uint32_t unused = 0;

	for (uint32_t i = 1; i < BACKENDS_MAX; i++) {
		const struct backend *backend = &dataplane->backends[i];

		if (backend->service == service && backend->address == address.s_addr)
			return i;
		if (!backend->service && !unused)
			unused = i;
	}
	return unused;
}

void member_set_weight(struct dataplane *dataplane, struct member *member, uint32_t weight)
{
	member->weight = weight;
	dataplane->backends[member->index].cost =
		(uint32_t)((uint64_t)COST_ONE * WEIGHT_ONE / weight);
}

static int fill_member(struct dataplane *dataplane, const struct balanced_service *service,
		       struct member *member, struct given *given)
{
	const struct backend_config *config = member->config;
	struct backend *backend;

	member->neighbour.address = config->address;
	member->server = server_index(dataplane, config->address, given);
	member->index = backend_index(dataplane, service->id, config->address);
	if (!member->server || !member->index) {
		log_error("%s: no room for another backend: at most %d servers and %d backends are "
			  "supported",
			  service->config->name, SERVERS_MAX - 1, BACKENDS_MAX - 1);
		return -ENOSPC;
	}
	backend = &dataplane->backends[member->index];
	backend->service = service->id;
	backend->server = member->server;
	backend->address = config->address.s_addr;
	member->configured = config->weight;
	member->draining = config->draining;
	member_set_weight(dataplane, member, config->weight * WEIGHT_ONE);
	return 0;
}

static int fill_service(struct dataplane *dataplane, struct balanced_service *service,
			struct given *given)
{
	const struct service_config *config = service->config;
	struct service_key key = service_key(config);
	int err;

	service->id = service_id_take(dataplane, &key, given);
	if (!service->id) {
		log_error("%s: at most %d services are supported", config->name, SERVICES_MAX);
		return -ENOSPC;
	}
	service->members = calloc(config->backend_count, sizeof(*service->members));
	if (!service->members)
		return -ENOMEM;
	for (size_t i = 0; i < config->backend_count; i++) {
		service->members[i].config = &config->backends[i];
		err = fill_member(dataplane, service, &service->members[i], given);
		if (err)
			return err;
	}
	return 0;
}

static bool is_configured(const struct config *config, const struct service_key *key)
{
	for (size_t i = 0; i < config->service_count; i++) {
		struct service_key ours = service_key(&config->services[i]);

		if (ours.address == key->address && ours.protocol == key->protocol &&
		    (ours.port == key->port || !key->port))
			return true;
	}
	return false;
}

/* Services that a predecessor served and the configuration no longer names. */
static void remove_old_services(struct dataplane *dataplane)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service_key key, next;
	int more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (!is_configured(dataplane->config, &key))
			bpf_map_delete_elem(map, &key);
	}
}

static bool is_member(const struct dataplane *dataplane, uint32_t index)
{
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++)
			if (dataplane->services[i].members[j].index == index)
				return true;
	return false;
}

/* Likewise backends: their flows become unknown, and their indices free. */
static void remove_old_backends(struct dataplane *dataplane)
{
	for (uint32_t i = 1; i < BACKENDS_MAX; i++)
		if (dataplane->backends[i].service && !is_member(dataplane, i))
			memset(&dataplane->backends[i], 0, sizeof(dataplane->backends[i]));
}

int tables_fill(struct dataplane *dataplane)
{
	const struct config *config = dataplane->config;
	struct given given = {0};
	int err;

	look_up_services(dataplane, &given);
	look_up_servers(dataplane, &given);
	dataplane->services = calloc(config->service_count, sizeof(*dataplane->services));
	if (!dataplane->services)
		return -ENOMEM;
	for (size_t i = 0; i < config->service_count; i++) {
		dataplane->services[i].config = &config->services[i];
		err = fill_service(dataplane, &dataplane->services[i], &given);
		if (err)
			return err;
	}
	remove_old_services(dataplane);
	remove_old_backends(dataplane);
	return 0;
}

void tables_free(struct dataplane *dataplane)
{
	for (size_t i = 0; dataplane->services && i < dataplane->config->service_count; i++)
		free(dataplane->services[i].members);
	free(dataplane->services);
	dataplane->services = NULL;
}

static void server_set_mac(struct dataplane *dataplane, const struct neighbour *neighbour)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	uint32_t key = neighbour->address.s_addr;
	struct server server;

	if (bpf_map_lookup_elem(map, &key, &server))
		return;
	memcpy(server.mac, neighbour->mac, sizeof(server.mac));
	server.mac_known = 1;
	bpf_map_update_elem(map, &key, &server, BPF_ANY);
}

static void backend_set_mac(struct backend *backend, const struct neighbour *neighbour)
{
	struct link_info link;

	if (link_get_by_index(neighbour->ifindex, &link))
		return;
	memcpy(backend->mac, neighbour->mac, sizeof(backend->mac));
	memcpy(backend->source_mac, link.mac, sizeof(backend->source_mac));
	/* Last, because the data path goes by it. */
	__atomic_store_n(&backend->ifindex, (uint32_t)neighbour->ifindex, __ATOMIC_RELEASE);
}

size_t dataplane_set_neighbour(struct dataplane *dataplane, const struct neighbour *neighbour)
{
	size_t changed = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++) {
			struct member *member = &service->members[j];

			if (member->config->address.s_addr != neighbour->address.s_addr)
				continue;
			member->neighbour = *neighbour;
			/* What is lost keeps its old MAC address for the flows it has. */
			if (neighbour->resolved)
				backend_set_mac(&dataplane->backends[member->index], neighbour);
			changed++;
		}
	}
	if (changed && neighbour->resolved)
		server_set_mac(dataplane, neighbour);
	return changed;
}
