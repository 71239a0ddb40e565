/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the tables hold and the configuration no longer names. */
#include <bpf/bpf.h>
#include <string.h>

#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "balancer/tables.h"
#include "service_keys.h"

/* Backends that a predecessor had and the configuration no longer names: their flows become unknown, and their indices free. */
static void remove_old_backends(struct dataplane *dataplane)
{
	bool needed[BACKENDS_MAX] = {false};

	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->config->services[i].backend_count; j++)
			needed[dataplane->services[i].members[j].index] = true;
	for (uint32_t i = 1; i < BACKENDS_MAX; i++)
		if (dataplane->backends[i].service && !needed[i])
			memset(&dataplane->backends[i], 0, sizeof(dataplane->backends[i]));
}

/* Likewise servers: what they report is no longer believed. */
static void remove_old_servers(struct dataplane *dataplane)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	bool needed[SERVERS_MAX] = {false};
	struct server server;
	uint32_t key, next;
	int more;

	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->config->services[i].backend_count; j++)
			needed[dataplane->services[i].members[j].server] = true;
	more = !bpf_map_get_next_key(map, NULL, &next);
	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (!bpf_map_lookup_elem(map, &key, &server) &&
		    (server.index >= SERVERS_MAX || !needed[server.index]))
			bpf_map_delete_elem(map, &key);
	}
}

void tables_prune(struct dataplane *dataplane)
{
	service_keys_prune(bpf_map__fd(dataplane->bpf->maps.services), dataplane->config);
	remove_old_backends(dataplane);
	remove_old_servers(dataplane);
}
