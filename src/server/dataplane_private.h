/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the server's data plane have in common; for nobody else. */
#ifndef PLIMSOLL_SERVER_DATAPLANE_PRIVATE_H
#define PLIMSOLL_SERVER_DATAPLANE_PRIVATE_H

#include "server/dataplane.h"

/* dataplane.c: says how a configuration would have it; *ifindex: where its programs are to be. 0 or -errno. */
int server_settings_fill(struct server_settings *settings, const struct config *config,
			 int *ifindex);

/* dataplane.c: as the kernel is to have them. 0 or -errno. */
int server_settings_put(const struct server_dataplane *dataplane);

/* services.c: where two would stand at one place, the second is found by the map. */
void server_services_place(struct server_settings *settings, const struct config *config);

/*
 * services.c: those that the configuration has. Their accept queues are looked at, as far as there is
 * room. 0 or -errno.
 */
int server_services_add(struct server_dataplane *dataplane, const struct config *config);

/* services.c: what a predecessor served, or another configuration, goes. */
void server_services_drop(struct server_dataplane *dataplane, const struct config *config);

/* services.c: for server_dataplane_measure(). */
void server_services_list(struct server_dataplane *dataplane, const struct config *config);

/* peers.c: at the start. Says what went wrong; 0 or -errno. */
int server_peers_begin(struct server_dataplane *dataplane);

/* peers.c: those of the configuration: who stays, stays in his place. Returns how many places that takes. */
uint32_t server_peers_place(struct server_dataplane *dataplane, const struct config *config);

#endif
