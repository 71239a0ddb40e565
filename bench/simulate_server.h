/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A server as the load balancer meets it: one queue, some workers, and the agent that meters it and says
 * which of its packets are to bear a report. What it tells is worked out by bpf/server_load.h; when it tells
 * it, by the rules of bpf/stamp.h and bpf/server.bpf.c, said again here without packets.
 */
#ifndef PLIMSOLL_SIMULATE_SERVER_H
#define PLIMSOLL_SIMULATE_SERVER_H

#include "simulate.h"

#include <linux/types.h>

#include "server_load.h"

#define NOBODY UINT32_MAX

/* What it has told one balancer. */
struct peer_state {
	uint64_t heard_ns; /* last packet from it */
	uint64_t reported_ns;
	uint64_t free_ns; /* from then on the budget does not matter */
	uint32_t connections_seen;
	uint32_t reported_seen;
	uint32_t reported_in_flight;
};

struct server_state {
	uint32_t workers;
	uint32_t first_worker; /* of all the servers' workers */
	uint32_t busy;
	uint32_t idle; /* head of a list of workers; NOBODY */
	uint32_t queue_first, queue_last; /* of requests that wait */
	uint32_t next_peer; /* where reports go to balancers in turn: to be looked at first */
	double speed; /* 1 unless the world says otherwise */
	double slowness; /* 1, or by what befell it */
	double tokens; /* reports that the budget allows */
	uint64_t busy_since_ns;
	uint64_t busy_sum_ns; /* of all workers */
	struct metrics metrics;
	struct peer_state *peers;
};

/* Packets towards the client, by what the rules make of them. */
enum response {
	RESPONSE_SYN_ACK,
	RESPONSE_ACK,
	RESPONSE_DATA,
	RESPONSE_FIN,
	RESPONSE_REFUSAL,
	RESPONSE_LATE, /* no socket sends it any more: it bears no report */
};

/* The balancer that gets a report with this packet; NOBODY. */
uint32_t server_report_due(struct server_state *server, const struct world *world,
			   const struct contender *contender, enum response response, uint64_t now);

/* Books the report to that balancer, and writes it. */
void server_report(struct server_state *server, const struct contender *contender, uint32_t peer,
		   uint64_t now, struct load_report *report);

/* To be called before `busy` changes. */
void server_book_busy(struct server_state *server, uint64_t now);
void server_book_latency(struct server_state *server, uint32_t level, uint64_t latency_ns,
			 uint64_t now);

#endif
