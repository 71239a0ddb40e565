/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One health check: a TCP connection, or a request in HTTP.
 *
 * The service's address is a local one here, so a connection to it would never leave the machine. Our socket
 * connects to the server's own address instead, and the programs behind it (bpf/check.h), told of the socket's
 * port before, write the service's address into what leaves, send it the backend's way, and put the
 * server's address back into what returns. If the two are of different families, they change that, too,
 * and put an address of ours there to which the server can answer.
 */
#ifndef PLIMSOLL_BALANCER_CHECK_H
#define PLIMSOLL_BALANCER_CHECK_H

#include "balancer/checks.h"

struct event;

struct check {
	struct ip_address server;
	struct health_config config;
	struct event_base *base;
	const struct dataplane *dataplane;
	struct check_record record;

	/* Set by whoever wants it: */
	struct endpoint service; /* the address that it goes to */
	uint32_t backend; /* by whose way */
	bool wanted;

	struct ip_address source; /* ours, where the service is of another family than the server */
	uint64_t runs;
	struct event *interval, *timeout;
	/* Of the attempt that is on its way; NULL: there is none. */
	struct bufferevent *stream;
	uint16_t port; /* network byte order */
	bool connected;
};

/* NULL if there is no memory. */
struct check *check_new(struct event_base *base, const struct dataplane *dataplane,
			struct ip_address server, const struct health_config *config);
void check_free(struct check *check);

/*
 * From soon on, once an interval. What comes of it is in the record. number: of the check; neighbours in
 * number do not begin in the same moment. 0 or -errno.
 */
int check_start(struct check *check, size_t number);

/*
 * An address of ours of the service's family: of the interface that leads to the backend if that has one, or
 * of another that we serve. None if there is none.
 */
struct ip_address check_find_source(const struct dataplane *dataplane, const struct check *check);

/* Is that a status line? Then the number in it, otherwise 0. */
unsigned int check_read_status(const char *line);

#endif
