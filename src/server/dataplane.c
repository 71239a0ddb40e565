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
#include "log.h"
#include "server.skel.h"
#include "server/dataplane_private.h"
#include "server/idle_books.h"
#include "server/tunnels.h"

/*
 * No detour to a balancer from which nothing has come for so long: a dead one must cost
 * established connections nothing. With traffic, its clients' packets come far more often.
 */
#define BALANCER_SILENCE_NS 50000000ULL

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

int server_settings_put(const struct server_dataplane *dataplane)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(dataplane->bpf->maps.settings), &zero,
				   &dataplane->settings, BPF_ANY) ?
		       -errno :
		       0;
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
int server_settings_fill(struct server_settings *settings, const struct config *config,
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
	server_services_place(settings, config);
	set_key(settings, config);
	err = link_get(config->interfaces[0], &link);
	if (err) {
		log_error("interfaces: \"%s\": %s; `ip link` lists those there are",
			  config->interfaces[0], strerror(-err));
		return err;
	}
	link_warn_if_down(config->interfaces[0], &link);
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
	int err = server_settings_fill(&settings, config, &dataplane->ifindex);

	if (err)
		return err;
	tunnels_allow(&settings, config, dataplane->peers);
	dataplane->settings = settings;
	return server_settings_put(dataplane);
}

/* Utilisation by the kernel's own books, if a try finds them; otherwise by ours, which cost time. */
static int choose_books(struct server_dataplane *dataplane)
{
	int err;

	dataplane->settings.idle_distance = idle_books_distance();
	dataplane->metrics->busy_ns = 0;
	dataplane->metrics->utilisation_ns = 0;
	err = server_settings_put(dataplane);
	if (!err)
		err = server_dataplane_measure(dataplane);
	if (err || dataplane->metrics->busy_ns)
		return err;
	log_notice("this kernel keeps no books of idle time, or not where they are looked for: "
		   "every switch of tasks is watched instead");
	dataplane->settings.idle_distance = 0;
	return server_settings_put(dataplane);
}

static int write_services(struct server_dataplane *dataplane)
{
	server_services_drop(dataplane, dataplane->config);
	server_services_list(dataplane, dataplane->config);
	return server_services_add(dataplane, dataplane->config);
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
		err = server_peers_begin(dataplane);
	if (!err)
		err = write_services(dataplane);
	if (!err)
		err = write_settings(dataplane);
	if (!err)
		err = choose_books(dataplane);
	return err;
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
