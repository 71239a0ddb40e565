/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/tunnels.h"

#include <arpa/inet.h>

#include "address.h"

static void allow(struct server_settings *settings, struct ip_address address,
		  struct ip_address mask, uint32_t peer)
{
	struct tunnel_origin *origin = &settings->tunnel_origins[settings->tunnel_origin_count++];

	for (int i = 0; i < 4; i++)
		origin->address.word[i] = address.word[i] & mask.word[i];
	origin->mask = mask;
	origin->peer = peer;
}

/* From 1; 0 if it is none of the peers. */
static uint32_t number_of(struct ip_address address, const struct peer *peers)
{
	for (uint32_t i = 0; i < BALANCERS_MAX; i++)
		if (address_equal(peers[i].address, address))
			return i + 1;
	return 0;
}

/* A balancer's outer headers have its own address, or one that varies with the flow. */
static void allow_balancer(struct server_settings *settings, struct ip_address address,
			   uint32_t peer)
{
	struct ip_address mask = address_mask(address, address_is_ipv4(address) ? 32 : 128);

	if (address_is_ipv4(address)) {
		allow(settings, address, mask, peer);
		address.word[3] = htonl(OUTER_SOURCE_IPV4) | (address.word[3] & htonl(0xFF));
		mask.word[3] = htonl(~OUTER_SOURCE_IPV4_MASK);
	} else {
		mask.word[2] = 0;
	}
	allow(settings, address, mask, peer);
}

void tunnels_allow(struct server_settings *settings, const struct config *config,
		   const struct peer *peers)
{
	settings->tunnel_origin_count = 0;
	for (size_t i = 0; i < config->balancer_count; i++)
		allow_balancer(settings, config->balancers[i],
			       number_of(config->balancers[i], peers));
	for (size_t i = 0; i < config->tunnel_source_count; i++)
		allow(settings, config->tunnel_sources[i].address, config->tunnel_sources[i].mask,
		      0);
}
