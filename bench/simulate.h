/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The simulator: what becomes of the loop "measure, report, choose" with any number of servers and
 * balancers. Time is simulated; choosing is not: bpf/select.h, bpf/load_update.h, bpf/server_load.h,
 * src/ring.c, src/schedule.c and src/weighting.c run as they are. The same seed gives the same run.
 */
#ifndef PLIMSOLL_SIMULATE_H
#define PLIMSOLL_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#define US 1000ULL
#define MS (1000 * US)
#define SECOND (1000 * MS)

enum sizes {
	SIZES_EQUAL, /* four workers each */
	SIZES_UNEVEN, /* 1, 1, 2, 2, 4, 4, 8, 8 workers, and so on */
	SIZES_SPEEDS, /* one worker each, of speeds 0.5, 0.5, 1, 1, 1, 1, 2, 2 */
	SIZES_SINGLE, /* one worker each */
};

enum work {
	WORK_EXPONENTIAL,
	WORK_BATCH, /* 90 % short, 10 % eleven times longer */
	WORK_UNIFORM, /* from 0.4 to 1.6 of the mean */
};

/* What happens to one server, number 0 unless said otherwise. */
enum incident {
	INCIDENT_NONE,
	INCIDENT_STEP, /* now and then another one becomes five times slower, for half a second */
	INCIDENT_CHANGE, /* becomes four times slower when counting begins, for good */
	INCIDENT_JOIN, /* is not there until counting begins */
	INCIDENT_DRAIN, /* gets no new connections from when counting begins */
	INCIDENT_SINKHOLE, /* resets all connections at once, from when counting begins */
};

/* What has to be balanced. */
struct world {
	const char *name;
	uint32_t servers;
	uint32_t balancers;
	enum sizes sizes;
	enum work work;
	enum incident incident;
	bool weights_known; /* configured as the servers are; else 1 for everybody */
	bool antagonist; /* every 200 ms another quarter of the servers runs three times slower */
	double load; /* open loop: arrivals as a share of capacity; 0 = closed loop */
	double clients; /* closed loop: so many for each worker; 0 = two */
	double lull; /* open loop: the load until a second before counting begins; 0 = as ever */
	uint64_t service_ns; /* mean; 0 = 10 ms */
	uint64_t hop_ns; /* between balancer and server; 0 = 50 us */
	uint64_t round_trip_ns; /* between client and server; 0 = 200 us */
	double syn_loss; /* these never arrive; the client tries anew after a second */
	double warmup, seconds; /* 0 = 3, 10 */
	bool full; /* takes so long that the short form leaves it out */
};

enum knowledge {
	KNOWS_NOTHING,
	KNOWS_BY_REPORTS, /* in-band */
	KNOWS_BY_POLLING,
	KNOWS_THE_TRUTH, /* at each choice, of its candidates; for the rest like the others */
	KNOWS_ALL, /* the oracle: least requests for its true capacity, of all servers */
};

/* How weights are found out: as src/weighting.c does it, or in other ways, to compare. */
enum estimator {
	ESTIMATOR_NONE, /* weights as configured */
	ESTIMATOR_PUBLISHED,
	ESTIMATOR_LATENCY, /* a step each second towards equal latencies, as reported */
	ESTIMATOR_LITTLE, /* the same with the mean latency by Little's law */
	ESTIMATOR_THROUGHPUT, /* connections per second are the capacity */
	ESTIMATOR_UTILISATION, /* connections per second and utilisation are (gRPC A58) */
	ESTIMATOR_MEDIAN, /* the median of ten seconds of what latencies say of the capacity */
};

/* How it is balanced: a configuration, by the names that it has there. */
struct contender {
	const char *name;
	enum knowledge knowledge;
	const char *policy; /* NULL = power-of-choices */
	const char *signal; /* NULL = in-flight */
	uint32_t choices; /* 0 = 4 */
	bool without_pending;
	enum estimator estimator;
	bool right_weights; /* configured as the servers are, whatever the world says */
	uint64_t interval_ns; /* min_interval, or poll_interval; 0 = 1 ms */
	uint64_t stale_after_ns; /* 0 = 1 s */
	uint32_t patience; /* intervals for which what somebody waits for bears no report; 0 = 20 */
	uint64_t free_interval_ns; /* of a balancer's beyond the budget; 0 = 4 ms x balancers */
	bool in_turn; /* reports go to balancers in turn, not to the first in the list that is due */
	uint64_t
		silence_ns; /* no reports to a balancer that was not heard for so long; 0 = 50 ms */
	bool last_ack_is_late; /* clients acknowledge before they close: no socket sends the last ACK */
	bool seen_at_syn; /* a connection is seen when its SYN comes, not when its request does */
	double ring_flatness; /* the ring goes by the weight to the power of 1 - this */
	double max_share; /* 0 = no budget: every packet may bear a report */
	double report_loss; /* the report is lost, its packet is not */
	double carrier_loss; /* the packet is lost: it comes again, after a timeout and without a report */
};

struct outcome {
	uint64_t begun, answered, refused, left; /* requests, from the very beginning */
	double requests_per_second;
	double mean_ms, p50_ms, p99_ms, p999_ms;
	double report_share; /* of response packets */
	double reports_per_second; /* that a balancer receives, of one server */
	double age_ms; /* of what was known of the chosen server */
	double unknown; /* share of choices that fell on a server without a report */
	double herding; /* largest in-flight for its capacity : mean */
	double weight_error; /* of auto weights at the end: mean of |ln(weight / capacity)| */
	double weight_changes; /* a second and server: sum of |ln(new / old)| */
	double settled_s; /* from then on the weights were near the capacities */
	double settle_ms; /* after a step, until the share of the slow one is near its fair one */
	double focus_share; /* of the connections that server 0 gets : its fair share */
	double focus_peak; /* its largest in-flight for its capacity : mean of all */
	double cost_seconds; /* real time it took */
};

/* Runs one contender in one world. Returns 0 or -ENOMEM. */
int simulate(const struct world *world, const struct contender *contender, uint64_t seed,
	     struct outcome *outcome);

#endif
