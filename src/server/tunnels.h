/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From where packets in an outer header are taken, and whose they are: for bpf/tunnel.h. */
#ifndef PLIMSOLL_SERVER_TUNNELS_H
#define PLIMSOLL_SERVER_TUNNELS_H

#include "config.h"
#include "shared.h"

/* Fills in the origins that the configuration allows. peers: BALANCERS_MAX, each in its place. */
void tunnels_allow(struct server_settings *settings, const struct config *config,
		   const struct peer *peers);

#endif
