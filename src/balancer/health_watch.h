/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Follows the health of every backend, twenty times a second: what the data path sees of clients'
 * connections (bpf/health.h), what checks say, who answers ARP. Tells each change once, takes out
 * who is down, and lets who comes back start slowly. The data path spares who is suspect by itself.
 */
#ifndef PLIMSOLL_BALANCER_HEALTH_WATCH_H
#define PLIMSOLL_BALANCER_HEALTH_WATCH_H

#include "balancer/checks.h"
#include "balancer/dataplane.h"
#include "balancer/events.h"
#include "balancer/rebuild.h"

#define HEALTH_INTERVAL_MS 50

struct health_watch {
	struct dataplane *dataplane;
	struct events *events;
	struct rebuild *rebuild;
	struct checks *checks;
};

/* Another configuration has come into force. */
void health_follow(struct health_watch *watch, struct rebuild *rebuild);

/* To be called every HEALTH_INTERVAL_MS. */
void health_look(struct health_watch *watch);

#endif
