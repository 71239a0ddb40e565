/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/dataplane.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <endian.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attach.h"
#include "clock.h"
#include "config/compare.h"
#include "hash.h"
#include "log.h"
#include "server.skel.h"
#include "server/idle_books.h"
#include "server/tunnels.h"

/*
 * No detour to a balancer from which nothing has come for so long: a dead one must cost
 * established connections nothing. With traffic, its clients' packets come far more often.
 */
#define BALANCER_SILENCE_NS 50000000ULL
/* Reports say for so long that the counters began anew, so that a lost one does no harm. */
#define RESTARTED_NS 1000000000ULL

/* Without a balancer nobody asks for the id; the interface's first address will do. */
static struct ip_address first_address(const char *interface)
{
	struct ip_address address = {0};
	struct ifaddrs *list;

	if (getifaddrs(&list))
		return address;
	for (struct ifaddrs *entry = list; entry && !address_is_set(address);
	     entry = entry->ifa_next)
		if (entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET &&
		    !strcmp(entry->ifa_name, interface))
			address =
				address_of_ipv4(((struct sockaddr_in *)entry->ifa_addr)->sin_addr);
	freeifaddrs(list);
	return address;
}

static int find_server_id(const struct config *config, uint32_t *id)
{
	struct ip_address own = config->balancer_count ? source_towards(config->balancers[0]) :
							 first_address(config->interfaces[0]);
	char text[ADDRESS_TEXT_MAX];

	if (!address_is_set(own)) {
		if (config->balancer_count)
			log_error("balancers: \"%s\" cannot be reached: there is no route to it",
				  address_format(config->balancers[0], text));
		else
			log_error("interfaces: \"%s\" has no IPv4 address", config->interfaces[0]);
		return -ENETUNREACH;
	}
	*id = address_report_id(own);
	return 0;
}

static uint32_t bucket_count(const struct config *config)
{
	return (config->meter_entries + BUCKET_SLOTS - 1) / BUCKET_SLOTS;
}

static struct service_key service_key(const struct service_config *service)
{
	return (struct service_key){
		.address = service->address.address,
		.port = htons(service->address.port),
		.protocol = service->protocol,
	};
}

static int put_settings(const struct server_dataplane *dataplane)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(dataplane->bpf->maps.settings), &zero,
				   &dataplane->settings, BPF_ANY) ?
		       -errno :
		       0;
}

/* Where two would stand at one place, the second is found by the map. */
static void place_services(struct server_settings *settings, const struct config *config)
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

static void set_key(struct server_settings *settings, const struct config *config)
{
	settings->keyed = config->keyed;
	/* The wire header's key: the bytes read as little-endian words. */
	memcpy(settings->report_key, config->report_key, sizeof(settings->report_key));
	settings->report_key[0] = le64toh(settings->report_key[0]);
	settings->report_key[1] = le64toh(settings->report_key[1]);
}

/* Says how a configuration would have it; *ifindex: where its programs are to be. */
static int fill_settings(struct server_settings *settings, const struct config *config,
			 int *ifindex)
{
	struct link_info link;
	int err;

	settings->min_interval_ns = config->report.min_interval_ns;
	settings->max_interval_ns = config->report.max_interval_ns;
	settings->max_share = (uint32_t)(config->report.max_share * (1 << 16));
	settings->only_polled = !config->report.in_band;
	settings->unplaced = 0;
	settings->any_port = 0;
	memset(settings->places, 0, sizeof(settings->places));
	place_services(settings, config);
	set_key(settings, config);
	err = link_get(config->interfaces[0], &link);
	if (err) {
		log_error("interfaces: \"%s\": %s; `ip link` lists those there are",
			  config->interfaces[0], strerror(-err));
		return err;
	}
	*ifindex = link.index;
	settings->mtu = link.mtu;
	return find_server_id(config, &settings->server_id);
}

static int write_settings(struct server_dataplane *dataplane)
{
	const struct config *config = dataplane->config;
	struct server_settings settings = {
		.balancer_silence_ns = BALANCER_SILENCE_NS,
		.meter_buckets = bucket_count(config),
		.peer_count = (uint32_t)config->balancer_count,
		.cpu_count = (uint32_t)libbpf_num_possible_cpus(),
	};
	int err = fill_settings(&settings, config, &dataplane->ifindex);

	if (err)
		return err;
	tunnels_allow(&settings, config, dataplane->peers);
	dataplane->settings = settings;
	return put_settings(dataplane);
}

/* Utilisation by the kernel's own books, if a try finds them; otherwise by ours, which cost time. */
static int choose_books(struct server_dataplane *dataplane)
{
	int err;

	dataplane->settings.idle_distance = idle_books_distance();
	dataplane->metrics->busy_ns = 0;
	dataplane->metrics->utilisation_ns = 0;
	err = put_settings(dataplane);
	if (!err)
		err = server_dataplane_measure(dataplane);
	if (err || dataplane->metrics->busy_ns)
		return err;
	log_notice("this kernel keeps no books of idle time, or not where they are looked for: "
		   "every switch of tasks is watched instead");
	dataplane->settings.idle_distance = 0;
	return put_settings(dataplane);
}

/* Those that the configuration has. Their accept queues are looked at, as far as there is room. */
static int add_services(struct server_dataplane *dataplane, const struct config *config)
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

static bool has_service(const struct config *config, const struct service_key *key)
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

/* What a predecessor served, or another configuration. */
static void drop_services(struct server_dataplane *dataplane, const struct config *config)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service_key key, next;
	int more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (!has_service(config, &key))
			bpf_map_delete_elem(map, &key);
	}
}

static void list_measured(struct server_dataplane *dataplane, const struct config *config)
{
	for (size_t i = 0; i < config->service_count && i < MEASURED_SERVICES_MAX; i++) {
		dataplane->measured.services[i] = service_key(&config->services[i]);
		dataplane->measured_size = offsetof(struct measured_services, services[i + 1]);
	}
}

static int write_services(struct server_dataplane *dataplane)
{
	drop_services(dataplane, dataplane->config);
	list_measured(dataplane, dataplane->config);
	return add_services(dataplane, dataplane->config);
}

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

/* Those of the configuration: who stays, stays in his place. Returns how many places that takes. */
static uint32_t place_peers(struct server_dataplane *dataplane, const struct config *config)
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

static int prepare_peers(struct server_dataplane *dataplane)
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

static int view_maps(struct server_dataplane *dataplane)
{
	struct server_bpf *bpf = dataplane->bpf;

	dataplane->metrics = map_view(bpf->maps.metrics, PROT_READ | PROT_WRITE);
	dataplane->peers = map_view(bpf->maps.peers, PROT_READ | PROT_WRITE);
	dataplane->application = map_view(bpf->maps.application, PROT_READ);
	dataplane->meter = map_view(bpf->maps.meter, PROT_READ | PROT_WRITE);
	if (!dataplane->metrics || !dataplane->peers || !dataplane->application ||
	    !dataplane->meter)
		return -ENOMEM;
	return sweep_open(&dataplane->sweep, dataplane->meter, bucket_count(dataplane->config),
			  dataplane->metrics);
}

/* Requests in flight are counted in the metrics and remembered in the meter: both or neither. */
static const struct inherit_rule inherited[] = {
	{.map = "settings", .how = INHERIT_NOTHING},
	{.map = "services", .how = INHERIT_NOTHING},
	{.map = "peers", .how = INHERIT_COPY},
	{.map = "meter", .how = INHERIT_TOGETHER},
	{.map = "metrics", .how = INHERIT_TOGETHER},
	{.map = "server_stats", .how = INHERIT_TOGETHER},
	{0},
};

static int load_programs(struct server_dataplane *dataplane)
{
	struct server_bpf *bpf;
	int err;

	libbpf_quiet();
	bpf = server_bpf__open();
	if (!bpf)
		return -errno;
	dataplane->bpf = bpf;
	err = bpf_map__set_max_entries(bpf->maps.meter, bucket_count(dataplane->config));
	if (!err)
		err = inherit_open(&dataplane->inheritance, bpf->obj, dataplane->runtime,
				   inherited);
	if (!err)
		err = server_bpf__load(bpf);
	if (!err)
		err = inherit_copy(&dataplane->inheritance);
	if (err) {
		tell_load_failure(err);
		return err;
	}
	return view_maps(dataplane);
}

int server_dataplane_load(struct server_dataplane *dataplane, const struct config *config,
			  const struct runtime *runtime)
{
	int err;

	memset(dataplane, 0, sizeof(*dataplane));
	dataplane->config = config;
	dataplane->runtime = runtime;
	err = load_programs(dataplane);
	if (!err)
		err = prepare_peers(dataplane);
	if (!err)
		err = write_services(dataplane);
	if (!err)
		err = write_settings(dataplane);
	if (!err)
		err = choose_books(dataplane);
	return err;
}

static int attach_tracers(const struct server_dataplane *dataplane)
{
	const struct server_bpf *bpf = dataplane->bpf;
	int err;

	err = attach_tracing(dataplane->runtime, bpf->progs.server_switch, "sched-switch");
	if (!err)
		err = attach_tracing(dataplane->runtime, bpf->progs.server_interrupt,
				     "softirq-entry");
	if (!err)
		err = attach_tracing(dataplane->runtime, bpf->progs.server_resume, "softirq-exit");
	return err;
}

static int keep(struct server_dataplane *dataplane)
{
	int err = inherit_keep(&dataplane->inheritance);

	if (!err)
		err = program_keep(dataplane->runtime, dataplane->bpf->progs.server_egress);
	if (!err)
		err = program_keep(dataplane->runtime, dataplane->bpf->progs.server_ingress);
	return err;
}

/* Egress first: an answer to what was not metered is nothing, a request never answered is. */
static int attach_both(struct server_dataplane *dataplane)
{
	const struct runtime *runtime = dataplane->runtime;
	const char *interface = dataplane->config->interfaces[0];
	struct program egress = program_of(runtime, dataplane->bpf->progs.server_egress);
	struct program ingress = program_of(runtime, dataplane->bpf->progs.server_ingress);
	int err = attach_tc(runtime, egress, interface, dataplane->ifindex, BPF_TC_EGRESS);

	if (!err) {
		err = attach_tc(runtime, ingress, interface, dataplane->ifindex, BPF_TC_INGRESS);
		if (err && egress.before >= 0)
			attach_tc(runtime, program_swapped(egress), interface, dataplane->ifindex,
				  BPF_TC_EGRESS);
	}
	program_forget(&egress);
	program_forget(&ingress);
	return err;
}

int server_dataplane_attach(struct server_dataplane *dataplane)
{
	bool found = dataplane->inheritance.found;
	int err;

	dataplane->settings.restarted_until_ns = now_ns() + RESTARTED_NS;
	err = put_settings(dataplane);
	if (!err && !found)
		err = keep(dataplane);
	if (!err && !dataplane->settings.idle_distance)
		err = attach_tracers(dataplane);
	if (!err)
		err = attach_both(dataplane);
	if (!err && found)
		err = keep(dataplane);
	/* The predecessor's maps are not to live as long as this daemon. */
	if (!err)
		inherit_close(&dataplane->inheritance);
	return err;
}

/* Where no program of ours has been. */
static int attach_anew(const struct server_dataplane *dataplane, const char *interface, int ifindex)
{
	struct program egress = {bpf_program__fd(dataplane->bpf->progs.server_egress), -1};
	struct program ingress = {bpf_program__fd(dataplane->bpf->progs.server_ingress), -1};
	int err = attach_tc(dataplane->runtime, egress, interface, ifindex, BPF_TC_EGRESS);

	return err ? err :
		     attach_tc(dataplane->runtime, ingress, interface, ifindex, BPF_TC_INGRESS);
}

int server_dataplane_prepare(struct server_dataplane *dataplane, const struct config *config,
			     struct server_settings *settings)
{
	const char *interface = config->interfaces[0];
	int ifindex, err;

	*settings = dataplane->settings;
	err = fill_settings(settings, config, &ifindex);
	if (err)
		return err;
	err = add_services(dataplane, config);
	if (!err && strcmp(interface, dataplane->config->interfaces[0]) != 0)
		err = attach_anew(dataplane, interface, ifindex);
	if (err)
		server_dataplane_abandon(dataplane, config);
	return err;
}

static void detach_unlike(const struct server_dataplane *dataplane, const char *gone,
			  const char *stays)
{
	struct link_info link;

	if (strcmp(gone, stays) != 0 && !link_get(gone, &link))
		detach_tc(dataplane->runtime, gone, link.index);
}

void server_dataplane_abandon(struct server_dataplane *dataplane, const struct config *config)
{
	drop_services(dataplane, dataplane->config);
	detach_unlike(dataplane, config->interfaces[0], dataplane->config->interfaces[0]);
}

int server_dataplane_switch(struct server_dataplane *dataplane, const struct config *config,
			    const struct server_settings *settings)
{
	const struct config *before = dataplane->config;
	struct server_settings last = *settings;
	struct link_info link;
	int err;

	/* While places are written anew, every service is found by the map. */
	dataplane->settings.unplaced = (uint32_t)(before->service_count + config->service_count);
	err = put_settings(dataplane);
	if (err)
		return err;
	dataplane->config = config;
	last.peer_count = place_peers(dataplane, config);
	tunnels_allow(&last, config, dataplane->peers);
	last.any_port |= dataplane->settings.any_port;
	last.unplaced = dataplane->settings.unplaced;
	dataplane->settings = last;
	put_settings(dataplane);
	dataplane->settings.any_port = settings->any_port;
	dataplane->settings.unplaced = settings->unplaced;
	put_settings(dataplane);
	list_measured(dataplane, config);
	drop_services(dataplane, config);
	detach_unlike(dataplane, before->interfaces[0], config->interfaces[0]);
	if (!link_get(config->interfaces[0], &link))
		dataplane->ifindex = link.index;
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

int server_dataplane_stats(const struct server_dataplane *dataplane, struct server_stats *stats)
{
	uint64_t sum[sizeof(*stats) / sizeof(uint64_t)] = {0};
	int err;

	err = percpu_sum(bpf_map__fd(dataplane->bpf->maps.server_stats), 0, sum,
			 sizeof(sum) / sizeof(sum[0]));
	memcpy(stats, sum, sizeof(sum));
	return err;
}

int server_dataplane_measure(const struct server_dataplane *dataplane)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &dataplane->measured,
		    .data_size_in = dataplane->measured_size, .repeat = 1);

	if (!dataplane->bpf)
		return -ENODEV;
	return bpf_prog_test_run_opts(bpf_program__fd(dataplane->bpf->progs.server_measure), &run);
}

void server_dataplane_detach(struct server_dataplane *dataplane)
{
	if (dataplane->ifindex)
		detach_tc(dataplane->runtime, dataplane->config->interfaces[0], dataplane->ifindex);
}

void server_dataplane_close(struct server_dataplane *dataplane)
{
	if (dataplane->metrics)
		munmap(dataplane->metrics, sizeof(struct metrics));
	if (dataplane->peers)
		munmap(dataplane->peers, BALANCERS_MAX * sizeof(struct peer));
	if (dataplane->application)
		munmap(dataplane->application, sizeof(struct application));
	if (dataplane->meter)
		munmap(dataplane->meter, bucket_count(dataplane->config) * sizeof(struct bucket));
	sweep_close(&dataplane->sweep);
	inherit_close(&dataplane->inheritance);
	server_bpf__destroy(dataplane->bpf);
	memset(dataplane, 0, sizeof(*dataplane));
}
