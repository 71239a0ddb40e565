/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A server as the load balancer meets it: one queue, some workers, and the agent that meters it and says
 * which of its packets are to bear a report. The agent's rules are those of bpf/stamp.h, bpf/server.bpf.c.
 */
#ifndef PLIMSOLL_SIMULATE_SERVER_H
#define PLIMSOLL_SIMULATE_SERVER_H

#include "simulate.h"

#include "load_report.h"

#define NOBODY UINT32_MAX

/* What it has told one balancer. */
struct peer_state {
	uint64_t reported_ns;
	uint32_t connections_seen;
	uint32_t reported_seen;
	uint32_t reported_in_flight;
};

struct server_state {
	uint32_t capacity; /* workers */
	uint32_t first_worker; /* of all the servers' workers */
	uint32_t busy;
	uint32_t idle; /* head of a list of workers; NOBODY */
	uint32_t queue_first, queue_last; /* of requests that wait */
	uint32_t in_flight; /* requests that came, and wait or are worked on */
	uint32_t next_peer; /* to be looked at first */
	double slowness; /* 1, or 3 */
	double tokens; /* reports that the budget allows */
	double latency_us; /* moving average */
	uint64_t busy_since_ns;
	uint64_t busy_sum_ns; /* of all workers */
	uint64_t utilisation_ns;
	uint64_t utilisation_sum_ns;
	uint32_t utilisation; /* 65535 = 1 */
	struct peer_state *peers;
};

/* Packets towards the client, by what the rules make of them. */
enum response {
	RESPONSE_SYN_ACK,
	RESPONSE_ACK,
	RESPONSE_DATA,
	RESPONSE_FIN,
};

/* The balancer that gets a report with this packet; NOBODY. */
uint32_t server_report_due(struct server_state *server, const struct world *world,
			   const struct contender *contender, enum response response, uint64_t now);

/* Books the report to that balancer, and writes it. */
void server_report(struct server_state *server, uint32_t peer, uint64_t now,
		   struct load_report *report);

/* To be called before `busy` changes. */
void server_book_busy(struct server_state *server, uint64_t now);
void server_book_latency(struct server_state *server, uint64_t latency_ns);

#endif
