/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs on the interfaces: put there, taken over from a predecessor, taken off. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "config/compare.h"
#include "daemon.h"
#include "log.h"

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

int dataplane_enter_interface(struct dataplane *dataplane, const char *name)
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
	link_warn_if_down(name, &link);
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

/* Whatever they replace. */
static struct programs own_programs(const struct dataplane *dataplane)
{
	return (struct programs){
		.balancer = {bpf_program__fd(dataplane->bpf->progs.balancer), -1},
		.resolve = {bpf_program__fd(dataplane->bpf->progs.resolve), -1},
		.check = {bpf_program__fd(dataplane->bpf->progs.check), -1},
	};
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
	const struct programs programs = own_programs(dataplane);
	size_t first = dataplane->interface_count;
	int err = 0;

	for (size_t i = 0; !err && i < first; i++)
		err = change_mode(dataplane, config, programs.balancer, &dataplane->interfaces[i]);
	for (size_t i = 0; !err && i < config->interface_count; i++)
		if (!find_interface(dataplane, config->interfaces[i]))
			err = dataplane_enter_interface(dataplane, config->interfaces[i]);
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

static enum attachment look_at_interface(const struct dataplane *dataplane,
					 const struct programs *programs,
					 const struct attached_interface *interface)
{
	const struct runtime *runtime = dataplane->runtime;
	enum attachment found[] = {
		look_at_xdp(runtime, interface->name, interface->ifindex, programs->balancer.now),
		look_at_tc(runtime, interface->name, interface->ifindex, BPF_TC_INGRESS,
			   programs->resolve.now),
		look_at_tc(runtime, interface->name, interface->ifindex, BPF_TC_EGRESS,
			   programs->check.now),
	};
	enum attachment worst = ATTACHMENT_OURS;

	for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
		if (found[i] > worst)
			worst = found[i];
	return worst;
}

static enum attachment look(const void *context)
{
	const struct dataplane *dataplane = context;
	const struct programs programs = own_programs(dataplane);
	enum attachment worst = ATTACHMENT_OURS, found;

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		found = look_at_interface(dataplane, &programs, &dataplane->interfaces[i]);
		if (found > worst)
			worst = found;
	}
	return worst;
}

static void put_back(void *context)
{
	struct dataplane *dataplane = context;
	const struct programs programs = own_programs(dataplane);

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		struct attached_interface *interface = &dataplane->interfaces[i];

		if (look_at_interface(dataplane, &programs, interface) == ATTACHMENT_GONE &&
		    !attach(dataplane, dataplane->config, &programs, interface))
			tell_put_back(interface->name);
	}
}

const struct daemon_place dataplane_place = {look, put_back};

void dataplane_detach(struct dataplane *dataplane)
{
	for (size_t i = 0; i < dataplane->interface_count; i++)
		detach_tc(dataplane->runtime, dataplane->interfaces[i].name,
			  dataplane->interfaces[i].ifindex);
}
