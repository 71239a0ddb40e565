/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs on the interface: put there, taken over from a predecessor, taken off. */
#include <bpf/bpf.h>
#include <string.h>

#include "attach.h"
#include "clock.h"
#include "daemon.h"
#include "neighbour.h"
#include "server.skel.h"
#include "server/dataplane_private.h"
#include "server/tunnels.h"

/* Reports say for so long that the counters began anew, so that a lost one does no harm. */
#define RESTARTED_NS 1000000000ULL

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
	err = server_settings_put(dataplane);
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

static int attach_anew(const struct server_dataplane *dataplane, const char *interface, int ifindex)
{
	struct program egress = {bpf_program__fd(dataplane->bpf->progs.server_egress), -1};
	struct program ingress = {bpf_program__fd(dataplane->bpf->progs.server_ingress), -1};
	int err = attach_tc(dataplane->runtime, egress, interface, ifindex, BPF_TC_EGRESS);

	return err ? err :
		     attach_tc(dataplane->runtime, ingress, interface, ifindex, BPF_TC_INGRESS);
}

static enum attachment look(const void *context)
{
	const struct server_dataplane *dataplane = context;
	const char *interface = dataplane->config->interfaces[0];
	int egress = bpf_program__fd(dataplane->bpf->progs.server_egress);
	int ingress = bpf_program__fd(dataplane->bpf->progs.server_ingress);
	enum attachment out = look_at_tc(dataplane->runtime, interface, dataplane->ifindex,
					 BPF_TC_EGRESS, egress);
	enum attachment in = look_at_tc(dataplane->runtime, interface, dataplane->ifindex,
					BPF_TC_INGRESS, ingress);

	return out > in ? out : in;
}

static void put_back(void *context)
{
	const struct server_dataplane *dataplane = context;
	const char *interface = dataplane->config->interfaces[0];

	if (!attach_anew(dataplane, interface, dataplane->ifindex))
		tell_put_back(interface);
}

const struct daemon_place server_dataplane_place = {look, put_back};

static void detach_unlike(const struct server_dataplane *dataplane, const char *gone,
			  const char *stays)
{
	struct link_info link;

	if (strcmp(gone, stays) != 0 && !link_get(gone, &link))
		detach_tc(dataplane->runtime, gone, link.index);
}

void server_dataplane_detach(struct server_dataplane *dataplane)
{
	if (dataplane->ifindex)
		detach_tc(dataplane->runtime, dataplane->config->interfaces[0], dataplane->ifindex);
}

int server_dataplane_prepare(struct server_dataplane *dataplane, const struct config *config,
			     struct server_settings *settings)
{
	const char *interface = config->interfaces[0];
	int ifindex, err;

	*settings = dataplane->settings;
	err = server_settings_fill(settings, config, &ifindex);
	if (err)
		return err;
	err = server_services_add(dataplane, config);
	if (!err && strcmp(interface, dataplane->config->interfaces[0]) != 0)
		err = attach_anew(dataplane, interface, ifindex);
	if (err)
		server_dataplane_abandon(dataplane, config);
	return err;
}

void server_dataplane_abandon(struct server_dataplane *dataplane, const struct config *config)
{
	server_services_drop(dataplane, dataplane->config);
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
	err = server_settings_put(dataplane);
	if (err)
		return err;
	dataplane->config = config;
	last.peer_count = server_peers_place(dataplane, config);
	tunnels_allow(&last, config, dataplane->peers);
	last.any_port |= dataplane->settings.any_port;
	last.unplaced = dataplane->settings.unplaced;
	dataplane->settings = last;
	server_settings_put(dataplane);
	dataplane->settings.any_port = settings->any_port;
	dataplane->settings.unplaced = settings->unplaced;
	server_settings_put(dataplane);
	server_services_list(dataplane, config);
	server_services_drop(dataplane, config);
	detach_unlike(dataplane, before->interfaces[0], config->interfaces[0]);
	if (!link_get(config->interfaces[0], &link))
		dataplane->ifindex = link.index;
	return 0;
}
