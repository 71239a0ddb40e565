/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balancers that are told: each has its place in the map of them as long as it is one. */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "config/compare.h"
#include "log.h"
#include "next_hop.h"
#include "server/dataplane_private.h"

/* The place of a balancer among the peers; BALANCERS_MAX if it has none. Of "::", one that is free. */
static size_t find_place(const struct server_dataplane *dataplane, struct ip_address address)
{
	size_t place = 0;

	while (place < BALANCERS_MAX && !address_equal(dataplane->peers[place].address, address))
		place++;
	return place;
}

struct peer *server_dataplane_peer(const struct server_dataplane *dataplane, size_t i)
{
	return &dataplane->peers[find_place(dataplane, dataplane->config->balancers[i])];
}

/* Sequences begin at the wall clock in ms, so that a restart never looks old. */
static void begin_peer(struct peer *peer, struct ip_address address)
{
	peer->address = address;
	peer->own = address_is_set(address) ? source_towards(address) : address;
	peer->sequence = (uint32_t)(clock_ns(CLOCK_REALTIME) / 1000000);
}

uint32_t server_peers_place(struct server_dataplane *dataplane, const struct config *config)
{
	const struct ip_address nobody = {0};
	uint32_t count = 0;

	for (size_t i = 0; i < BALANCERS_MAX; i++) {
		if (config_has_balancer(config, dataplane->peers[i].address))
			continue;
		dataplane->peers[i].mac_known = 0;
		dataplane->peers[i].address = nobody;
	}
	for (size_t i = 0; i < config->balancer_count; i++) {
		size_t place = find_place(dataplane, config->balancers[i]);

		if (place == BALANCERS_MAX) {
			place = find_place(dataplane, nobody);
			memset(&dataplane->peers[place], 0, sizeof(struct peer));
			begin_peer(&dataplane->peers[place], config->balancers[i]);
		}
		if (count < place + 1)
			count = (uint32_t)place + 1;
	}
	return count;
}

int server_peers_begin(struct server_dataplane *dataplane)
{
	const struct config *config = dataplane->config;
	const struct ip_address nobody = {0};

	if (config->balancer_count > BALANCERS_MAX) {
		log_error("balancers: %zu are named; at most %d are supported",
			  config->balancer_count, BALANCERS_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < BALANCERS_MAX; i++) {
		/* Whose place this was in a predecessor's list is not known. */
		dataplane->peers[i].mac_known = 0;
		begin_peer(&dataplane->peers[i],
			   i < config->balancer_count ? config->balancers[i] : nobody);
	}
	return 0;
}

void server_dataplane_set_neighbour(struct server_dataplane *dataplane,
				    const struct neighbour *neighbour)
{
	for (size_t i = 0; i < dataplane->config->balancer_count; i++) {
		struct peer *peer = server_dataplane_peer(dataplane, i);

		if (!address_equal(dataplane->config->balancers[i], neighbour->address))
			continue;
		memcpy(peer->mac, neighbour->mac, sizeof(peer->mac));
		peer->is_far = !address_equal(neighbour->next_hop, neighbour->address);
		peer->own = source_towards(neighbour->address);
		/* Last, because the data path goes by it. */
		__atomic_store_n(&peer->mac_known, neighbour->resolved, __ATOMIC_RELEASE);
	}
}
