/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A simulation from within. Time goes on in simulate_course.c; requests go their way in
 * simulate_request.c, reports in simulate_report.c; what befalls servers is in simulate_incident.c;
 * simulate_model.c makes it all, and takes stock at the end.
 */
#ifndef PLIMSOLL_SIMULATE_MODEL_H
#define PLIMSOLL_SIMULATE_MODEL_H

#include "random.h"

#include "simulate_events.h"
#include "simulate_oracle.h"
#include "simulate_server.h"
#include "simulate_tally.h"
#include "simulate_view.h"

#define START_NS SECOND /* 0 is "never" */
#define ANTAGONIST_SHARE 0.25
#define ANTAGONIST_SLOWNESS 3
#define LONG_SHARE 0.1
#define LONG_FACTOR 11

enum kind {
	FINISH, /* subject: the worker */
	ARRIVAL, /* open loop: the next request */
	POLL, /* subject: the balancer */
	WEIGH, /* subject: the balancer */
	ANTAGONIST,
	SAMPLE,
	STEP, /* subject: the server; version: whether it becomes slow */
	INCIDENT,
};

/* Ways that always take equally long. Subject: the request, or the report, unless said otherwise. */
enum way {
	TO_BALANCER, /* the client's next SYN */
	TO_SERVER, /* a SYN */
	ROUND_TRIP, /* SYN-ACK, ACK, request */
	ROUND_TRIP_LATE, /* the same with the first SYN-ACK lost */
	SYN_LOST,
	ANSWER_LOST,
	CLIENT_ENDS, /* its FIN; subject: the peer */
	REPORT_TO_BALANCER,
	WAYS
};

struct request {
	uint64_t born, arrived, work_ns;
	uint32_t server, balancer, level, next;
};

struct worker {
	uint64_t finish_ns;
	uint32_t server, request, version;
	uint32_t next_idle;
};

struct flight {
	struct load_report report;
	uint32_t server, balancer, next;
};

struct simulation {
	struct world world;
	struct contender contender;
	struct surroundings surroundings;
	struct outcome *outcome;
	struct tally tally;
	struct random random, work_random;
	uint64_t now, counted_from, end;
	struct heap heap;
	struct lane lanes[WAYS];
	struct oracle oracle;
	struct view **views;
	struct server_state *servers;
	struct peer_state *peers;
	uint32_t *capacities, *assigned, *order;
	bool *absent;
	uint64_t total_assigned;
	uint32_t total_capacity, worker_count;
	struct worker *workers;
	struct request *requests;
	uint32_t request_count, request_room, free_request;
	struct flight *flights;
	uint32_t flight_count, flight_room, free_flight;
	double arrivals_per_ns;
	uint64_t step_ns; /* when the last step was taken */
	uint32_t step_server;
	bool incident_happened;
};

static inline bool counts(const struct simulation *sim)
{
	return sim->now >= sim->counted_from;
}

static inline bool happens(struct simulation *sim, double probability)
{
	return probability > 0 && random_unit(&sim->random) <= probability;
}

static inline void at(struct simulation *sim, uint64_t time, enum kind kind, uint32_t subject,
		      uint32_t version)
{
	heap_push(&sim->heap, (struct event){time, subject, version, kind});
}

static inline void go(struct simulation *sim, enum way way, uint32_t subject)
{
	lane_push(&sim->lanes[way], sim->now, subject);
}

/* simulate_request.c */
uint32_t request_new(struct simulation *sim);
void request_begin(struct simulation *sim, uint32_t request);
void request_arrives_anew(struct simulation *sim);
void syn_at_balancer(struct simulation *sim, uint32_t request);
void syn_at_server(struct simulation *sim, uint32_t request);
void request_at_server(struct simulation *sim, uint32_t request);
void request_answered(struct simulation *sim, uint32_t request);
/* The client's last packet is at the server, by way of the balancer of that peer. */
void client_ended(struct simulation *sim, uint32_t peer);
void work_finished(struct simulation *sim, uint32_t worker);

/* simulate_report.c */
/* A packet leaves the server, perhaps with a report. Returns whether it is lost on the detour. */
bool packet_sent(struct simulation *sim, uint32_t server, enum response response);
void report_arrives(struct simulation *sim, uint32_t flight);
void report_poll(struct simulation *sim, uint32_t balancer);

/* simulate_incident.c */
void incident_plan(struct simulation *sim);
void incident_happens(struct simulation *sim);
void incident_step(struct simulation *sim, uint32_t server, bool begins);
void incident_antagonist(struct simulation *sim);
/* To be told of each new connection. */
void incident_note(struct simulation *sim, uint32_t server);

/* simulate_course.c */
void course_run(struct simulation *sim);

#endif
