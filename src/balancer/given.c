/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/given.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.skel.h"
#include "hash.h"
#include "log.h"
#include "service_keys.h"

/* Twice as many as there can be, so that searches end soon; a power of two. */
#define PLACES (2 * BACKENDS_MAX)

/* 0 if something is there, -ENOENT, or why the kernel does not tell: then nobody may be taken for new. */
static int look_up(int map, const void *key, void *value)
{
	return bpf_map_lookup_elem(map, key, value) ? -errno : 0;
}

static int next_key(int map, const void *previous, void *key)
{
	return bpf_map_get_next_key(map, previous, key) ? -errno : 0;
}

static int look_up_services(struct dataplane *dataplane, struct given *given)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service_key key, *previous = NULL;
	struct service service;
	int err;

	while (!(err = next_key(map, previous, &key))) {
		err = look_up(map, &key, &service);
		if (err)
			return err;
		if (service.id <= SERVICES_MAX)
			given->old_services[service.id] = true;
		previous = &key;
	}
	return err == -ENOENT ? 0 : err;
}

static int look_up_servers(struct dataplane *dataplane, struct given *given)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	uint32_t key, *previous = NULL;
	struct server server;
	int err;

	while (!(err = next_key(map, previous, &key))) {
		err = look_up(map, &key, &server);
		if (err)
			return err;
		if (server.index < SERVERS_MAX)
			given->servers[server.index] = true;
		previous = &key;
	}
	return err == -ENOENT ? 0 : err;
}

int given_service(struct dataplane *dataplane, struct given *given,
		  const struct service_config *config, uint32_t *id)
{
	const struct service_key key = service_key(config);
	struct service service = {0};
	int err = look_up(bpf_map__fd(dataplane->bpf->maps.services), &key, &service);

	if (err && err != -ENOENT)
		return err;
	*id = service.id;
	if (!*id || *id > SERVICES_MAX || given->services[*id]) {
		*id = 1;
		while (*id <= SERVICES_MAX && (given->services[*id] || given->old_services[*id]))
			(*id)++;
	}
	if (*id > SERVICES_MAX) {
		log_error("%s: at most %d services are supported", config->name, SERVICES_MAX);
		return -ENOSPC;
	}
	given->services[*id] = true;
	return 0;
}

int given_server(struct dataplane *dataplane, struct given *given, struct ip_address address,
		 uint32_t *index)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	struct server server = {0};
	uint32_t id = address_report_id(address);
	uint64_t none = 0;
	int err = look_up(map, &id, &server);

	*index = server.index;
	if (err != -ENOENT)
		return err;
	while (given->next_server < SERVERS_MAX && given->servers[given->next_server])
		given->next_server++;
	if (given->next_server >= SERVERS_MAX)
		return 0;
	server.index = given->next_server;
	memset(&dataplane->loads[server.index], 0, sizeof(struct load));
	bpf_map_update_elem(bpf_map__fd(dataplane->bpf->maps.old_key_reports), &server.index, &none,
			    BPF_ANY);
	if (bpf_map_update_elem(map, &id, &server, BPF_ANY))
		return -errno;
	given->servers[server.index] = true;
	*index = server.index;
	return 0;
}

/* Where the pair stands in the hash table, or would. */
static uint32_t *find_place(const struct dataplane *dataplane, const struct given *given,
			    uint32_t service, struct ip_address address)
{
	uint64_t hash = (uint64_t)service << 32 ^ address.word[3];
	const struct backend *backend;

	for (int i = 0; i < 3; i++)
		hash = hash_mix(hash ^ address.word[i]);
	for (uint32_t i = (uint32_t)hash % PLACES;; i = (i + 1) % PLACES) {
		backend = &dataplane->backends[given->places[i]];
		if (!given->places[i] ||
		    (backend->service == service && address_equal(backend->address, address)))
			return &given->places[i];
	}
}

static int look_up_backends(struct dataplane *dataplane, struct given *given)
{
	given->places = calloc(PLACES, sizeof(*given->places));
	if (!given->places)
		return -ENOMEM;
	for (uint32_t i = 1; i < BACKENDS_MAX; i++) {
		const struct backend *backend = &dataplane->backends[i];

		if (backend->service)
			*find_place(dataplane, given, backend->service, backend->address) = i;
	}
	return 0;
}

uint32_t given_backend(struct dataplane *dataplane, struct given *given, uint32_t service,
		       struct ip_address address)
{
	uint32_t *place = find_place(dataplane, given, service, address);

	for (uint32_t tried = 1; !*place && tried < BACKENDS_MAX; tried++) {
		uint32_t i = dataplane->next_backend ?: 1;

		dataplane->next_backend = (i + 1) % BACKENDS_MAX;
		if (!dataplane->backends[i].service)
			*place = i;
	}
	return *place;
}

int given_open(struct dataplane *dataplane, struct given *given)
{
	int err = look_up_services(dataplane, given);

	given->next_server = 1;
	if (!err)
		err = look_up_servers(dataplane, given);
	if (!err)
		err = look_up_backends(dataplane, given);
	return err;
}

void given_close(struct given *given)
{
	free(given->places);
}
