/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service a packet is for, and whether what cannot be parsed is for one. */
#ifndef PLIMSOLL_SERVICE_H
#define PLIMSOLL_SERVICE_H

#include "hash.h"
#include "maps.h"
#include "packet.h"

/* May the packet be for one of our VIPs? */
static __always_inline int is_near_vip(const struct settings *settings,
				       const struct ip_address *address)
{
	return (settings->vip_places & hash_vip_place(address)) != 0;
}

/* That of the very port, or else that of every port. */
static __noinline struct service *service_find(const struct settings *settings,
					       struct service_key *key)
{
	struct service *service = bpf_map_lookup_elem(&services, key);
	__be16 port = key->port;

	if (service || !settings->any_port)
		return service;
	key->port = 0;
	service = bpf_map_lookup_elem(&services, key);
	key->port = port;
	return service;
}

/* The entry of a VIP: whatever the packet's transport, it is for one of our addresses. */
static __always_inline const struct service *vip_find(struct packet *packet)
{
	__u8 protocol = packet->to.protocol;
	const struct service *vip;

	packet->to.port = 0;
	packet->to.protocol = 0;
	vip = bpf_map_lookup_elem(&services, &packet->to);
	packet->to.protocol = protocol;
	return vip;
}

/*
 * What we cannot parse is ours to drop only if it is for a VIP of ours that has a service of that
 * transport, or if even that cannot be told.
 */
static __always_inline enum verdict unparsable(struct packet *packet, enum verdict verdict)
{
	const struct service *vip = vip_find(packet);

	if (!vip)
		return VERDICT_NOT_OURS;
	switch (packet->to.protocol) {
	case IPPROTO_TCP:
		return vip->protocols & VIP_TCP ? verdict : VERDICT_NOT_OURS;
	case IPPROTO_UDP:
		return vip->protocols & VIP_UDP ? verdict : VERDICT_NOT_OURS;
	default:
		return packet->version == 6 && is_extension(packet->to.protocol) ? verdict :
										   VERDICT_NOT_OURS;
	}
}

/* Is what the packet is for served by the backend? */
static __always_inline int serves(const struct settings *settings, const struct backend *backend,
				  const struct service_key *to)
{
	return backend->vip == hash_vip(&to->address, to->port, to->protocol) ||
	       (settings->any_port && backend->vip == hash_vip(&to->address, 0, to->protocol));
}

#endif
