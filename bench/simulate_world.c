/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The course of a simulation. A request's way: its SYN is at the balancer, which chooses; at the server,
 * which answers; the request itself is at the server one round trip later; it waits, is worked on and
 * answered; in a closed loop its client begins anew. On each of the server's packets a report may ride.
 */
#include "simulate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "random.h"

#include "simulate_events.h"
#include "simulate_oracle.h"
#include "simulate_server.h"
#include "simulate_tally.h"
#include "simulate_view.h"
#include "simulate_weighting.h"

#define START_NS SECOND /* 0 is "never" */
#define ANTAGONIST_INTERVAL_NS (200 * MS)
#define ANTAGONIST_SHARE 0.25
#define ANTAGONIST_SLOWNESS 3
#define LONG_SHARE 0.1
#define LONG_FACTOR 11
#define SAMPLE_INTERVAL_NS (10 * MS)
#define WEIGHING_INTERVAL_NS SECOND
/* TCP's timeouts: of what begins a connection, and of what is in it. */
#define HANDSHAKE_TIMEOUT_NS SECOND
#define DATA_TIMEOUT_NS (200 * MS)

enum kind {
	FINISH, /* subject: the worker */
	ARRIVAL, /* open loop: the next request */
	POLL, /* subject: the balancer */
	WEIGH, /* subject: the balancer */
	ANTAGONIST,
	SAMPLE,
};

/* Ways that always take equally long. Subject: the request, or the report. */
enum way {
	TO_BALANCER, /* the client's next SYN */
	TO_SERVER, /* a SYN */
	ROUND_TRIP, /* SYN-ACK, ACK, request */
	ROUND_TRIP_LATE, /* the same with the first SYN-ACK lost */
	SYN_LOST,
	ANSWER_LOST,
	REPORT_TO_BALANCER,
	WAYS
};

struct request {
	uint64_t born, arrived, work_ns;
	uint32_t server, balancer, next;
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
	uint32_t *capacities, *assigned;
	uint64_t total_assigned;
	uint32_t total_capacity;
	struct worker *workers;
	struct request *requests;
	uint32_t request_count, request_room, free_request;
	struct flight *flights;
	uint32_t flight_count, flight_room, free_flight;
	double arrivals_per_ns;
};

static bool counts(const struct simulation *sim)
{
	return sim->now >= sim->counted_from;
}

static bool happens(struct simulation *sim, double probability)
{
	return probability > 0 && random_unit(&sim->random) <= probability;
}

static void at(struct simulation *sim, uint64_t time, enum kind kind, uint32_t subject,
	       uint32_t version)
{
	heap_push(&sim->heap, (struct event){time, subject, version, kind});
}

static void go(struct simulation *sim, enum way way, uint32_t subject)
{
	lane_push(&sim->lanes[way], sim->now, subject);
}

/* --------------------------------------------------------- requests, flights */

static uint32_t request_new(struct simulation *sim)
{
	uint32_t request = sim->free_request;

	if (request != NOBODY) {
		sim->free_request = sim->requests[request].next;
		return request;
	}
	if (sim->request_count == sim->request_room) {
		sim->request_room = 2 * sim->request_room + 64;
		sim->requests = grown(sim->requests, sim->request_room, sizeof(*sim->requests));
	}
	return sim->request_count++;
}

static void request_free(struct simulation *sim, uint32_t request)
{
	sim->requests[request].next = sim->free_request;
	sim->free_request = request;
}

static uint32_t flight_new(struct simulation *sim)
{
	uint32_t flight = sim->free_flight;

	if (flight != NOBODY) {
		sim->free_flight = sim->flights[flight].next;
		return flight;
	}
	if (sim->flight_count == sim->flight_room) {
		sim->flight_room = 2 * sim->flight_room + 64;
		sim->flights = grown(sim->flights, sim->flight_room, sizeof(*sim->flights));
	}
	return sim->flight_count++;
}

static uint64_t work_draw(struct simulation *sim)
{
	double mean = (double)sim->world.service_ns;

	if (sim->world.batch) {
		mean /= 1 + LONG_SHARE * (LONG_FACTOR - 1);
		if (random_unit(&sim->work_random) <= LONG_SHARE)
			mean *= LONG_FACTOR;
	}
	return (uint64_t)random_exponential(&sim->work_random, mean);
}

/* ------------------------------------------------------------------- reports */

static void send_report(struct simulation *sim, uint32_t server, uint32_t balancer)
{
	uint32_t index = flight_new(sim);
	struct flight *flight = &sim->flights[index];

	flight->server = server;
	flight->balancer = balancer;
	server_report(&sim->servers[server], balancer, sim->now, &flight->report);
	sim->tally.reports_sent += counts(sim);
	go(sim, REPORT_TO_BALANCER, index);
}

/* A packet leaves the server, perhaps with a report. Returns whether it is lost on the detour. */
static bool send_packet(struct simulation *sim, uint32_t server, enum response response)
{
	uint32_t balancer;

	sim->tally.packets += counts(sim);
	if (sim->contender.knowledge != KNOWS_BY_REPORTS)
		return false;
	balancer = server_report_due(&sim->servers[server], &sim->world, &sim->contender, response,
				     sim->now);
	if (balancer == NOBODY)
		return false;
	send_report(sim, server, balancer);
	return happens(sim, sim->contender.carrier_loss);
}

static void report_arrives(struct simulation *sim, uint32_t index)
{
	struct flight *flight = &sim->flights[index];

	if (!happens(sim, sim->contender.report_loss + sim->contender.carrier_loss)) {
		view_report(sim->views[flight->balancer], flight->server, &flight->report,
			    sim->now);
		sim->tally.reports_received += counts(sim);
	}
	flight->next = sim->free_flight;
	sim->free_flight = index;
}

/* All servers are asked at once, and answer at once. */
static void poll(struct simulation *sim, uint32_t balancer)
{
	for (uint32_t i = 0; i < sim->world.servers; i++)
		send_report(sim, i, balancer);
	at(sim, sim->now + sim->contender.interval_ns, POLL, balancer, 0);
}

/* ------------------------------------------------------------------- choices */

static uint32_t choose(struct simulation *sim, uint32_t balancer)
{
	uint64_t age = UINT64_MAX;
	uint32_t server;

	if (sim->contender.knowledge == KNOWS_ALL)
		return oracle_choose(&sim->oracle);
	server = view_choose(sim->views[balancer], random_next(&sim->random), sim->now, &age);
	if (counts(sim)) {
		sim->tally.choices++;
		if (age == UINT64_MAX)
			sim->tally.unknown++;
		else
			sim->tally.age_ns += (double)(age + sim->world.hop_ns);
	}
	return server;
}

static void assign(struct simulation *sim, uint32_t server, int change)
{
	sim->assigned[server] += (uint32_t)change;
	sim->total_assigned += (uint64_t)change;
	if (sim->contender.knowledge == KNOWS_ALL)
		oracle_mend(&sim->oracle, server);
}

static void syn_at_balancer(struct simulation *sim, uint32_t index)
{
	struct request *request = &sim->requests[index];

	request->balancer = (uint32_t)(random_next(&sim->random) % sim->world.balancers);
	request->server = choose(sim, request->balancer);
	if (happens(sim, sim->world.syn_loss)) {
		go(sim, SYN_LOST, index);
		return;
	}
	assign(sim, request->server, 1);
	go(sim, TO_SERVER, index);
}

static void begin_request(struct simulation *sim, uint32_t index)
{
	sim->requests[index].born = sim->now;
	sim->requests[index].work_ns = work_draw(sim);
	syn_at_balancer(sim, index);
}

static void arrival(struct simulation *sim)
{
	double gap = random_exponential(&sim->random, 1 / sim->arrivals_per_ns);

	at(sim, sim->now + (uint64_t)gap, ARRIVAL, 0, 0);
	begin_request(sim, request_new(sim));
}

/* -------------------------------------------------------------------- server */

static void work_begin(struct simulation *sim, struct server_state *server, uint32_t index)
{
	struct worker *worker = &sim->workers[server->idle];
	double duration = (double)sim->requests[index].work_ns * server->slowness;

	server_book_busy(server, sim->now);
	server->busy++;
	worker->request = index;
	worker->finish_ns = sim->now + (uint64_t)duration;
	at(sim, worker->finish_ns, FINISH, server->idle, worker->version);
	server->idle = worker->next_idle;
}

static void enqueue(struct simulation *sim, struct server_state *server, uint32_t index)
{
	sim->requests[index].next = NOBODY;
	if (server->queue_first == NOBODY)
		server->queue_first = index;
	else
		sim->requests[server->queue_last].next = index;
	server->queue_last = index;
}

static uint32_t dequeue(struct simulation *sim, struct server_state *server)
{
	uint32_t index = server->queue_first;

	if (index != NOBODY)
		server->queue_first = sim->requests[index].next;
	return index;
}

static void syn_at_server(struct simulation *sim, uint32_t index)
{
	struct request *request = &sim->requests[index];
	struct server_state *server = &sim->servers[request->server];
	bool lost;

	if (!sim->contender.seen_at_request)
		server->peers[request->balancer].connections_seen++;
	lost = send_packet(sim, request->server, RESPONSE_SYN_ACK);
	go(sim, lost ? ROUND_TRIP_LATE : ROUND_TRIP, index);
}

static void request_at_server(struct simulation *sim, uint32_t index)
{
	uint32_t number = sim->requests[index].server;
	struct server_state *server = &sim->servers[number];

	sim->requests[index].arrived = sim->now;
	if (sim->contender.seen_at_request)
		server->peers[sim->requests[index].balancer].connections_seen++;
	server->in_flight++;
	if (server->idle != NOBODY)
		work_begin(sim, server, index);
	else
		enqueue(sim, server, index);
	send_packet(sim, number, RESPONSE_ACK);
}

static void answered(struct simulation *sim, uint32_t index)
{
	const struct request *request = &sim->requests[index];

	if (counts(sim))
		tally_latency(&sim->tally, sim->now - request->born + sim->world.round_trip_ns);
	if ((sim->now - START_NS) / SECOND < SECONDS_MAX)
		sim->outcome->course_requests[(sim->now - START_NS) / SECOND]++;
	if (sim->world.load > 0)
		request_free(sim, index);
	else
		go(sim, TO_BALANCER, index);
}

static void work_finished(struct simulation *sim, uint32_t number)
{
	struct worker *worker = &sim->workers[number];
	struct server_state *server = &sim->servers[worker->server];
	uint32_t index = worker->request, next = dequeue(sim, server);
	bool lost;

	server_book_busy(server, sim->now);
	server_book_latency(server, sim->now - sim->requests[index].arrived);
	server->busy--;
	server->in_flight--;
	worker->version = (worker->version + 1) & 0xFFFFFFF;
	worker->request = NOBODY;
	worker->next_idle = server->idle;
	server->idle = number;
	if (next != NOBODY)
		work_begin(sim, server, next);
	assign(sim, worker->server, -1);
	lost = send_packet(sim, worker->server, RESPONSE_DATA);
	send_packet(sim, worker->server, RESPONSE_FIN);
	if (lost)
		go(sim, ANSWER_LOST, index);
	else
		answered(sim, index);
}

/* What is being worked on will be finished sooner, or later, than was thought. */
static void change_slowness(struct simulation *sim, struct server_state *server, double slowness)
{
	for (uint32_t i = 0; i < server->capacity; i++) {
		struct worker *worker = &sim->workers[server->first_worker + i];
		double left;

		if (worker->request == NOBODY)
			continue;
		left = (double)(worker->finish_ns - sim->now) * slowness / server->slowness;
		worker->version = (worker->version + 1) & 0xFFFFFFF;
		worker->finish_ns = sim->now + (uint64_t)left;
		at(sim, worker->finish_ns, FINISH, server->first_worker + i, worker->version);
	}
	server->slowness = slowness;
}

static void antagonist(struct simulation *sim)
{
	for (uint32_t i = 0; i < sim->world.servers; i++) {
		double slowness = happens(sim, ANTAGONIST_SHARE) ? ANTAGONIST_SLOWNESS : 1;

		if (slowness != sim->servers[i].slowness)
			change_slowness(sim, &sim->servers[i], slowness);
	}
	at(sim, sim->now + ANTAGONIST_INTERVAL_NS, ANTAGONIST, 0, 0);
}

/* ---------------------------------------------------------------- the course */

static void weigh(struct simulation *sim, uint32_t balancer)
{
	double moved = view_weigh(sim->views[balancer]);
	uint64_t second = (sim->now - START_NS) / SECOND;

	if (counts(sim))
		sim->tally.weight_moves += moved;
	if (!balancer && second < SECONDS_MAX)
		sim->outcome->course_error[second] = (float)view_weight_error(sim->views[balancer]);
	at(sim, sim->now + WEIGHING_INTERVAL_NS, WEIGH, balancer, 0);
}

static void sample(struct simulation *sim)
{
	double most = 0;

	for (uint32_t i = 0; i < sim->world.servers && counts(sim); i++)
		most = fmax(most, (double)sim->assigned[i] / sim->capacities[i]);
	if (counts(sim) && sim->total_assigned) {
		sim->tally.herding += most * sim->total_capacity / (double)sim->total_assigned;
		sim->tally.samples++;
	}
	at(sim, sim->now + SAMPLE_INTERVAL_NS, SAMPLE, 0, 0);
}

static void happen(struct simulation *sim, struct event event)
{
	switch ((enum kind)event.kind) {
	case FINISH:
		if (sim->workers[event.subject].version == event.version)
			work_finished(sim, event.subject);
		break;
	case ARRIVAL:
		arrival(sim);
		break;
	case POLL:
		poll(sim, event.subject);
		break;
	case WEIGH:
		weigh(sim, event.subject);
		break;
	case ANTAGONIST:
		antagonist(sim);
		break;
	case SAMPLE:
		sample(sim);
		break;
	}
}

static void arrive(struct simulation *sim, enum way way)
{
	uint32_t subject = lane_pop(&sim->lanes[way]);

	switch (way) {
	case TO_BALANCER:
		begin_request(sim, subject);
		break;
	case SYN_LOST:
		syn_at_balancer(sim, subject);
		break;
	case TO_SERVER:
		syn_at_server(sim, subject);
		break;
	case ROUND_TRIP:
	case ROUND_TRIP_LATE:
		request_at_server(sim, subject);
		break;
	case ANSWER_LOST:
		answered(sim, subject);
		break;
	case REPORT_TO_BALANCER:
		report_arrives(sim, subject);
		break;
	case WAYS:
		break;
	}
}

static void run(struct simulation *sim)
{
	for (;;) {
		uint64_t time = heap_time(&sim->heap);
		enum way way, first = WAYS;

		for (way = 0; way < WAYS; way++) {
			if (lane_time(&sim->lanes[way]) < time) {
				time = lane_time(&sim->lanes[way]);
				first = way;
			}
		}
		if (time >= sim->end)
			return;
		sim->now = time;
		if (first == WAYS)
			happen(sim, heap_pop(&sim->heap));
		else
			arrive(sim, first);
	}
}

/* ------------------------------------------------------- beginning and ending */

static uint32_t capacity_of(enum sizes sizes, uint32_t server)
{
	return sizes == SIZES_EQUAL ? 4 : 1U << server % 8 / 2;
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
	contender->max_share = contender->max_share > 0 ? contender->max_share : 1;
	contender->free_ns = contender->free_ns ? contender->free_ns : 10 * MS;
}

static int make_servers(struct simulation *sim)
{
	uint32_t servers = sim->world.servers, balancers = sim->world.balancers;

	sim->servers = calloc(servers, sizeof(*sim->servers));
	sim->capacities = calloc(servers, sizeof(*sim->capacities));
	sim->assigned = calloc(servers, sizeof(*sim->assigned));
	sim->peers = calloc((size_t)servers * balancers, sizeof(*sim->peers));
	if (!sim->servers || !sim->capacities || !sim->assigned || !sim->peers)
		return -ENOMEM;
	for (uint32_t i = 0; i < servers; i++) {
		sim->capacities[i] = capacity_of(sim->world.sizes, i);
		sim->servers[i] = (struct server_state){
			.capacity = sim->capacities[i],
			.first_worker = sim->total_capacity,
			.idle = sim->total_capacity,
			.queue_first = NOBODY,
			.slowness = 1,
			.utilisation_ns = START_NS,
			.busy_since_ns = START_NS,
			.peers = &sim->peers[(size_t)i * balancers],
		};
		sim->total_capacity += sim->capacities[i];
	}
	return 0;
}

static int make_workers(struct simulation *sim)
{
	sim->workers = calloc(sim->total_capacity, sizeof(*sim->workers));
	if (!sim->workers)
		return -ENOMEM;
	for (uint32_t i = 0; i < sim->world.servers; i++) {
		const struct server_state *server = &sim->servers[i];

		for (uint32_t k = 0; k < server->capacity; k++)
			sim->workers[server->first_worker + k] = (struct worker){
				.server = i,
				.request = NOBODY,
				.next_idle = k + 1 < server->capacity ?
						     server->first_worker + k + 1 :
						     NOBODY,
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
	};
	sim->views = calloc(sim->world.balancers, sizeof(struct view *));
	if (!sim->views ||
	    oracle_open(&sim->oracle, sim->capacities, sim->assigned, sim->world.servers))
		return -ENOMEM;
	for (uint32_t i = 0; i < sim->world.balancers; i++) {
		sim->views[i] = view_open(&sim->surroundings, seed * 1000 + i);
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
	sim->lanes[REPORT_TO_BALANCER].delay = world->hop_ns;
}

/* Clients and balancers do not begin all at once. */
static void set_going(struct simulation *sim)
{
	const struct world *world = &sim->world;
	double capacity = sim->total_capacity / (double)world->service_ns;
	uint64_t clients = (uint64_t)(world->clients * sim->total_capacity);

	if (world->antagonist)
		capacity /= 1 + ANTAGONIST_SHARE * (ANTAGONIST_SLOWNESS - 1);
	sim->arrivals_per_ns = world->load * capacity;
	for (uint64_t i = 0; i < clients && world->load <= 0; i++) {
		sim->now = START_NS + i * world->service_ns / clients;
		go(sim, TO_BALANCER, request_new(sim));
	}
	if (world->load > 0)
		at(sim, START_NS, ARRIVAL, 0, 0);
	at(sim, START_NS, SAMPLE, 0, 0);
	if (world->antagonist)
		at(sim, START_NS, ANTAGONIST, 0, 0);
	for (uint32_t i = 0; i < world->balancers; i++) {
		double phase = (double)i / world->balancers;
		double interval = (double)sim->contender.interval_ns;

		if (sim->contender.knowledge == KNOWS_BY_POLLING)
			at(sim, START_NS + (uint64_t)(phase * interval), POLL, i, 0);
		if (sim->contender.auto_weights)
			at(sim, START_NS + (uint64_t)((1 + phase) * WEIGHING_INTERVAL_NS), WEIGH, i,
			   0);
	}
}

static double ratio(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

static void conclude(struct simulation *sim)
{
	const struct tally *tally = &sim->tally;
	struct outcome *outcome = sim->outcome;
	double seconds = sim->world.seconds;
	double pairs = (double)sim->world.servers * sim->world.balancers;

	outcome->requests_per_second = (double)tally->answered / seconds;
	outcome->p50_ms = tally_percentile_ms(tally, 0.5);
	outcome->p99_ms = tally_percentile_ms(tally, 0.99);
	outcome->p999_ms = tally_percentile_ms(tally, 0.999);
	outcome->report_share = ratio((double)tally->reports_sent, (double)tally->packets);
	outcome->reports_per_second = (double)tally->reports_received / seconds / pairs;
	outcome->age_ms = ratio(tally->age_ns, (double)(tally->choices - tally->unknown)) / MS;
	outcome->unknown = ratio((double)tally->unknown, (double)tally->choices);
	outcome->herding = ratio(tally->herding, (double)tally->samples);
	outcome->weight_changes = tally->weight_moves / seconds / pairs;
	outcome->weight_error = view_weight_error(sim->views[0]);
	outcome->seconds = (uint32_t)fmin(SECONDS_MAX, sim->world.warmup + seconds);
}

static void discard(struct simulation *sim)
{
	for (uint32_t i = 0; sim->views && i < sim->world.balancers; i++)
		view_close(sim->views[i]);
	for (int way = 0; way < WAYS; way++)
		free(sim->lanes[way].waiting);
	oracle_close(&sim->oracle);
	free(sim->views);
	free(sim->heap.events);
	free(sim->servers);
	free(sim->peers);
	free(sim->capacities);
	free(sim->assigned);
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
	sim->counted_from = START_NS + (uint64_t)(sim->world.warmup * SECOND);
	sim->end = sim->counted_from + (uint64_t)(sim->world.seconds * SECOND);
	if (weighting_tune(contender->tuned) || make_servers(sim) || make_workers(sim) ||
	    make_views(sim, seed))
		goto out;
	set_delays(sim);
	set_going(sim);
	run(sim);
	conclude(sim);
	outcome->cost_seconds = clock_seconds() - began;
	err = 0;
out:
	discard(sim);
	return err;
}
