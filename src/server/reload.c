/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's file is read again. What is new is put beside what is there, then the settings are
 * exchanged, then what is no longer named goes: balancers that stay notice nothing.
 */
#include "reload.h"

#include <errno.h>
#include <string.h>

#include "config/compare.h"
#include "log.h"
#include "server/server_private.h"

/*
 * The VIP is everybody's address and nobody's: this host takes packets for it, but neither answers ARP
 * requests for it nor names it in its own. With several ways to the client, strict reverse path
 * filtering would drop its packets; loose (2) is the most that direct return allows.
 */
static int prepare_interface(struct host *host, const char *interface)
{
	int err;

	err = host_set_sysctl(host, interface, "arp_ignore", 1);
	if (!err)
		err = host_set_sysctl(host, interface, "arp_announce", 2);
	if (!err && (host_get_sysctl(interface, "rp_filter") == 1 ||
		     (host_get_sysctl("all", "rp_filter") == 1 &&
		      host_get_sysctl(interface, "rp_filter") != 2)))
		err = host_set_sysctl(host, interface, "rp_filter", 2);
	return err;
}

int server_prepare_host(struct server_daemon *server, const struct config *config,
			const struct config *known)
{
	struct host *host = server->daemon.host;
	int err = 0;

	/* ARP is silenced first, or the VIP would be answered for in between. */
	for (size_t i = 0; !err && i < config->interface_count; i++)
		err = prepare_interface(host, config->interfaces[i]);
	for (size_t i = 0; !err && i < config->service_count; i++)
		if (!known || !config_has_address(known, config->services[i].address.address))
			err = host_add_address(host, "lo", config->services[i].address.address);
	return err;
}

static bool same_agent(const struct config *a, const struct config *b)
{
	return a->agent_listening == b->agent_listening &&
	       (!a->agent_listening ||
		(address_equal(a->agent_listen.address, b->agent_listen.address) &&
		 a->agent_listen.port == b->agent_listen.port));
}

/* Closed first: the two may be the same port. Those that ask ask again. */
static int move_agent(struct server_daemon *server, const struct config *from,
		      const struct config *to)
{
	const struct config *in_force = server->dataplane.config;
	int err = 0;

	if (same_agent(from, to))
		return 0;
	agent_close(server->agent);
	server->agent = NULL;
	server->dataplane.config = to;
	if (to->agent_listening)
		err = agent_open(server->daemon.base, &server->dataplane, &server->agent);
	server->dataplane.config = from;
	if (err && from->agent_listening)
		agent_open(server->daemon.base, &server->dataplane, &server->agent);
	server->dataplane.config = in_force;
	return err;
}

/* Who cannot be looked up now is by the refresh. */
static void watch_others(struct server_daemon *server, const struct config *before,
			 const struct config *now)
{
	struct neighbours *neighbours = server->daemon.neighbours;
	char text[ADDRESS_TEXT_MAX];
	int err;

	for (size_t i = 0; i < now->balancer_count; i++) {
		if (config_has_balancer(before, now->balancers[i]))
			continue;
		err = neighbours_watch(neighbours, now->balancers[i], NULL);
		if (err)
			log_warning("balancer %s: cannot be looked up: %s; it is tried again",
				    address_format(now->balancers[i], text), strerror(-err));
	}
	for (size_t i = 0; i < before->balancer_count; i++)
		if (!config_has_balancer(now, before->balancers[i]))
			neighbours_forget(neighbours, before->balancers[i]);
	server_count_resolved(server);
}

static int change_over(struct server_daemon *server, struct config *config,
		       const struct server_settings *settings)
{
	struct config *before = server->daemon.config;
	int err = server_dataplane_switch(&server->dataplane, config, settings);

	if (err)
		return err;
	server->daemon.config = config;
	watch_others(server, before, config);
	daemon_release_host(&server->daemon, before, config);
	config_free(before);
	return 0;
}

/* Takes over config, unless it fails. */
static int apply(struct server_daemon *server, struct config *config)
{
	struct daemon *daemon = &server->daemon;
	struct server_settings settings;
	int err;

	err = server_dataplane_prepare(&server->dataplane, config, &settings);
	if (err)
		return err;
	err = server_prepare_host(server, config, daemon->config);
	if (!err)
		err = daemon_move_listen(daemon, daemon->config, config);
	if (err)
		goto abandon;
	err = move_agent(server, daemon->config, config);
	if (!err) {
		err = change_over(server, config, &settings);
		if (!err)
			return 0;
		move_agent(server, config, daemon->config);
	}
	daemon_move_listen(daemon, config, daemon->config);
abandon:
	server_dataplane_abandon(&server->dataplane, config);
	daemon_release_host(daemon, config, daemon->config);
	return err;
}

static void run(struct server_daemon *server, struct reload *reload, bool check)
{
	struct daemon *daemon = &server->daemon;
	size_t count;
	int err = reload_read(reload, daemon->config_path, daemon->config, daemon->config);

	if (check)
		return;
	if (!err) {
		reload_listen(reload);
		err = apply(server, reload->config);
		reload_listen(NULL);
		if (!err)
			reload->config = NULL;
		else if (!json_array_size(reload->mistakes))
			reload_refuse(reload, NULL, strerror(-err));
	}
	reload_log(reload);
	count = json_array_size(reload->changes);
	if (err)
		log_error("%s is refused: nothing has changed", reload->path);
	else
		log_notice("%s is in force: %zu change%s", reload->path, count,
			   count == 1 ? "" : "s");
}

void server_reload(struct server_daemon *server, struct http_request *request)
{
	struct reload reload;
	bool check = false;

	if (request && !reload_asked(request, &check))
		return;
	daemon_reloading(&server->daemon);
	run(server, &reload, check);
	if (request)
		reload_answer(&reload, request, check);
	daemon_reloaded(&server->daemon);
	reload_close(&reload);
}
