/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of the daemon share: balancer.c (its life), apply.c (another configuration comes into
 * force), reload.c (the file is read again), leave.c (who goes when the last connection has ended).
 */
#ifndef PLIMSOLL_BALANCER_PRIVATE_H
#define PLIMSOLL_BALANCER_PRIVATE_H

#include "balancer/checks.h"
#include "balancer/dataplane.h"
#include "balancer/health_watch.h"
#include "balancer/poll.h"
#include "balancer/rebuild.h"
#include "balancer/routes.h"
#include "balancer/weights.h"
#include "daemon.h"

struct balancer {
	struct daemon daemon;
	struct config *file; /* the configuration as the file had it when it was last read */
	struct dataplane dataplane;
	struct sources sources; /* what the API tells from */
	struct poller *poller;
	struct weights *weights;
	struct rebuild *rebuild; /* of rings; none before all backends are watched */
	struct health_watch health;
	struct event *sampling, *weighting, *patience, *health_timer;
	bool in_place; /* it is our programs that packets meet */
};

/* How rings are built for so many services. NULL for want of memory. */
struct rebuild *balancer_rebuild(struct balancer *balancer, size_t services);

/*
 * What a configuration needs of the host: addresses, settings of the interfaces. known: one for which
 * that has been done; NULL: there is none. 0 or -errno.
 */
int balancer_prepare_host(struct balancer *balancer, const struct config *config,
			  const struct config *known);

/* Follows where it is reached. A full neighbour table is told once. 0 or -errno. */
int balancer_watch_backend(struct balancer *balancer, size_t i, size_t j, bool *table_full);

/*
 * Puts another configuration into force, all of it or nothing: what stays keeps its connections, and each
 * packet meanwhile finds the old state or the new one. file: what the file says now, or what
 * balancer->file is already. Takes over both, unless it fails. Says what went wrong; 0 or -errno.
 */
int balancer_apply(struct balancer *balancer, struct config *config, struct config *file);

/*
 * Adds to a configuration those of the one in force whom it does not name, as long as they have
 * connections or nobody else could take new ones; they drain. alive: as leave_count() has it. 0 or
 * -ENOMEM.
 */
int leave_keep(const struct balancer *balancer, struct config *config, const uint32_t *alive);

/* Connections by the backends' indices, counted now; to be freed. NULL for want of memory. */
uint32_t *leave_count(const struct dataplane *dataplane);

/* Reads the file again. request: who asks, and is answered; NULL: it was a signal. */
void balancer_reload(struct balancer *balancer, struct http_request *request);

/* Who leaves since a moment ago is looked after from now on. */
void leave_begin(struct balancer *balancer);

/* To be called with each sample: removes those who have nothing left. */
void leave_look(struct balancer *balancer);

#endif
