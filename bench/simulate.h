/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The simulator: what becomes of the loop "measure, report, choose" with any number of servers and
 * balancers. Time is simulated; choosing is not: bpf/select.h, bpf/load_update.h, src/ring.c, src/schedule.c
 * and src/weighting.c run as they are. The same seed gives the same run.
 */
#ifndef PLIMSOLL_SIMULATE_H
#define PLIMSOLL_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#define US 1000ULL
#define MS (1000 * US)
#define SECOND (1000 * MS)
/* Of which the course over time is kept. */
#define SECONDS_MAX 64

enum sizes {
	SIZES_EQUAL, /* four workers each */
	SIZES_UNEVEN, /* 1, 1, 2, 2, 4, 4, 8, 8 workers, and so on */
};

/* What has to be balanced. */
struct world {
	const char *name;
	uint32_t servers;
	uint32_t balancers;
	enum sizes sizes;
	bool weights_known; /* configured as the servers are; else 1 for everybody */
	bool antagonist; /* every 200 ms each server is three times slower with probability 1/4 */
	bool batch; /* 90 % short, 10 % eleven times longer, the same mean; else exponential */
	double load; /* open loop: arrivals as a share of capacity; 0 = closed loop */
	double clients; /* closed loop: so many for each worker; 0 = two */
	uint64_t service_ns; /* mean; 0 = 10 ms */
	uint64_t hop_ns; /* between balancer and server; 0 = 50 us */
	uint64_t round_trip_ns; /* between client and server; 0 = 200 us */
	double syn_loss; /* these never arrive; the client tries anew after a second */
	double warmup, seconds; /* 0 = 3, 10 */
	bool full; /* takes so long that it is left out unless asked for */
};

enum knowledge {
	KNOWS_NOTHING,
	KNOWS_BY_REPORTS, /* in-band */
	KNOWS_BY_POLLING,
	KNOWS_THE_TRUTH, /* at each choice, of its candidates; for the rest like the others */
	KNOWS_ALL, /* the oracle: least requests for its true capacity, of all servers */
};

/* How it is balanced: a configuration, by the names that it has there. */
struct contender {
	const char *name;
	enum knowledge knowledge;
	const char *policy; /* NULL = power-of-choices */
	const char *signal; /* NULL = in-flight */
	uint32_t choices; /* 0 = 4 */
	bool without_pending;
	bool auto_weights;
	uint64_t interval_ns; /* min_interval, or poll_interval; 0 = 1 ms */
	double max_share; /* 0 = no budget: every packet may bear a report */
	uint64_t free_ns; /* reports so far apart are outside the budget; 0 = 10 ms */
	bool first_peer; /* the first balancer in the list has precedence, not the one that waits longest */
	bool seen_at_request; /* a connection is seen when its request comes, not when its SYN does */
	double report_loss; /* the report is lost, its packet is not */
	double carrier_loss; /* the packet is lost: it comes again, after a timeout and without a report */
	const char *tuned; /* changes to the constants of weighting, as "gain=0.2 dead_band=0.1" */
};

struct outcome {
	double requests_per_second;
	double p50_ms, p99_ms, p999_ms;
	double report_share; /* of response packets */
	double reports_per_second; /* that a balancer receives, of one server */
	double age_ms; /* of what was known of the chosen server */
	double unknown; /* share of choices that fell on a server without a report */
	double herding; /* largest in-flight for its capacity : mean */
	double weight_error; /* of auto weights at the end: mean of |ln(weight / capacity)| */
	double weight_changes; /* a second and server: sum of |ln(new / old)| */
	uint32_t seconds; /* of the course, the warm-up included: */
	float course_requests[SECONDS_MAX];
	float course_error[SECONDS_MAX];
	double cost_seconds; /* real time it took */
};

/* Runs one contender in one world. Returns 0 or -ENOMEM. */
int simulate(const struct world *world, const struct contender *contender, uint64_t seed,
	     struct outcome *outcome);

#endif
