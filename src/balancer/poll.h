/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * feedback: poll. Asks the servers' agents how loaded they are, at the services' poll_interval, and
 * writes what they answer where the data path has it from packets otherwise. Runs in the daemon's
 * loop and never waits. A server is asked once, however many services it answers for; by the
 * shortest of their intervals.
 */
#ifndef PLIMSOLL_BALANCER_POLL_H
#define PLIMSOLL_BALANCER_POLL_H

#include <event2/event.h>

#include "balancer/dataplane.h"

struct poller;

/* Of one agent, since the start. */
struct poll_counts {
	uint64_t polls; /* requests */
	uint64_t answers; /* that were believed */
	uint64_t late; /* of these: after the next request, or with something newer known already */
	uint64_t refused; /* answers that were not believed: malformed, wrong tag, wrong number */
};

/*
 * Begins to ask. *poller is NULL if no service wants it. The dataplane must outlive it. Says what
 * went wrong; 0 or -errno.
 */
int poll_open(struct event_base *base, const struct dataplane *dataplane, struct poller **poller);
void poll_close(struct poller *poller);

/* Goes on counting where another one ends. Both may be NULL. */
void poll_adopt(struct poller *poller, const struct poller *before);

/* How a backend's agent has done; all 0 if it is not asked for that service. poller may be NULL. */
struct poll_counts poll_counts_of(const struct poller *poller, const struct service_config *service,
				  struct ip_address backend);

/* Datagrams that came from none of the agents. */
uint64_t poll_strangers(const struct poller *poller);

#endif
