/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is sampled, for those who tell it. */
#ifndef PLIMSOLL_BALANCER_STATUS_PRIVATE_H
#define PLIMSOLL_BALANCER_STATUS_PRIVATE_H

#include "balancer/status.h"
#include "shared.h"

struct sample {
	uint64_t time_ns;
	struct backend_stats *stats; /* by member, all services' one after another */
};

struct status {
	const struct dataplane *dataplane;
	const struct poller *poller; /* NULL: nobody is polled */
	const struct watch *watch;
	uint64_t started_ns;
	uint64_t started_seconds; /* since the epoch */
	size_t member_count;
	struct sample samples[STATUS_SAMPLES]; /* a ring */
	size_t newest;
	struct flow_walk *walk; /* through the flow table */
};

/* A member's totals, and the connections of the latest stretch. */
struct traffic {
	struct backend_stats total;
	uint64_t recent;
	double per_second;
};

/* k: the member's place among all services' members. */
struct traffic traffic_of(const struct status *status, size_t k);

/* All members of a service together; first: where they begin. */
struct traffic traffic_of_service(const struct status *status, size_t service, size_t first);

/* Connections of a member's that are remembered, and that the client has not ended. */
uint32_t status_open_connections(const struct status *status, const struct member *member);

/* All there is to say of service number i, whose members begin at `first` in the samples. */
json_t *describe_service(const struct status *status, size_t i, size_t first);

/* Its member number j. */
json_t *describe_backend(const struct status *status, size_t i, size_t first, size_t j);

/* Appends its members, each with the service's name. */
void describe_backends(const struct status *status, size_t i, size_t first, json_t *array);

/* What is known of a member's server, whichever service it answers for. */
json_t *describe_load(const struct status *status, const struct member *member);

/* Whether somebody should worry where no load is known: datagrams bear no reports. */
bool reports_expected(const struct service_config *service);

/* Why its load is a guess; NULL if it is not. */
const char *load_cause(const struct status *status, const struct balanced_service *service,
		       const struct member *member);

#endif
