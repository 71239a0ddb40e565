/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/tables.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "balancer/given.h"
#include "config/compare.h"
#include "hash.h"
#include "log.h"
#include "service_keys.h"

uint32_t member_weight(const struct member *member)
{
	uint32_t weight = (uint32_t)((uint64_t)member->weight * member->ramp / HEALTH_RAMP_ONE);

	return weight ? weight : 1;
}

static void set_cost(struct dataplane *dataplane, const struct member *member)
{
	dataplane->backends[member->index].cost =
		(uint32_t)((uint64_t)COST_ONE * WEIGHT_ONE / member_weight(member));
}

void member_set_weight(struct dataplane *dataplane, struct member *member, uint32_t weight)
{
	member->weight = weight;
	set_cost(dataplane, member);
}

void member_set_ramp(struct dataplane *dataplane, struct member *member, uint32_t ramp)
{
	member->ramp = ramp;
	set_cost(dataplane, member);
}

/*
 * Whose packets those that we make for a backend are said to be. A varied source keeps what tells us from
 * other balancers; what varies is put in by bpf/encap.h.
 */
static struct ip_address outer_source(struct ip_address backend, bool varied)
{
	struct ip_address own = source_towards(backend);

	if (varied && address_is_ipv4(own))
		own.word[3] = htonl(OUTER_SOURCE_IPV4) | (own.word[3] & htonl(0xFF));
	return own;
}

/* In an order in which nothing half done is ever gone by. */
static void backend_set_forward(struct backend *backend, enum forward forward, bool varied)
{
	if (forward == FORWARD_IPIP)
		backend->outer_source = outer_source(backend->address, varied);
	backend->varied = varied;
	__atomic_store_n(&backend->forward, (uint8_t)forward, __ATOMIC_RELEASE);
}

/* link: of the interface that the neighbour is behind. */
static void backend_set_mac(struct backend *backend, const struct neighbour *neighbour,
			    const struct link_info *link)
{
	memcpy(backend->mac, neighbour->mac, sizeof(backend->mac));
	memcpy(backend->source_mac, link->mac, sizeof(backend->source_mac));
	if (backend->forward == FORWARD_IPIP)
		backend->outer_source = outer_source(backend->address, backend->varied);
	/* Last, because the data path goes by it. */
	__atomic_store_n(&backend->ifindex, (uint32_t)neighbour->ifindex, __ATOMIC_RELEASE);
}

static const struct balanced_service *find_service(const struct dataplane *dataplane,
						   const struct service_config *config, size_t hint)
{
	const struct service_config *found =
		dataplane->services ? config_find_service(dataplane->config, config, hint) : NULL;

	return found ? &dataplane->services[found - dataplane->config->services] : NULL;
}

static const struct member *find_member(const struct balanced_service *service,
					struct ip_address address, size_t hint)
{
	const struct backend_config *found =
		service ? service_find_backend(service->config, address, hint) : NULL;

	return found ? &service->members[found - service->config->backends] : NULL;
}

/* How the address is reached, if that is known of another service's member. */
static struct neighbour find_neighbour(const struct dataplane *dataplane, struct ip_address address)
{
	const struct member *member = NULL;

	for (size_t i = 0; dataplane->services && !member && i < dataplane->config->service_count;
	     i++)
		member = find_member(&dataplane->services[i], address, 0);
	return member ? member->neighbour : (struct neighbour){.address = address};
}

/* Nothing of what another had under that index. The data path goes by the service, which is last. */
static void enter_backend(struct dataplane *dataplane, uint16_t service,
			  const struct service_key *key, const struct member *member)
{
	struct backend *backend = &dataplane->backends[member->index];
	const struct health healthy = {0};
	struct backend_stats *nothing;
	struct link_info link;

	backend->server = (uint16_t)member->server;
	backend->vip = hash_vip(&key->address, key->port, key->protocol);
	if (backend->service == service)
		return;
	nothing = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*nothing));
	if (nothing)
		bpf_map_update_elem(bpf_map__fd(dataplane->bpf->maps.backend_stats), &member->index,
				    nothing, BPF_ANY);
	free(nothing);
	bpf_map_update_elem(bpf_map__fd(dataplane->bpf->maps.healths), &member->index, &healthy,
			    BPF_ANY);
	backend->address = member->config->address;
	if (member->neighbour.resolved && !link_get_by_index(member->neighbour.ifindex, &link))
		backend_set_mac(backend, &member->neighbour, &link);
	__atomic_store_n(&backend->service, service, __ATOMIC_RELEASE);
}

/* Whether its reports come in packets of its own address. */
static void server_set_tunnelled(struct dataplane *dataplane, struct ip_address address,
				 bool tunnelled)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	uint32_t key = address_report_id(address);
	struct server server;

	if (bpf_map_lookup_elem(map, &key, &server) || server.tunnelled == tunnelled)
		return;
	server.address = tunnelled ? address : (struct ip_address){0};
	server.tunnelled = tunnelled;
	bpf_map_update_elem(map, &key, &server, BPF_ANY);
}

static int fill_member(struct dataplane *dataplane, const struct balanced_service *service,
		       struct member *member, struct given *given, bool varied)
{
	const struct backend_config *config = member->config;
	const struct service_key key = service_key(service->config);
	int err = given_server(dataplane, given, config->address, &member->server);

	if (err)
		return err;
	if (!member->index)
		member->index = given_backend(dataplane, given, service->id, config->address);
	if (!member->server || !member->index) {
		log_error("%s: no room for another backend: at most %d servers and %d backends are "
			  "supported, and the kernel needs memory for each",
			  service->config->name, SERVERS_MAX - 1, BACKENDS_MAX - 1);
		return -ENOSPC;
	}
	enter_backend(dataplane, (uint16_t)service->id, &key, member);
	backend_set_forward(&dataplane->backends[member->index], config->forward, varied);
	if (config->forward == FORWARD_IPIP)
		server_set_tunnelled(dataplane, config->address, true);
	return 0;
}

/* What was learned of a weight holds as long as it is wanted, and is learned about what is configured. */
static bool keeps_weight(const struct balanced_service *service, const struct member *member,
			 const struct balanced_service *old, const struct member *before)
{
	return before && before->config->weight == member->config->weight &&
	       service->config->auto_weights == old->config->auto_weights;
}

static int fill_service(struct dataplane *dataplane, struct balanced_service *service,
			const struct service_config *file, const struct balanced_service *old,
			struct given *given, bool varied)
{
	struct service_config *config = service->config;
	int err = given_service(dataplane, given, config, &service->id);

	if (err)
		return err;
	service->members = calloc(config->backend_count, sizeof(*service->members));
	if (!service->members)
		return -ENOMEM;
	for (size_t i = 0; !err && i < config->backend_count; i++) {
		struct ip_address address = config->backends[i].address;
		const struct member *before = find_member(old, address, i);
		struct member *member = &service->members[i];

		member->ramp = HEALTH_RAMP_ONE;
		if (before)
			*member = *before;
		if (!config->backends[i].leaving)
			member->leaves_after = 0;
		else
			member->neighbour = find_neighbour(dataplane, address);
		member->config = &config->backends[i];
		member->file = file ? service_find_backend(file, address, i) : NULL;
		err = fill_member(dataplane, service, member, given, varied);
		if (!err && !keeps_weight(service, member, old, before))
			member_set_weight(dataplane, member,
					  config->backends[i].weight * WEIGHT_ONE);
	}
	return err;
}

static void restore_member(struct dataplane *dataplane, const struct member *member, bool tunnelled)
{
	backend_set_forward(&dataplane->backends[member->index], member->config->forward,
			    dataplane->config->outer_source_varied);
	set_cost(dataplane, member);
	server_set_tunnelled(dataplane, member->config->address, tunnelled);
}

void tables_restore(struct dataplane *dataplane)
{
	bool tunnelled[SERVERS_MAX] = {false};

	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++) {
			const struct member *member = &dataplane->services[i].members[j];

			tunnelled[member->server] |= member->config->forward == FORWARD_IPIP;
		}
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++) {
			const struct member *member = &dataplane->services[i].members[j];

			restore_member(dataplane, member, tunnelled[member->server]);
		}
}

void services_free(struct balanced_service *services, size_t count)
{
	for (size_t i = 0; services && i < count; i++)
		free(services[i].members);
	free(services);
}

int tables_enter(struct dataplane *dataplane, struct config *config, const struct config *file,
		 struct balanced_service **services)
{
	struct given given = {0};
	int err = given_open(dataplane, &given);

	*services = calloc(config->service_count, sizeof(**services));
	if (!err && !*services)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < config->service_count; i++) {
		struct service_config *service = &config->services[i];

		(*services)[i].config = service;
		err = fill_service(
			dataplane, &(*services)[i], config_find_service(file, service, i),
			find_service(dataplane, service, i), &given, config->outer_source_varied);
	}
	given_close(&given);
	if (!err)
		return 0;
	services_free(*services, config->service_count);
	*services = NULL;
	return err;
}

int tables_fill(struct dataplane *dataplane)
{
	struct balanced_service *services;
	int err = tables_enter(dataplane, dataplane->config, dataplane->file, &services);

	if (err)
		return err;
	dataplane->services = services;
	tables_prune(dataplane);
	return 0;
}

size_t first_member(const struct dataplane *dataplane, size_t i)
{
	size_t first = 0;

	while (i > 0)
		first += dataplane->config->services[--i].backend_count;
	return first;
}

static void server_set_mac(struct dataplane *dataplane, const struct neighbour *neighbour)
{
	int map = bpf_map__fd(dataplane->bpf->maps.servers);
	uint32_t key = address_report_id(neighbour->address);
	struct server server;

	if (bpf_map_lookup_elem(map, &key, &server))
		return;
	memcpy(server.mac, neighbour->mac, sizeof(server.mac));
	server.mac_known = 1;
	bpf_map_update_elem(map, &key, &server, BPF_ANY);
}

size_t dataplane_set_neighbour(struct dataplane *dataplane, const struct neighbour *neighbour)
{
	bool reachable = neighbour->resolved;
	struct link_info link;
	size_t changed = 0;

	if (reachable)
		reachable = !link_get_by_index(neighbour->ifindex, &link);
	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++) {
			struct member *member = &service->members[j];

			if (!address_equal(member->config->address, neighbour->address))
				continue;
			member->neighbour = *neighbour;
			/* What is lost keeps its old MAC address for the flows it has. */
			if (reachable)
				backend_set_mac(&dataplane->backends[member->index], neighbour,
						&link);
			changed++;
		}
	}
	if (changed && neighbour->resolved)
		server_set_mac(dataplane, neighbour);
	return changed;
}
