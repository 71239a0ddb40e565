/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the daemon share: server.c (its life) and reload.c (its file is read again). */
#ifndef PLIMSOLL_SERVER_PRIVATE_H
#define PLIMSOLL_SERVER_PRIVATE_H

#include "daemon.h"
#include "server/agent.h"
#include "server/dataplane.h"
#include "server/status.h"

struct server_daemon {
	struct daemon daemon;
	struct server_dataplane dataplane;
	struct server_status status;
	struct agent *agent;
	struct event *patience;
	struct event *sweeper;
	size_t resolved;
	bool in_place;
};

/*
 * What a configuration needs of the host: addresses, settings of the interfaces. known: one for which
 * that has been done; NULL: there is none. 0 or -errno.
 */
int server_prepare_host(struct server_daemon *server, const struct config *config,
			const struct config *known);

/* How many balancers can be reached. */
void server_count_resolved(struct server_daemon *server);

/* Reads the file again. request: who asks, and is answered; NULL: it was a signal. */
void server_reload(struct server_daemon *server, struct http_request *request);

#endif
