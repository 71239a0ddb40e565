/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "service_keys.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <string.h>

#include "config/compare.h"

struct service_key service_key(const struct service_config *service)
{
	return (struct service_key){
		.address = service->address.address,
		.port = htons(service->address.port),
		.protocol = service->protocol,
	};
}

static bool is_named(const struct config *config, const struct service_key *key)
{
	/* The VIP itself. */
	if (!key->protocol)
		return config_has_address(config, key->address);
	for (size_t i = 0; i < config->service_count; i++) {
		struct service_key ours = service_key(&config->services[i]);

		if (!memcmp(&ours, key, sizeof(ours)))
			return true;
	}
	return false;
}

void service_keys_prune(int map, const struct config *config)
{
	struct service_key key, next;
	int more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (!is_named(config, &key))
			bpf_map_delete_elem(map, &key);
	}
}
