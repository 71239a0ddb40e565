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
#include "clock.h"
#include "config/compare.h"
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
	link_driver(name, interface->driver);
	strcpy(interface->name, name);
	memcpy(interface->mac, link.mac, sizeof(interface->mac));
	dataplane->interface_count++;
	return 0;
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
		err = enter_interface(dataplane, config->interfaces[i]);
	if (!err)
		err = dataplane_write_settings(dataplane);
	if (!err)
		err = leave_inherit(dataplane);
	return err ? err : tables_fill(dataplane);
}

/* The program runs, on a packet of nobody's. */
static int try_program(int program)
{
	unsigned char frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);
	int err = bpf_prog_test_run_opts(program, &run);

	if (!err && run.retval != XDP_PASS)
		err = -EIO;
	if (err)
		log_error("the new program does not do what it should: %s", strerror(-err));
	return err;
}

/* What a successor finds. */
static int keep(struct dataplane *dataplane)
{
	int err = inherit_keep(&dataplane->inheritance);

	if (!err)
		err = program_keep(dataplane->runtime, dataplane->bpf->progs.balancer);
	if (!err)
		err = program_keep(dataplane->runtime, dataplane->bpf->progs.resolve);
	if (!err)
		err = program_keep(dataplane->runtime, dataplane->bpf->progs.check);
	return err;
}

struct programs {
	struct program balancer, resolve, check;
};

static bool has_tunnels(const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		for (size_t j = 0; j < config->services[i].backend_count; j++)
			if (config->services[i].backends[j].forward == FORWARD_IPIP)
				return true;
	return false;
}

/*
 * On a veth, native XDP copies each packet, wants a program at the other end and forgets that checksums
 * are unfinished; generic XDP gets the sender's packets whole. But when these are larger than the MTU and
 * have yet to be cut (GSO) no outer header can be put before them.
 */
static struct xdp_wish xdp_wish(const struct attached_interface *interface,
				const struct config *config)
{
	bool veth = !strcmp(interface->driver, "veth"), tunnels = has_tunnels(config);

	if (config->xdp_mode != XDP_MODE_AUTO)
		return (struct xdp_wish){config->xdp_mode == XDP_MODE_NATIVE, true};
	return (struct xdp_wish){.native = !veth || tunnels, .firm = veth && tunnels};
}

static int attach(struct dataplane *dataplane, const struct config *config,
		  const struct programs *programs, struct attached_interface *interface)
{
	int err;

	/* First what XDP leaves work to. */
	err = attach_tc(dataplane->runtime, programs->resolve, interface->name, interface->ifindex,
			BPF_TC_INGRESS);
	/* A predecessor may have had none. */
	if (!err && programs->check.now >= 0)
		err = attach_tc(dataplane->runtime, programs->check, interface->name,
				interface->ifindex, BPF_TC_EGRESS);
	return err ? err :
		     attach_xdp(dataplane->runtime, programs->balancer, interface->name,
				interface->ifindex, xdp_wish(interface, config),
				&interface->native);
}

/* The predecessor's programs are put back on so many interfaces. */
static void go_back(struct dataplane *dataplane, const struct programs *programs, size_t count)
{
	struct programs back = {
		.balancer = program_swapped(programs->balancer),
		.resolve = program_swapped(programs->resolve),
		.check = program_swapped(programs->check),
	};

	if (back.balancer.now < 0 || back.resolve.now < 0)
		return;
	for (size_t i = 0; i < count; i++)
		(void)attach(dataplane, dataplane->config, &back, &dataplane->interfaces[i]);
}

static bool is_attached(const char *name, const void *context)
{
	const struct dataplane *dataplane = context;

	for (size_t i = 0; i < dataplane->interface_count; i++)
		if (!strcmp(dataplane->interfaces[i].name, name))
			return true;
	return false;
}

/* In the place of the predecessor's, on all interfaces or on none. */
static int replace(struct dataplane *dataplane, const struct programs *programs)
{
	size_t done = 0;
	int err = 0;

	while (!err && done < dataplane->interface_count) {
		err = attach(dataplane, dataplane->config, programs, &dataplane->interfaces[done]);
		done += !err;
	}
	if (err) {
		go_back(dataplane, programs, done);
		return err;
	}
	err = keep(dataplane);
	if (!err)
		detach_others(dataplane->runtime, is_attached, dataplane);
	return err;
}

int dataplane_attach(struct dataplane *dataplane)
{
	const struct runtime *runtime = dataplane->runtime;
	struct balancer_bpf *bpf = dataplane->bpf;
	struct programs programs = {
		.balancer = program_of(runtime, bpf->progs.balancer),
		.resolve = program_of(runtime, bpf->progs.resolve),
		.check = program_of(runtime, bpf->progs.check),
	};
	int err = try_program(programs.balancer.now);

	if (!err && dataplane->inheritance.found) {
		err = replace(dataplane, &programs);
	} else if (!err) {
		err = keep(dataplane);
		for (size_t i = 0; !err && i < dataplane->interface_count; i++)
			err = attach(dataplane, dataplane->config, &programs,
				     &dataplane->interfaces[i]);
	}
	/* The predecessor's maps are not to live as long as this daemon. */
	if (!err)
		inherit_close(&dataplane->inheritance);
	program_forget(&programs.balancer);
	program_forget(&programs.resolve);
	program_forget(&programs.check);
	return err;
}

static int change_mode(struct dataplane *dataplane, const struct config *config,
		       struct program balancer, struct attached_interface *interface)
{
	struct xdp_wish wish = xdp_wish(interface, config);

	if (!wish.firm || wish.native == interface->native)
		return 0;
	return attach_xdp(dataplane->runtime, balancer, interface->name, interface->ifindex, wish,
			  &interface->native);
}

int dataplane_add_interfaces(struct dataplane *dataplane, const struct config *config)
{
	const struct programs programs = {
		.balancer = {bpf_program__fd(dataplane->bpf->progs.balancer), -1},
		.resolve = {bpf_program__fd(dataplane->bpf->progs.resolve), -1},
		.check = {bpf_program__fd(dataplane->bpf->progs.check), -1},
	};
	size_t first = dataplane->interface_count;
	int err = 0;

	for (size_t i = 0; !err && i < first; i++)
		err = change_mode(dataplane, config, programs.balancer, &dataplane->interfaces[i]);
	for (size_t i = 0; !err && i < config->interface_count; i++)
		if (!find_interface(dataplane, config->interfaces[i]))
			err = enter_interface(dataplane, config->interfaces[i]);
	if (!err && dataplane->interface_count > first)
		err = dataplane_write_settings(dataplane);
	for (size_t i = first; !err && i < dataplane->interface_count; i++)
		err = attach(dataplane, config, &programs, &dataplane->interfaces[i]);
	return err;
}

void dataplane_drop_interfaces(struct dataplane *dataplane, const struct config *config)
{
	size_t kept = 0;

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		struct attached_interface *interface = &dataplane->interfaces[i];

		if (config_has_interface(config, interface->name)) {
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

uint64_t dataplane_old_key_reports(const struct dataplane *dataplane, uint32_t server)
{
	uint64_t count = 0;

	bpf_map_lookup_elem(bpf_map__fd(dataplane->bpf->maps.old_key_reports), &server, &count);
	return count;
}

bool dataplane_is_replaced(const void *context)
{
	const struct dataplane *dataplane = context;
	int program = bpf_program__fd(dataplane->bpf->progs.balancer);

	for (size_t i = 0; i < dataplane->interface_count; i++)
		if (xdp_runs_other(dataplane->runtime, dataplane->interfaces[i].name, program))
			return true;
	return false;
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
