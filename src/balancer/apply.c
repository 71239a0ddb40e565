/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Another configuration comes into force. First all that is new is put beside what is there: no packet
 * goes by it yet, and it can be taken away again. Then the rings are exchanged, each as a whole. Last,
 * what is no longer named goes, when no ring names it any more either.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/balancer_private.h"
#include "balancer/tables.h"
#include "config/compare.h"
#include "log.h"

/* A configuration, and all that goes with it. */
struct setting {
	struct config *config, *file;
	struct balanced_service *services;
	struct rebuild *rebuild;
	struct poller *poller;
};

static struct setting exchange(struct balancer *balancer, struct setting next)
{
	struct dataplane *dataplane = &balancer->dataplane;
	struct setting before = {
		balancer->daemon.config, balancer->file,   dataplane->services,
		balancer->rebuild,	 balancer->poller,
	};

	balancer->daemon.config = dataplane->config = next.config;
	balancer->file = next.file;
	dataplane->file = next.file;
	dataplane->services = next.services;
	balancer->rebuild = next.rebuild;
	balancer->poller = next.poller;
	status_polls(balancer->sources.status, next.poller);
	return before;
}

static bool has_ipv6(const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (!address_is_ipv4(config->services[i].address.address))
			return true;
	return false;
}

/* The kernel's FIB look-up in XDP, by which reports' packets find their client, wants it. */
static int prepare_forwarding(struct host *host, const char *interface, bool ipv6)
{
	int err = host_set_sysctl(host, interface, "forwarding", 1);

	if (err || !ipv6)
		return err;
	/* Who forwards no longer hears routers, unless told to. */
	if (host_get_sysctl(interface, HOST_IPV6 "accept_ra") == 1)
		err = host_set_sysctl(host, interface, HOST_IPV6 "accept_ra", 2);
	return err ? err : host_set_sysctl(host, interface, HOST_IPV6 "forwarding", 1);
}

/* Those of a family that `known` does not have, or may not have on each of its interfaces. How many. */
static size_t list_vips(const struct config *config, const struct config *known, bool ipv4,
			struct ip_address *vips)
{
	size_t count = 0;

	for (size_t i = 0; i < config->service_count; i++) {
		struct ip_address vip = config->services[i].address.address;

		if (address_is_ipv4(vip) == ipv4 &&
		    !(ipv4 && known && config_has_address(known, vip)))
			vips[count++] = vip;
	}
	return count;
}

/*
 * In IPv4 a host answers ARP for all of its addresses by all of its interfaces; in IPv6 an interface is asked
 * for its own.
 */
static int add_vips(const struct config *config, const struct config *known, struct host *host)
{
	struct ip_address *vips = calloc(config->service_count, sizeof(*vips));
	size_t count;
	int err;

	if (!vips)
		return -ENOMEM;
	count = list_vips(config, known, true, vips);
	err = host_add_addresses(host, "lo", vips, count);
	count = list_vips(config, known, false, vips);
	for (size_t i = 0; !err && i < config->interface_count; i++)
		err = host_add_addresses(host, config->interfaces[i], vips, count);
	free(vips);
	return err;
}

int balancer_prepare_host(struct balancer *balancer, const struct config *config,
			  const struct config *known)
{
	struct host *host = balancer->daemon.host;
	int err = add_vips(config, known, host);

	for (size_t i = 0; !err && i < config->interface_count; i++)
		err = prepare_forwarding(host, config->interfaces[i], has_ipv6(config));
	return err;
}

/* Beside what is there. */
static int prepare(struct balancer *balancer, struct setting *next)
{
	struct dataplane *dataplane = &balancer->dataplane;
	int err;

	next->rebuild = balancer_rebuild(balancer, next->config->service_count);
	if (!next->rebuild)
		return -ENOMEM;
	err = dataplane_add_interfaces(dataplane, next->config);
	if (!err)
		err = balancer_prepare_host(balancer, next->config, dataplane->config);
	if (!err)
		err = tables_enter(dataplane, next->config, next->file, &next->services);
	if (!err)
		err = daemon_move_listen(&balancer->daemon, dataplane->config, next->config);
	return err;
}

static void follow(struct balancer *balancer, const struct moves *moves)
{
	status_follow(balancer->sources.status, moves);
	watch_follow(balancer->sources.watch, moves);
	weights_follow(balancer->weights, moves);
}

/* Of those who are new in `now`; how many of them, at most, and how many there have been. */
static size_t each_new(struct balancer *balancer, const struct config *now,
		       const struct config *before, size_t most,
		       int (*call)(struct balancer *balancer, const struct config *now, size_t i,
				   size_t j),
		       int *err)
{
	size_t count = 0;

	for (size_t i = 0; i < now->service_count; i++) {
		const struct service_config *service = &now->services[i];
		const struct service_config *other = config_find_service(before, service, i);

		for (size_t j = 0; j < service->backend_count; j++) {
			struct ip_address address = service->backends[j].address;

			if (other && service_find_backend(other, address, j))
				continue;
			if (count == most)
				return count;
			*err = call(balancer, now, i, j);
			if (*err)
				return count;
			count++;
		}
	}
	return count;
}

static int watch_one(struct balancer *balancer, const struct config *now, size_t i, size_t j)
{
	bool table_full = false;

	(void)now;
	return balancer_watch_backend(balancer, i, j, &table_full);
}

static int forget_one(struct balancer *balancer, const struct config *gone, size_t i, size_t j)
{
	neighbours_forget(balancer->daemon.neighbours, gone->services[i].backends[j].address);
	return 0;
}

static bool ring_differs(const struct balanced_service *now, const struct balanced_service *before)
{
	if (now->config->backend_count != before->config->backend_count ||
	    now->config->ring_size != before->config->ring_size ||
	    now->config->all_down != before->config->all_down)
		return true;
	for (size_t i = 0; i < now->config->backend_count; i++)
		if (now->members[i].index != before->members[i].index ||
		    now->members[i].weight != before->members[i].weight ||
		    member_is_open(&now->members[i]) != member_is_open(&before->members[i]))
			return true;
	return false;
}

/* From what `before` has to what is in force now. */
static int build_rings(struct balancer *balancer, const struct setting *before,
		       const struct moves *moves)
{
	struct dataplane *dataplane = &balancer->dataplane;
	int err = 0, end;

	dataplane_begin_rings(dataplane);
	for (size_t i = 0; !err && i < moves->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];
		const struct balanced_service *other =
			moves->services[i] == NOWHERE ? NULL :
							&before->services[moves->services[i]];

		if (!other || ring_differs(service, other))
			err = dataplane_build_ring(dataplane, service);
		else
			err = dataplane_write_service(dataplane, service);
	}
	end = dataplane_end_rings(dataplane);
	return err ?: end;
}

static int take_over(struct balancer *balancer, const struct setting *before,
		     const struct moves *moves, size_t *watched)
{
	struct dataplane *dataplane = &balancer->dataplane;
	struct rebuild *rebuild = balancer->rebuild;
	int err;

	err = poll_open(balancer->daemon.base, dataplane, &balancer->poller);
	if (err)
		return err;
	status_polls(balancer->sources.status, balancer->poller);
	/* Rings are built when all are known who can be reached at once. */
	balancer->rebuild = NULL;
	*watched = each_new(balancer, dataplane->config, before->config, SIZE_MAX, watch_one, &err);
	balancer->rebuild = rebuild;
	if (!err)
		err = dataplane_write_settings(dataplane);
	return err ? err : build_rings(balancer, before, moves);
}

/* As if nothing had been. `next` has been in force and is no longer. */
static void take_back(struct balancer *balancer, const struct setting *next, size_t watched)
{
	struct dataplane *dataplane = &balancer->dataplane;
	struct moves back;
	int err = 0;

	each_new(balancer, next->config, dataplane->config, watched, forget_one, &err);
	err = moves_find(&back, next->config, dataplane->config);
	if (err)
		return;
	follow(balancer, &back);
	build_rings(balancer, next, &back);
	dataplane_write_settings(dataplane);
	moves_free(&back);
}

static void discard(struct setting *setting)
{
	poll_close(setting->poller);
	rebuild_close(setting->rebuild);
	services_free(setting->services, setting->config->service_count);
}

/* What is not named any more. */
static void settle(struct balancer *balancer, struct setting *before)
{
	int err = 0;

	each_new(balancer, before->config, balancer->daemon.config, SIZE_MAX, forget_one, &err);
	tables_prune(&balancer->dataplane);
	dataplane_drop_interfaces(&balancer->dataplane, balancer->daemon.config);
	daemon_release_host(&balancer->daemon, before->config, balancer->daemon.config);
	health_follow(&balancer->health, balancer->rebuild);
	leave_begin(balancer);
	poll_adopt(balancer->poller, before->poller);
	discard(before);
	if (before->file != balancer->file)
		config_free(before->file);
	config_free(before->config);
}

static int change_over(struct balancer *balancer, struct setting *next)
{
	struct setting before;
	struct moves moves;
	size_t watched = 0;
	int err = moves_find(&moves, balancer->daemon.config, next->config);

	if (err)
		return err;
	before = exchange(balancer, *next);
	follow(balancer, &moves);
	err = take_over(balancer, &before, &moves, &watched);
	moves_free(&moves);
	if (err) {
		*next = exchange(balancer, before);
		take_back(balancer, next, watched);
	} else {
		settle(balancer, &before);
	}
	return err;
}

int balancer_apply(struct balancer *balancer, struct config *config, struct config *file)
{
	struct setting next = {.config = config, .file = file};
	int err;

	rebuild_now(balancer->rebuild);
	err = prepare(balancer, &next);
	if (!err) {
		err = change_over(balancer, &next);
		if (!err)
			return 0;
		daemon_move_listen(&balancer->daemon, next.config, balancer->daemon.config);
	}
	tables_restore(&balancer->dataplane);
	tables_prune(&balancer->dataplane);
	dataplane_drop_interfaces(&balancer->dataplane, balancer->daemon.config);
	daemon_release_host(&balancer->daemon, next.config, balancer->daemon.config);
	discard(&next);
	return err;
}
