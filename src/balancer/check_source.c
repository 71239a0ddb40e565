/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "balancer/check.h"

static bool is_virtual(const struct config *config, struct ip_address address)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (address_equal(config->services[i].address.address, address))
			return true;
	return false;
}

/* May the server answer to it? */
static bool is_own(const struct dataplane *dataplane, const struct ifaddrs *entry, int family)
{
	const struct sockaddr_in6 *ipv6 = (const void *)entry->ifa_addr;
	struct ip_address address;

	if (!entry->ifa_addr || entry->ifa_addr->sa_family != family)
		return false;
	if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr))
		return false;
	address = endpoint_of_socket((const struct sockaddr_storage *)(const void *)ipv6).address;
	return !is_virtual(dataplane->config, address);
}

/* How much the interface is wanted; 0: not at all. */
static int rank(const struct dataplane *dataplane, const char *name, uint32_t leads)
{
	for (size_t i = 0; i < dataplane->interface_count; i++)
		if (!strcmp(dataplane->interfaces[i].name, name))
			return (uint32_t)dataplane->interfaces[i].ifindex == leads ? 2 : 1;
	return 0;
}

struct ip_address check_find_source(const struct dataplane *dataplane, const struct check *check)
{
	uint32_t leads = dataplane->backends[check->backend].ifindex;
	int family = address_family(check->service.address), best = 0;
	struct ip_address found = {0};
	struct ifaddrs *list;

	if (getifaddrs(&list))
		return found;
	for (struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		int wanted = rank(dataplane, entry->ifa_name, leads);

		if (wanted <= best || !is_own(dataplane, entry, family))
			continue;
		best = wanted;
		found = endpoint_of_socket((struct sockaddr_storage *)(void *)entry->ifa_addr)
				.address;
	}
	freeifaddrs(list);
	return found;
}
