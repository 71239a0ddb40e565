/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the balancer is: counts sampled from the kernel ten times a second, so that being asked costs
 * no more than the telling. doc/api.md describes the JSON.
 */
#ifndef PLIMSOLL_BALANCER_STATUS_H
#define PLIMSOLL_BALANCER_STATUS_H

#include <jansson.h>

#include "balancer/dataplane.h"
#include "balancer/moves.h"
#include "balancer/poll.h"

/* Rates and shares are those between the newest sample and the oldest kept. */
#define STATUS_SAMPLE_INTERVAL_MS 100
#define STATUS_SAMPLES 6

struct status;
struct watch;

/* The dataplane must outlive it. NULL if there is no memory. */
struct status *status_open(const struct dataplane *dataplane);
void status_close(struct status *status);

/* Who polls, if anybody does: it counts what it asks and what is answered. NULL is allowed. */
void status_polls(struct status *status, const struct poller *poller);

/* Who knows which backends have drained. */
void status_watch(struct status *status, const struct watch *watch);

/* Follows to another configuration of the dataplane. */
void status_follow(struct status *status, const struct moves *moves);

/* To be called every STATUS_SAMPLE_INTERVAL_MS. */
void status_sample(struct status *status);

/* A new reference each, or NULL. context: the struct status. service: only that one; NULL: all. */
json_t *status_json(void *context, const char *service);
/* All services, and how their backends are in a few numbers: for those who have too many to read all of. */
json_t *status_summary_json(const struct status *status);
json_t *status_services_json(const struct status *status);
json_t *status_service_json(const struct status *status, const char *name); /* NULL: none such */
/* By its name or address; false: none such. */
bool status_find_service(const struct status *status, const char *service, size_t *i);
/* The member of a service, by its name or address, that has this address; false: none such. */
bool status_find(const struct status *status, const char *service, const char *backend, size_t *i,
		 size_t *j);
json_t *status_backend_json(const struct status *status, size_t i, size_t j);
json_t *status_backends_json(const struct status *status);
json_t *status_loads_json(const struct status *status);
/* failing: whether a service has no backend for new connections. */
json_t *status_health_json(const struct status *status, bool *failing);

#endif
