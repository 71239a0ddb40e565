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

static struct attached_interface *find_interface(struct dataplane *dataplane, const char *name)
{
	for (size_t i = 0; i < dataplane->interface_count; i++)
		if (!strcmp(dataplane->interfaces[i].name, name))
			return &dataplane->interfaces[i];
	return NULL;
}

static bool is_wanted(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i], name))
			return true;
	return false;
}

/* Which of those in the settings is nobody's. */
static size_t free_slot(const struct dataplane *dataplane)
{
	bool taken[INTERFACES_MAX] = {false};
	size_t slot = 0;

	for (size_t i = 0; i < dataplane->interface_count; i++)
		taken[dataplane->interfaces[i].slot] = true;
	while (slot < INTERFACES_MAX && taken[slot])
		slot++;
	return slot;
}

static int enter_interface(struct dataplane *dataplane, const char *name)
{
	struct attached_interface *interface;
	struct link_info link;
	int err;

	if (dataplane->interface_count == INTERFACES_MAX) {
		log_error("interfaces: at most %d are supported, those included that have just "
			  "gone; take them out first",
			  INTERFACES_MAX);
		return -EINVAL;
	}
	err = link_get(name, &link);
	if (err) {
		log_error("interfaces: \"%s\": %s; `ip link` lists those there are", name,
			  strerror(-err));
		return err;
	}
	interface = &dataplane->interfaces[dataplane->interface_count];
	*interface = (struct attached_interface){
		.ifindex = link.index,
		.slot = free_slot(dataplane),
	};
	strcpy(interface->name, name);
	memcpy(interface->mac, link.mac, sizeof(interface->mac));
	dataplane->interface_count++;
	return 0;
}

/* The wire header's key: the bytes read as little-endian words. */
static void set_key(const struct config *config, struct settings *settings)
{
	settings->keyed = config->keyed;
	memcpy(settings->report_key, config->report_key, sizeof(settings->report_key));
	settings->report_key[0] = le64toh(settings->report_key[0]);
	settings->report_key[1] = le64toh(settings->report_key[1]);
}

int dataplane_write_settings(struct dataplane *dataplane)
{
	int map = bpf_map__fd(dataplane->bpf->maps.settings);
	struct settings old = {0}, settings = {0};
	uint32_t zero = 0;

	bpf_map_lookup_elem(map, &zero, &old);
	settings.hash_seed = choose_hash_seed(dataplane->config, &old);
	settings.flow_buckets = (uint32_t)dataplane->flow_buckets;
	settings.udp_timeout_ticks = flow_udp_timeout_ticks(dataplane->config);
	settings.tracing = old.tracing;
	set_key(dataplane->config, &settings);
	/* Each stays where it is: packets come while this is written. */
	for (size_t i = 0; i < dataplane->interface_count; i++) {
		const struct attached_interface *interface = &dataplane->interfaces[i];

		settings.interfaces[interface->slot].ifindex = (uint32_t)interface->ifindex;
		memcpy(settings.interfaces[interface->slot].mac, interface->mac,
		       sizeof(interface->mac));
	}
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

int dataplane_load(struct dataplane *dataplane, struct config *config, const struct config *file,
		   const struct runtime *runtime)
{
	int err;

	memset(dataplane, 0, sizeof(*dataplane));
	dataplane->config = config;
	dataplane->file = file;
	dataplane->runtime = runtime;
	err = load_programs(dataplane);
	for (size_t i = 0; !err && i < config->interface_count; i++)
		err = enter_interface(dataplane, config->interfaces[i]);
	if (!err)
		err = dataplane_write_settings(dataplane);
	return err ? err : tables_fill(dataplane);
}

static int attach(struct dataplane *dataplane, struct attached_interface *interface)
{
	struct balancer_bpf *bpf = dataplane->bpf;
	int err;

	/* First what XDP leaves work to. */
	err = attach_tc(dataplane->runtime, bpf->progs.resolve, interface->name, interface->ifindex,
			BPF_TC_INGRESS);
	return err ? err :
		     attach_xdp(dataplane->runtime, bpf->progs.balancer, interface->name,
				interface->ifindex, &interface->native);
}

int dataplane_attach(struct dataplane *dataplane)
{
	int err = 0;

	for (size_t i = 0; !err && i < dataplane->interface_count; i++)
		err = attach(dataplane, &dataplane->interfaces[i]);
	return err;
}

int dataplane_add_interfaces(struct dataplane *dataplane, const struct config *config)
{
	size_t first = dataplane->interface_count;
	int err = 0;

	for (size_t i = 0; !err && i < config->interface_count; i++)
		if (!find_interface(dataplane, config->interfaces[i]))
			err = enter_interface(dataplane, config->interfaces[i]);
	if (!err && dataplane->interface_count > first)
		err = dataplane_write_settings(dataplane);
	for (size_t i = first; !err && i < dataplane->interface_count; i++)
		err = attach(dataplane, &dataplane->interfaces[i]);
	return err;
}

void dataplane_drop_interfaces(struct dataplane *dataplane, const struct config *config)
{
	size_t kept = 0;

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		struct attached_interface *interface = &dataplane->interfaces[i];

		if (is_wanted(config, interface->name)) {
			dataplane->interfaces[kept++] = *interface;
			continue;
		}
		detach_xdp(dataplane->runtime, interface->name);
		detach_tc(dataplane->runtime, interface->name, interface->ifindex);
	}
	if (kept == dataplane->interface_count)
		return;
	dataplane->interface_count = kept;
	dataplane_write_settings(dataplane);
}

void dataplane_detach(struct dataplane *dataplane)
{
	for (size_t i = 0; i < dataplane->interface_count; i++)
		detach_tc(dataplane->runtime, dataplane->interfaces[i].name,
			  dataplane->interfaces[i].ifindex);
}

void dataplane_close(struct dataplane *dataplane)
{
	if (dataplane->config)
		services_free(dataplane->services, dataplane->config->service_count);
	if (dataplane->flows)
		munmap(dataplane->flows, dataplane->flow_buckets * sizeof(struct bucket));
	if (dataplane->loads)
		munmap(dataplane->loads, SERVERS_MAX * sizeof(struct load));
	if (dataplane->backends)
		munmap(dataplane->backends, BACKENDS_MAX * sizeof(struct backend));
	balancer_bpf__destroy(dataplane->bpf);
	memset(dataplane, 0, sizeof(*dataplane));
}
