/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's daemon. It makes the host answer for the VIPs without anybody's noticing on the
 * link, keeps the balancers' MAC addresses current, and tells how things are; metering and
 * reporting are the kernel's.
 */
#include "server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "server/routes.h"
#include "server/server_private.h"

/* How long an answer to ARP is waited for before balancers are served without. */
#define READY_PATIENCE_MS 3000

void server_count_resolved(struct server_daemon *server)
{
	server->resolved = 0;
	for (size_t i = 0; i < server->daemon.config->balancer_count; i++)
		server->resolved += server_dataplane_peer(&server->dataplane, i)->mac_known;
}

static void sweep_due(evutil_socket_t fd, short events, void *context)
{
	struct server_daemon *server = context;
	int err;

	(void)fd;
	(void)events;
	/* A host that has nothing to answer sends no reports: what is told of it is to be current. */
	server_dataplane_measure(&server->dataplane);
	err = sweep_run(&server->dataplane.sweep);
	if (!err)
		return;
	log_warning("the host's sockets cannot be asked: %s; requests whose connection vanishes "
		    "stay in in_flight",
		    strerror(-err));
	event_del(server->sweeper);
}

static void hang_up(void *context)
{
	server_reload(context, NULL);
}

/* From here on it is our programs that packets meet. A predecessor's are replaced when all is ready. */
static int take_place(struct server_daemon *server)
{
	struct daemon *daemon = &server->daemon;
	bool succeeds = daemon_succeeds(daemon);
	int err;

	/* What of the host is still the other daemon's comes last. */
	err = succeeds ? 0 : daemon_serve(daemon, server_routes, &server->status);
	daemon_commit(daemon);
	if (!err)
		err = server_dataplane_attach(&server->dataplane);
	if (!err)
		err = daemon_take_place(daemon);
	if (!err && succeeds)
		err = server_prepare_host(server, server->daemon.config, NULL);
	if (!err && succeeds)
		err = daemon_serve(daemon, server_routes, &server->status);
	if (!err && daemon->config->agent_listening)
		err = agent_open(daemon->base, &server->dataplane, &server->agent);
	if (!err)
		err = daemon_on_reload(daemon, hang_up, server);
	if (err)
		return err;
	server->in_place = true;
	server->sweeper = daemon_every(daemon, SWEEP_INTERVAL_MS, sweep_due, server);
	return server->sweeper ?
		       daemon_watch_place(daemon, &server_dataplane_place, &server->dataplane) :
		       -ENOMEM;
}

static void tell_ready(struct server_daemon *server)
{
	const struct config *config = server->daemon.config;
	int err;

	if (daemon_is_to_end())
		return;
	err = server->in_place ? 0 : take_place(server);
	if (err) {
		daemon_fail(&server->daemon, err);
		return;
	}
	if (!config->report.in_band)
		daemon_ready(&server->daemon,
			     "%zu service%s metered on %s, reports to those who ask",
			     config->service_count, config->service_count == 1 ? "" : "s",
			     config->interfaces[0]);
	else if (!config->balancer_count)
		daemon_ready(&server->daemon,
			     "%zu service%s metered on %s, no balancer to report to",
			     config->service_count, config->service_count == 1 ? "" : "s",
			     config->interfaces[0]);
	else
		daemon_ready(&server->daemon,
			     "%zu service%s on %s, reports to %zu of %zu balancers",
			     config->service_count, config->service_count == 1 ? "" : "s",
			     config->interfaces[0], server->resolved, config->balancer_count);
}

static void tell_balancer(const struct neighbour *neighbour, const struct peer *peer)
{
	char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX];
	const struct log_field fields[] = {
		{"balancer", address_format(neighbour->address, address), 0},
		{"reports", NULL, peer ? (long long)peer->reports : 0},
		{0},
	};

	if (neighbour->resolved)
		log_event(LOG_NOTICE, "balancer-up", fields, "balancer %s is at %s", address,
			  mac_format(neighbour->mac, mac));
	else
		log_event(LOG_WARNING, "no-neighbour", fields,
			  "balancer %s %s: it gets no reports; it has had %lld", address,
			  is_own_address(neighbour->address) ? "is this host itself" :
							       "does not answer ARP",
			  fields[1].number);
}

static const struct peer *find_peer(const struct server_daemon *server, struct ip_address address)
{
	const struct config *config = server->daemon.config;

	for (size_t i = 0; i < config->balancer_count; i++)
		if (address_equal(config->balancers[i], address))
			return server_dataplane_peer(&server->dataplane, i);
	return NULL;
}

static void balancer_moved(const struct neighbour *neighbour, void *context)
{
	struct server_daemon *server = context;
	const struct peer *peer = find_peer(server, neighbour->address);
	bool was_known = peer && peer->mac_known;

	server_dataplane_set_neighbour(&server->dataplane, neighbour);
	if (neighbour->resolved || was_known)
		tell_balancer(neighbour, peer);
	server_count_resolved(server);
	if (server->patience && server->resolved == server->daemon.config->balancer_count)
		tell_ready(server);
}

static void patience_over(evutil_socket_t fd, short events, void *context)
{
	struct server_daemon *server = context;

	(void)fd;
	(void)events;
	event_del(server->patience);
	for (size_t i = 0; i < server->daemon.config->balancer_count; i++) {
		const struct neighbour lost = {.address = server->daemon.config->balancers[i]};

		const struct peer *peer = server_dataplane_peer(&server->dataplane, i);

		if (!peer->mac_known)
			tell_balancer(&lost, peer);
	}
	tell_ready(server);
}

static int watch_balancers(struct server_daemon *server)
{
	const struct config *config = server->daemon.config;
	int err;

	err = daemon_watch_neighbours(&server->daemon, balancer_moved, server);
	for (size_t i = 0; !err && i < config->balancer_count; i++)
		err = neighbours_watch(server->daemon.neighbours, config->balancers[i], NULL);
	return err;
}

static int start(struct server_daemon *server)
{
	struct daemon *daemon = &server->daemon;
	int err;

	err = server_dataplane_load(&server->dataplane, daemon->config, &daemon->runtime);
	if (err)
		return err;
	server->status.dataplane = &server->dataplane;
	server->status.server = server;
	server->status.started_ns = now_ns();
	server->status.started_seconds = (uint64_t)time(NULL);
	if (!daemon_succeeds(daemon))
		err = server_prepare_host(server, server->daemon.config, NULL);
	if (!err)
		err = watch_balancers(server);
	if (!err && !daemon->inherited)
		err = take_place(server);
	if (err)
		return err;
	server->patience = daemon_every(daemon, READY_PATIENCE_MS, patience_over, server);
	if (!server->patience)
		return -ENOMEM;
	server_count_resolved(server);
	if (server->resolved == daemon->config->balancer_count)
		tell_ready(server);
	return 0;
}

int server_command(int argc, char **argv)
{
	struct server_daemon server = {0};
	bool take_back;
	int err;

	log_name(argv[0]);
	err = daemon_open(&server.daemon, CONFIG_SERVER, argc, argv);
	if (err)
		return err;
	err = start(&server);
	if (!err)
		err = daemon_run(&server.daemon);
	take_back = daemon_takes_back(&server.daemon, err);

	if (server.patience)
		event_free(server.patience);
	if (server.sweeper)
		event_free(server.sweeper);
	agent_close(server.agent);
	if (take_back)
		server_dataplane_detach(&server.dataplane);
	server_dataplane_close(&server.dataplane);
	daemon_close(&server.daemon, take_back);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
