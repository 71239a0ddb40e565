/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The numbers of services, servers and backends in the tables. Who has had one keeps it, under a predecessor
 * too: flows and rings bear them. What there is is looked up once, not for each.
 */
#ifndef PLIMSOLL_GIVEN_H
#define PLIMSOLL_GIVEN_H

#include "balancer/dataplane.h"

struct given {
	bool old_services[SERVICES_MAX + 1], services[SERVICES_MAX + 1];
	bool servers[SERVERS_MAX];
	uint32_t next_server; /* below it all are given out */
	uint32_t *places; /* a hash table of the backends there are, by their indices; 0 = nobody */
};

/* *given: all zero. To be closed in any case. 0 or -errno. */
int given_open(struct dataplane *dataplane, struct given *given);
void given_close(struct given *given);

/* The id that the service has had, or one that nobody has. 0 or -errno, having said if there is none. */
int given_service(struct dataplane *dataplane, struct given *given,
		  const struct service_config *config, uint32_t *id);

/* The index that the server has in `loads`, or a new one; 0 if there is no more room. 0 or -errno. */
int given_server(struct dataplane *dataplane, struct given *given, struct ip_address address,
		 uint32_t *index);

/*
 * The index of that pair in `backends`, or a free one; 0 if there is none. What was given back last is
 * given out last: flows may still bear it.
 */
uint32_t given_backend(struct dataplane *dataplane, struct given *given, uint32_t service,
		       struct ip_address address);

#endif
