/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/dataplane.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/flows.h"
#include "balancer/tables.h"
#include "log.h"

/* A predecessor's seed is kept, or its flows would be lost. */
static uint64_t choose_hash_seed(const struct config *config, const struct settings *old)
{
	uint64_t seed = config->hash_seed ? config->hash_seed : old->hash_seed;

	while (!seed)
		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
			seed = 0;
	return seed;
}

static int read_interfaces(struct dataplane *dataplane, struct settings *settings)
{
	const struct config *config = dataplane->config;
	struct link_info link;
	int err;

	if (config->interface_count > INTERFACES_MAX) {
		log_error("interfaces: %zu are named; at most %d are supported",
			  config->interface_count, INTERFACES_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < config->interface_count; i++) {
		struct attached_interface *interface = &dataplane->interfaces[i];

		err = link_get(config->interfaces[i], &link);
		if (err) {
			log_error("interfaces: \"%s\": %s; `ip link` lists those there are",
				  config->interfaces[i], strerror(-err));
			return err;
		}
		strcpy(interface->name, config->interfaces[i]);
		interface->ifindex = link.index;
		settings->interfaces[i].ifindex = (uint32_t)link.index;
		memcpy(settings->interfaces[i].mac, link.mac, sizeof(link.mac));
	}
	dataplane->interface_count = config->interface_count;
	return 0;
}

static int write_settings(struct dataplane *dataplane)
{
	int map = bpf_map__fd(dataplane->bpf->maps.settings);
	struct settings old = {0}, settings = {0};
	uint32_t zero = 0;
	int err;

	bpf_map_lookup_elem(map, &zero, &old);
	settings.hash_seed = choose_hash_seed(dataplane->config, &old);
	settings.flow_buckets = (uint32_t)dataplane->flow_buckets;
	settings.udp_timeout_ticks = flow_udp_timeout_ticks(dataplane->config);
	settings.keyed = dataplane->config->keyed;
	settings.tracing = old.tracing;
	/* The wire header's key: the bytes read as little-endian words. */
	memcpy(settings.report_key, dataplane->config->report_key, sizeof(settings.report_key));
	settings.report_key[0] = le64toh(settings.report_key[0]);
	settings.report_key[1] = le64toh(settings.report_key[1]);
	err = read_interfaces(dataplane, &settings);
	if (err)
		return err;
	return bpf_map_update_elem(map, &zero, &settings, BPF_ANY) ? -errno : 0;
}

static int load_programs(struct dataplane *dataplane)
{
	uint32_t buckets = flow_bucket_count(dataplane->config);
	struct balancer_bpf *bpf;
	int err;

	libbpf_quiet();
	bpf = balancer_bpf__open();
	if (!bpf)
		return -errno;
	dataplane->bpf = bpf;
	err = bpf_map__set_max_entries(bpf->maps.flows, buckets);
	if (!err)
		err = pin_maps(bpf->obj, dataplane->runtime);
	if (!err)
		err = balancer_bpf__load(bpf);
	if (err) {
		tell_load_failure(dataplane->runtime, err);
		return err;
	}
	dataplane->flow_buckets = buckets;
	dataplane->flows = map_view(bpf->maps.flows, PROT_READ | PROT_WRITE);
	dataplane->loads = map_view(bpf->maps.loads, PROT_READ | PROT_WRITE);
	dataplane->backends = map_view(bpf->maps.backends, PROT_READ | PROT_WRITE);
	return dataplane->flows && dataplane->loads && dataplane->backends ? 0 : -ENOMEM;
}

int dataplane_load(struct dataplane *dataplane, const struct config *config,
		   const struct runtime *runtime)
{
	int err;

	memset(dataplane, 0, sizeof(*dataplane));
	dataplane->config = config;
	dataplane->runtime = runtime;
	err = load_programs(dataplane);
	if (err)
		return err;
	err = write_settings(dataplane);
	if (err)
		return err;
	return tables_fill(dataplane);
}

int dataplane_attach(struct dataplane *dataplane)
{
	struct balancer_bpf *bpf = dataplane->bpf;
	int err;

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		struct attached_interface *interface = &dataplane->interfaces[i];

		/* First what XDP leaves work to. */
		err = attach_tc(dataplane->runtime, bpf->progs.resolve, interface->name,
				interface->ifindex, BPF_TC_INGRESS);
		if (!err)
			err = attach_xdp(dataplane->runtime, bpf->progs.balancer, interface->name,
					 interface->ifindex, &interface->native);
		if (err)
			return err;
	}
	return 0;
}

void dataplane_detach(struct dataplane *dataplane)
{
	for (size_t i = 0; i < dataplane->interface_count; i++)
		detach_tc(dataplane->runtime, dataplane->interfaces[i].name,
			  dataplane->interfaces[i].ifindex);
}

void dataplane_close(struct dataplane *dataplane)
{
	tables_free(dataplane);
	if (dataplane->flows)
		munmap(dataplane->flows, dataplane->flow_buckets * sizeof(struct bucket));
	if (dataplane->loads)
		munmap(dataplane->loads, SERVERS_MAX * sizeof(struct load));
	if (dataplane->backends)
		munmap(dataplane->backends, BACKENDS_MAX * sizeof(struct backend));
	balancer_bpf__destroy(dataplane->bpf);
	memset(dataplane, 0, sizeof(*dataplane));
}
