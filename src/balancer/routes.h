/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The paths that a balancer answers, and what each of them tells. doc/api.md describes them. */
#ifndef PLIMSOLL_BALANCER_ROUTES_H
#define PLIMSOLL_BALANCER_ROUTES_H

#include "balancer/events.h"
#include "balancer/health_watch.h"
#include "balancer/status.h"
#include "balancer/watch.h"
#include "balancer/weights.h"
#include "http/http.h"
#include "http/stream.h"

struct balancer;

/* Whom the routes ask. */
struct sources {
	struct balancer *balancer; /* whose file is read again, and who adds and removes */
	struct status *status;
	struct streams *streams;
	struct events *events;
	struct watch *watch;
	struct dataplane *dataplane; /* what changes are made to */
	struct weights *weights; /* likewise; its owner puts it here */
	struct health_watch *health; /* likewise */
};

/* All of them, or -ENOMEM. The dataplane must outlive them. */
int sources_open(struct sources *sources, struct event_base *base, struct dataplane *dataplane);
void sources_close(struct sources *sources);

/* To be called every STATUS_SAMPLE_INTERVAL_MS. */
void sources_sample(struct sources *sources);

/* Their context is a struct sources. */
extern const struct http_route balancer_routes[];

#endif
