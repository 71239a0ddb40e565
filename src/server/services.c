/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>

#include "hash.h"
#include "server.skel.h"
#include "server/dataplane_private.h"
#include "service_keys.h"

void server_services_place(struct server_settings *settings, const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++) {
		struct service_key key = service_key(&config->services[i]);
		struct service_key *place = &settings->places[hash_place(&key.address, key.port)];

		if (place->protocol)
			settings->unplaced++;
		else
			*place = key;
		settings->any_port |= !key.port;
	}
}

int server_services_add(struct server_dataplane *dataplane, const struct config *config)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service_key key, vip = {0};
	uint32_t nothing = 0;

	for (size_t i = 0; i < config->service_count; i++) {
		key = service_key(&config->services[i]);
		vip.address = key.address;
		if (bpf_map_update_elem(map, &key, &nothing, BPF_ANY) ||
		    bpf_map_update_elem(map, &vip, &nothing, BPF_ANY))
			return -errno;
	}
	return 0;
}

void server_services_drop(struct server_dataplane *dataplane, const struct config *config)
{
	service_keys_prune(bpf_map__fd(dataplane->bpf->maps.services), config);
}

void server_services_list(struct server_dataplane *dataplane, const struct config *config)
{
	for (size_t i = 0; i < config->service_count && i < MEASURED_SERVICES_MAX; i++) {
		dataplane->measured.services[i] = service_key(&config->services[i]);
		dataplane->measured_size = offsetof(struct measured_services, services[i + 1]);
	}
}
