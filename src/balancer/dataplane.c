/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/dataplane.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/flows.h"
#include "balancer/tables.h"
#include "clock.h"
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

/* The wire header's key: the bytes read as little-endian words. */
static void set_key(const uint8_t *bytes, __u64 words[2])
{
	memcpy(words, bytes, 2 * sizeof(words[0]));
	words[0] = le64toh(words[0]);
	words[1] = le64toh(words[1]);
}

static void set_keys(const struct config *config, struct settings *settings)
{
	settings->keyed = config->keyed;
	set_key(config->report_key, settings->report_key);
	settings->old_keyed = config->old_keyed;
	set_key(config->old_report_key, settings->old_report_key);
}

int dataplane_write_settings(struct dataplane *dataplane)
{
	int map = bpf_map__fd(dataplane->bpf->maps.settings);
	struct settings old = {0}, settings = {0};
	uint32_t zero = 0;

	bpf_map_lookup_elem(map, &zero, &old);
	if (old.hash_seed && dataplane->config->hash_seed &&
	    dataplane->config->hash_seed != old.hash_seed) {
		log_error("hash_seed: 0x%llx is in force, and all connections would be forgotten "
			  "with another; end that data path in good order (SIGTERM) first",
			  (unsigned long long)old.hash_seed);
		return -EPROTO;
	}
	settings.hash_seed = choose_hash_seed(dataplane->config, &old);
	settings.flow_buckets = (uint32_t)dataplane->flow_buckets;
	settings.udp_timeout_ticks = flow_udp_timeout_ticks(dataplane->config);
	settings.answers_echo = dataplane->config->answers_echo;
	settings.tracing = old.tracing;
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		settings.any_port |= !dataplane->config->services[i].address.port;
	set_keys(dataplane->config, &settings);
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		settings.vip_places |=
			hash_vip_place(&dataplane->config->services[i].address.address);
	/* Each stays where it is: packets come while this is written. */
	for (size_t i = 0; i < dataplane->interface_count; i++) {
		const struct attached_interface *interface = &dataplane->interfaces[i];

		settings.interfaces[interface->slot].ifindex = (uint32_t)interface->ifindex;
		memcpy(settings.interfaces[interface->slot].mac, interface->mac,
		       sizeof(interface->mac));
	}
	return bpf_map_update_elem(map, &zero, &settings, BPF_ANY) ? -errno : 0;
}

/* What is configured is written anew, but flows know backends, services and servers by number. */
static const struct inherit_rule inherited[] = {
	{.map = "settings", .how = INHERIT_COPY, .needs = {"hash_seed"}},
	{.map = "services", .how = INHERIT_COPY, .needs = {"id"}},
	{.map = "servers", .how = INHERIT_COPY, .needs = {"index"}},
	{.map = "backends", .how = INHERIT_COPY, .needs = {"service", "server", "address"}},
	{.map = "rings", .how = INHERIT_COPY},
	{.map = "flows", .how = INHERIT_SAME},
	{0},
};

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
	bpf->rodata->jiffy_ns = jiffy_length_ns();
	err = bpf_map__set_max_entries(bpf->maps.flows, buckets);
	if (!err)
		err = inherit_open(&dataplane->inheritance, bpf->obj, dataplane->runtime,
				   inherited);
	if (!err)
		err = balancer_bpf__load(bpf);
	if (!err)
		err = inherit_copy(&dataplane->inheritance);
	if (err) {
		tell_load_failure(err);
		return err;
	}
	dataplane->flow_buckets = buckets;
	dataplane->flows = map_view(bpf->maps.flows, PROT_READ | PROT_WRITE);
	dataplane->loads = map_view(bpf->maps.loads, PROT_READ | PROT_WRITE);
	dataplane->backends = map_view(bpf->maps.backends, PROT_READ | PROT_WRITE);
	dataplane->healths = map_view(bpf->maps.healths, PROT_READ | PROT_WRITE);
	dataplane->doubted = map_view(bpf->maps.doubted, PROT_READ | PROT_WRITE);
	return dataplane->flows && dataplane->loads && dataplane->backends && dataplane->healths &&
			       dataplane->doubted ?
		       0 :
		       -ENOMEM;
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
		err = dataplane_enter_interface(dataplane, config->interfaces[i]);
	if (!err)
		err = dataplane_write_settings(dataplane);
	if (!err)
		err = leave_inherit(dataplane);
	return err ? err : tables_fill(dataplane);
}

uint64_t dataplane_old_key_reports(const struct dataplane *dataplane, uint32_t server)
{
	uint64_t count = 0;

	bpf_map_lookup_elem(bpf_map__fd(dataplane->bpf->maps.old_key_reports), &server, &count);
	return count;
}

void dataplane_close(struct dataplane *dataplane)
{
	if (dataplane->config)
		services_free(dataplane->services, dataplane->config->service_count);
	inherit_close(&dataplane->inheritance);
	if (dataplane->flows)
		munmap(dataplane->flows, dataplane->flow_buckets * sizeof(struct bucket));
	if (dataplane->loads)
		munmap(dataplane->loads, SERVERS_MAX * sizeof(struct load));
	if (dataplane->backends)
		munmap(dataplane->backends, BACKENDS_MAX * sizeof(struct backend));
	if (dataplane->healths)
		munmap(dataplane->healths, BACKENDS_MAX * sizeof(struct health));
	if (dataplane->doubted)
		munmap(dataplane->doubted, (SERVICES_MAX + 1) * sizeof(*dataplane->doubted));
	balancer_bpf__destroy(dataplane->bpf);
	memset(dataplane, 0, sizeof(*dataplane));
}
