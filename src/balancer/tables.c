/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/tables.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "config/compare.h"
#include "hash.h"
#include "log.h"
#include "service_keys.h"

/* What a predecessor or we have given out already: looked up once, not for each service and server. */
struct given {
	bool old_services[SERVICES_MAX + 1], services[SERVICES_MAX + 1];
	bool servers[SERVERS_MAX];
	uint32_t next_server; /* below it all are given out */
	uint32_t *places; /* a hash table of the backends there are, by their indices; 0 = nobody */
	bool varied; /* outer sources */
};

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

/* The id that the service has had, or one that nobody has. 0 or -errno, having said if there is none. */
static int service_id_take(struct dataplane *dataplane, const struct service_config *config,
			   const struct service_key *key, struct given *given, uint32_t *id)
{
	struct service service = {0};
	int err = look_up(bpf_map__fd(dataplane->bpf->maps.services), key, &service);

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

/* The index that the server has in `loads`, or a new one; 0 if there is no more room. 0 or -errno. */
static int server_index(struct dataplane *dataplane, struct ip_address address, struct given *given,
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

/*
 * The index of that pair in `backends`, or a free one; 0 if there is none. What was given back last is
 * given out last: flows may still bear it.
 */
static uint32_t backend_index(struct dataplane *dataplane, uint32_t service,
			      struct ip_address address, struct given *given)
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
		       struct member *member, struct given *given)
{
	const struct backend_config *config = member->config;
	const struct service_key key = service_key(service->config);
	int err = server_index(dataplane, config->address, given, &member->server);

	if (err)
		return err;
	if (!member->index)
		member->index = backend_index(dataplane, service->id, config->address, given);
	if (!member->server || !member->index) {
		log_error("%s: no room for another backend: at most %d servers and %d backends are "
			  "supported, and the kernel needs memory for each",
			  service->config->name, SERVERS_MAX - 1, BACKENDS_MAX - 1);
		return -ENOSPC;
	}
	enter_backend(dataplane, (uint16_t)service->id, &key, member);
	backend_set_forward(&dataplane->backends[member->index], config->forward, given->varied);
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
			struct given *given)
{
	struct service_config *config = service->config;
	struct service_key key = service_key(config);
	int err = service_id_take(dataplane, config, &key, given, &service->id);

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
		err = fill_member(dataplane, service, member, given);
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
	struct given given = {.next_server = 1, .varied = config->outer_source_varied};
	int err = look_up_services(dataplane, &given);

	if (!err)
		err = look_up_servers(dataplane, &given);
	if (!err)
		err = look_up_backends(dataplane, &given);
	*services = calloc(config->service_count, sizeof(**services));
	if (!err && !*services)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < config->service_count; i++) {
		struct service_config *service = &config->services[i];

		(*services)[i].config = service;
		err = fill_service(dataplane, &(*services)[i],
				   config_find_service(file, service, i),
				   find_service(dataplane, service, i), &given);
	}
	free(given.places);
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
