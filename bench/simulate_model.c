/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a simulation is made, set going, and what is said of it at the end. */
#include "simulate_model.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* TCP's timeouts: of what begins a connection, and of what is in it. */
#define HANDSHAKE_TIMEOUT_NS SECOND
#define DATA_TIMEOUT_NS (200 * MS)
/* As in bpf/stamp.h and src/server/dataplane.c. */
#define FREE_REPORT_INTERVAL_NS (4 * MS)
#define PATIENCE 20
#define BALANCER_SILENCE_NS (50 * MS)
/* Capacities are whole numbers: workers times speed, in halves. */
#define CAPACITY_ONE 2
/* As bench/measure/step.py has it: how the share of a server that became slow is judged. */
#define WINDOW_CONNECTIONS 400
#define BAND (1 / 3.0)
#define STRAY 0.03
#define NEW_SPEED 0.2

static uint32_t workers_of(enum sizes sizes, uint32_t server)
{
	switch (sizes) {
	case SIZES_EQUAL:
		return 4;
	case SIZES_UNEVEN:
		return 1U << server % 8 / 2;
	case SIZES_SPEEDS:
	case SIZES_SINGLE:
		break;
	}
	return 1;
}

static double speed_of(enum sizes sizes, uint32_t server)
{
	static const double speeds[] = {0.5, 0.5, 1, 1, 1, 1, 2, 2};

	return sizes == SIZES_SPEEDS ? speeds[server % 8] : 1;
}

static void fill_defaults(struct simulation *sim)
{
	struct world *world = &sim->world;
	struct contender *contender = &sim->contender;

	world->clients = world->clients > 0 ? world->clients : 2;
	world->service_ns = world->service_ns ? world->service_ns : 10 * MS;
	world->hop_ns = world->hop_ns ? world->hop_ns : 50 * US;
	world->round_trip_ns = world->round_trip_ns ? world->round_trip_ns : 200 * US;
	world->warmup = world->warmup > 0 ? world->warmup : 3;
	world->seconds = world->seconds > 0 ? world->seconds : 10;
	contender->interval_ns = contender->interval_ns ? contender->interval_ns : MS;
	contender->stale_after_ns = contender->stale_after_ns ? contender->stale_after_ns : SECOND;
	contender->patience = contender->patience ? contender->patience : PATIENCE;
	contender->silence_ns = contender->silence_ns ? contender->silence_ns : BALANCER_SILENCE_NS;
	if (!contender->free_interval_ns)
		contender->free_interval_ns = world->balancers * FREE_REPORT_INTERVAL_NS;
	contender->max_share = contender->max_share > 0 ? contender->max_share : 1;
	sim->counted_from = START_NS + (uint64_t)(world->warmup * SECOND);
	sim->end = sim->counted_from + (uint64_t)(world->seconds * SECOND);
}

static int make_servers(struct simulation *sim)
{
	uint32_t servers = sim->world.servers, balancers = sim->world.balancers;

	sim->servers = aligned_alloc(64, servers * sizeof(*sim->servers));
	sim->capacities = calloc(servers, sizeof(*sim->capacities));
	sim->assigned = calloc(servers, sizeof(*sim->assigned));
	sim->order = calloc(servers, sizeof(*sim->order));
	sim->absent = calloc(servers, sizeof(*sim->absent));
	sim->peers = calloc((size_t)servers * balancers, sizeof(*sim->peers));
	if (!sim->servers || !sim->capacities || !sim->assigned || !sim->order || !sim->absent ||
	    !sim->peers)
		return -ENOMEM;
	for (uint32_t i = 0; i < servers; i++) {
		sim->servers[i] = (struct server_state){
			.workers = workers_of(sim->world.sizes, i),
			.first_worker = sim->worker_count,
			.idle = sim->worker_count,
			.queue_first = NOBODY,
			.speed = speed_of(sim->world.sizes, i),
			.slowness = 1,
			.metrics.utilisation_ns = START_NS,
			.busy_since_ns = START_NS,
			.peers = &sim->peers[(size_t)i * balancers],
		};
		sim->order[i] = i;
		sim->capacities[i] =
			(uint32_t)(CAPACITY_ONE * sim->servers[i].workers * sim->servers[i].speed);
		sim->total_capacity += sim->capacities[i];
		sim->worker_count += sim->servers[i].workers;
	}
	return 0;
}

static int make_workers(struct simulation *sim)
{
	sim->workers = calloc(sim->worker_count, sizeof(*sim->workers));
	if (!sim->workers)
		return -ENOMEM;
	for (uint32_t i = 0; i < sim->world.servers; i++) {
		const struct server_state *server = &sim->servers[i];
		uint32_t last = server->first_worker + server->workers - 1;

		for (uint32_t worker = server->first_worker; worker <= last; worker++)
			sim->workers[worker] = (struct worker){
				.server = i,
				.request = NOBODY,
				.next_idle = worker < last ? worker + 1 : NOBODY,
			};
	}
	return 0;
}

static int make_views(struct simulation *sim, uint64_t seed)
{
	sim->surroundings = (struct surroundings){
		.world = &sim->world,
		.contender = &sim->contender,
		.capacities = sim->capacities,
		.assigned = sim->assigned,
		.absent = sim->absent,
	};
	sim->views = calloc(sim->world.balancers, sizeof(struct view *));
	if (!sim->views || oracle_open(&sim->oracle, sim->capacities, sim->assigned, sim->absent,
				       sim->world.servers))
		return -ENOMEM;
	for (uint32_t i = 0; i < sim->world.balancers; i++) {
		sim->views[i] =
			view_open(&sim->surroundings, i ? sim->views[0] : NULL, seed * 1000 + i);
		if (!sim->views[i])
			return -ENOMEM;
	}
	return 0;
}

static void set_delays(struct simulation *sim)
{
	const struct world *world = &sim->world;

	sim->lanes[TO_BALANCER].delay = world->round_trip_ns;
	sim->lanes[TO_SERVER].delay = world->hop_ns;
	sim->lanes[ROUND_TRIP].delay = world->round_trip_ns;
	sim->lanes[ROUND_TRIP_LATE].delay = world->round_trip_ns + HANDSHAKE_TIMEOUT_NS;
	sim->lanes[SYN_LOST].delay = HANDSHAKE_TIMEOUT_NS;
	sim->lanes[ANSWER_LOST].delay = DATA_TIMEOUT_NS;
	sim->lanes[CLIENT_ENDS].delay = world->round_trip_ns;
	sim->lanes[REPORT_TO_BALANCER].delay = world->hop_ns;
}

/* Clients do not begin all at once. */
static void set_clients_going(struct simulation *sim)
{
	const struct world *world = &sim->world;
	double capacity = sim->total_capacity / (double)(CAPACITY_ONE * world->service_ns);
	uint64_t clients = (uint64_t)(world->clients * sim->worker_count);

	if (world->antagonist)
		capacity *= 1 - ANTAGONIST_SHARE * (1 - 1.0 / ANTAGONIST_SLOWNESS);
	sim->arrivals_per_ns = world->load * capacity;
	if (world->load > 0) {
		at(sim, START_NS, ARRIVAL, 0, 0);
		return;
	}
	for (uint64_t i = 0; i < clients; i++) {
		sim->now = START_NS + i * world->service_ns / clients;
		go(sim, TO_BALANCER, request_new(sim));
	}
}

/* Nor do balancers. */
static void set_going(struct simulation *sim)
{
	set_clients_going(sim);
	at(sim, START_NS, SAMPLE, 0, 0);
	incident_plan(sim);
	for (uint32_t i = 0; i < sim->world.balancers; i++) {
		double phase = (double)i / sim->world.balancers;
		double interval = (double)sim->contender.interval_ns;

		if (sim->contender.knowledge == KNOWS_BY_POLLING)
			at(sim, START_NS + (uint64_t)(phase * interval), POLL, i, 0);
		if (sim->contender.estimator)
			at(sim, START_NS + (uint64_t)((1 + phase) * SECOND), WEIGH, i, 0);
	}
}

/* -------------------------------------------------------------- taking stock */

static double ratio(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

/* Whether the share of the slowed server, in a window of so many ms, is not yet near its fair one. */
static bool is_outside(const struct simulation *sim, uint32_t begin, uint32_t width)
{
	double old_share = 1.0 / sim->world.servers;
	double new_share = NEW_SPEED / (sim->world.servers - 1 + NEW_SPEED);
	uint32_t own = 0, all = 0;

	for (uint32_t ms = begin; ms < begin + width; ms++) {
		own += sim->tally.step_own[ms];
		all += sim->tally.step_all[ms];
	}
	return own > all * (new_share + BAND * (old_share - new_share));
}

static double settle_ms(const struct simulation *sim)
{
	double rate = sim->arrivals_per_ns * MS * sim->tally.steps;
	uint32_t width, outside = 0;

	if (!sim->tally.steps || rate <= 0)
		return 0;
	width = (uint32_t)fmin(STEP_MS, fmax(1, round(WINDOW_CONNECTIONS / rate)));
	for (uint32_t i = 0; i + width <= STEP_MS; i++)
		outside += is_outside(sim, i, width);
	for (uint32_t i = 0; i + width <= STEP_MS; i++) {
		bool is = is_outside(sim, i, width);

		if (!is && outside <= STRAY * (STEP_MS - width + 1 - i))
			return i + width / 2.0;
		outside -= is;
	}
	return STEP_MS;
}

/* Requests on their way or at a server: counted where they are, not by what has begun and ended. */
static uint64_t count_left(const struct simulation *sim)
{
	static const enum way ways[] = {TO_SERVER, ROUND_TRIP, ROUND_TRIP_LATE, SYN_LOST,
					ANSWER_LOST};
	uint64_t left = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		left += sim->lanes[ways[i]].count;
	for (uint32_t i = 0; i < sim->world.servers; i++)
		left += (uint64_t)sim->servers[i].metrics.in_flight;
	return left;
}

static void conclude(struct simulation *sim)
{
	const struct tally *tally = &sim->tally;
	struct outcome *outcome = sim->outcome;
	double seconds = sim->world.seconds;
	double pairs = (double)sim->world.servers * sim->world.balancers;

	outcome->left = count_left(sim);
	outcome->requests_per_second = (double)tally->answered / seconds;
	outcome->mean_ms = ratio(tally->latency_ns, (double)tally->answered) / (double)MS;
	outcome->p50_ms = tally_percentile_ms(tally, 0.5);
	outcome->p99_ms = tally_percentile_ms(tally, 0.99);
	outcome->p999_ms = tally_percentile_ms(tally, 0.999);
	outcome->report_share = ratio((double)tally->reports_sent, (double)tally->packets);
	outcome->reports_per_second = (double)tally->reports_received / seconds / pairs;
	outcome->age_ms =
		ratio(tally->age_ns, (double)(tally->choices - tally->unknown)) / (double)MS;
	outcome->unknown = ratio((double)tally->unknown, (double)tally->choices);
	outcome->herding = ratio(tally->herding, (double)tally->samples);
	outcome->weight_changes = tally->weight_moves / seconds / pairs;
	outcome->weight_error = view_weight_error(sim->views[0]);
	outcome->settled_s = tally->settled_s;
	outcome->settle_ms = settle_ms(sim);
	outcome->focus_share = ratio((double)tally->focus_choices * sim->total_capacity,
				     (double)tally->choices * sim->capacities[0]);
	outcome->focus_peak = tally->focus_peak;
}

static void discard(struct simulation *sim)
{
	for (uint32_t i = sim->views ? sim->world.balancers : 0; i; i--)
		view_close(sim->views[i - 1]);
	for (int way = 0; way < WAYS; way++)
		free(sim->lanes[way].waiting);
	oracle_close(&sim->oracle);
	free(sim->views);
	free(sim->heap.events);
	free(sim->servers);
	free(sim->peers);
	free(sim->capacities);
	free(sim->assigned);
	free(sim->order);
	free(sim->absent);
	free(sim->workers);
	free(sim->requests);
	free(sim->flights);
	free(sim);
}

static double clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int simulate(const struct world *world, const struct contender *contender, uint64_t seed,
	     struct outcome *outcome)
{
	struct simulation *sim = calloc(1, sizeof(*sim));
	double began = clock_seconds();
	int err = -ENOMEM;

	if (!sim)
		return -ENOMEM;
	memset(outcome, 0, sizeof(*outcome));
	sim->world = *world;
	sim->contender = *contender;
	sim->outcome = outcome;
	sim->random.state = seed;
	sim->work_random.state = ~seed;
	sim->free_request = sim->free_flight = NOBODY;
	fill_defaults(sim);
	if (make_servers(sim) || make_workers(sim) || make_views(sim, seed))
		goto out;
	set_delays(sim);
	set_going(sim);
	course_run(sim);
	conclude(sim);
	outcome->cost_seconds = clock_seconds() - began;
	err = 0;
out:
	discard(sim);
	return err;
}
