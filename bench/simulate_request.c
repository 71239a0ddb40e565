/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A request's way: its SYN is at the balancer, which chooses; at the server, which answers; the request
 * itself is at the server one round trip later, and with it the connection counts as seen; it waits, is
 * worked on and answered; its client closes, and in a closed loop begins anew. On each of the server's packets
 * a report may ride.
 */
#include "simulate_model.h"

uint32_t request_new(struct simulation *sim)
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

static uint64_t work_draw(struct simulation *sim)
{
	double mean = (double)sim->world.service_ns;

	if (sim->world.work == WORK_UNIFORM)
		return (uint64_t)(mean * (0.4 + 1.2 * random_unit(&sim->work_random)));
	if (sim->world.work == WORK_BATCH) {
		mean /= 1 + LONG_SHARE * (LONG_FACTOR - 1);
		if (random_unit(&sim->work_random) <= LONG_SHARE)
			mean *= LONG_FACTOR;
	}
	return (uint64_t)random_exponential(&sim->work_random, mean);
}

/* --------------------------------------------------------- at the balancer */

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

void syn_at_balancer(struct simulation *sim, uint32_t index)
{
	struct request *request = &sim->requests[index];

	request->balancer = (uint32_t)(random_next(&sim->random) % sim->world.balancers);
	request->server = choose(sim, request->balancer);
	incident_note(sim, request->server);
	if (happens(sim, sim->world.syn_loss)) {
		go(sim, SYN_LOST, index);
		return;
	}
	assign(sim, request->server, 1);
	go(sim, TO_SERVER, index);
}

void request_begin(struct simulation *sim, uint32_t index)
{
	sim->requests[index].born = sim->now;
	sim->requests[index].work_ns = work_draw(sim);
	sim->outcome->begun++;
	syn_at_balancer(sim, index);
}

void request_arrives_anew(struct simulation *sim)
{
	bool lull = sim->world.lull > 0 && sim->now + SECOND < sim->counted_from;
	double rate = sim->arrivals_per_ns * (lull ? sim->world.lull / sim->world.load : 1);
	double gap = random_exponential(&sim->random, 1 / rate);

	at(sim, sim->now + (uint64_t)gap, ARRIVAL, 0, 0);
	request_begin(sim, request_new(sim));
}

/* Its client goes its way, and in a closed loop begins anew. */
static void leave(struct simulation *sim, uint32_t index)
{
	if (sim->world.load > 0)
		request_free(sim, index);
	else
		go(sim, TO_BALANCER, index);
}

/* ----------------------------------------------------------- at the server */

static struct peer_state *peer_of(const struct simulation *sim, const struct request *request)
{
	return &sim->servers[request->server].peers[request->balancer];
}

static bool is_sinkhole(const struct simulation *sim, uint32_t server)
{
	return !server && sim->incident_happened && sim->world.incident == INCIDENT_SINKHOLE;
}

static void refuse(struct simulation *sim, uint32_t index)
{
	uint32_t server = sim->requests[index].server;
	struct metrics *metrics = &sim->servers[server].metrics;

	metrics->penalty = penalty_add(metrics, sim->now);
	packet_sent(sim, server, RESPONSE_REFUSAL);
	assign(sim, server, -1);
	sim->outcome->refused++;
	leave(sim, index);
}

static void work_begin(struct simulation *sim, struct server_state *server, uint32_t index)
{
	struct worker *worker = &sim->workers[server->idle];
	double duration = (double)sim->requests[index].work_ns * server->slowness / server->speed;

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

void syn_at_server(struct simulation *sim, uint32_t index)
{
	const struct request *request = &sim->requests[index];
	bool lost;

	peer_of(sim, request)->heard_ns = sim->now;
	if (sim->contender.seen_at_syn)
		peer_of(sim, request)->connections_seen++;
	if (is_sinkhole(sim, request->server)) {
		refuse(sim, index);
		return;
	}
	lost = packet_sent(sim, request->server, RESPONSE_SYN_ACK);
	go(sim, lost ? ROUND_TRIP_LATE : ROUND_TRIP, index);
}

void request_at_server(struct simulation *sim, uint32_t index)
{
	struct request *request = &sim->requests[index];
	struct server_state *server = &sim->servers[request->server];

	request->arrived = sim->now;
	peer_of(sim, request)->heard_ns = sim->now;
	if (!sim->contender.seen_at_syn)
		peer_of(sim, request)->connections_seen++;
	request->level = latency_level(++server->metrics.in_flight);
	if (server->idle != NOBODY)
		work_begin(sim, server, index);
	else
		enqueue(sim, server, index);
	packet_sent(sim, sim->requests[index].server, RESPONSE_ACK);
}

void request_answered(struct simulation *sim, uint32_t index)
{
	const struct request *request = &sim->requests[index];

	sim->outcome->answered++;
	if (counts(sim))
		tally_latency(&sim->tally, sim->now - request->born + sim->world.round_trip_ns);
	go(sim, CLIENT_ENDS, request->server * sim->world.balancers + request->balancer);
	leave(sim, index);
}

void client_ended(struct simulation *sim, uint32_t peer)
{
	bool late = sim->contender.last_ack_is_late;

	sim->peers[peer].heard_ns = sim->now;
	packet_sent(sim, peer / sim->world.balancers, late ? RESPONSE_LATE : RESPONSE_ACK);
}

void work_finished(struct simulation *sim, uint32_t number)
{
	struct worker *worker = &sim->workers[number];
	struct server_state *server = &sim->servers[worker->server];
	uint32_t index = worker->request, next = dequeue(sim, server);
	const struct request *request = &sim->requests[index];
	bool lost;

	server_book_busy(server, sim->now);
	server_book_latency(server, request->level, sim->now - request->arrived, sim->now);
	server->busy--;
	server->metrics.in_flight--;
	worker->version = (worker->version + 1) & 0xFFFFFF;
	worker->request = NOBODY;
	worker->next_idle = server->idle;
	server->idle = number;
	if (next != NOBODY)
		work_begin(sim, server, next);
	assign(sim, worker->server, -1);
	lost = packet_sent(sim, worker->server, RESPONSE_DATA);
	packet_sent(sim, worker->server, RESPONSE_FIN);
	if (lost)
		go(sim, ANSWER_LOST, index);
	else
		request_answered(sim, index);
}
