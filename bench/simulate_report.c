/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A report's way: onto a packet of the server's, or into the answer to a poll, and to the balancer. */
#include "simulate_model.h"

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

static void send_report(struct simulation *sim, uint32_t server, uint32_t balancer)
{
	uint32_t index = flight_new(sim);
	struct flight *flight = &sim->flights[index];

	flight->server = server;
	flight->balancer = balancer;
	server_report(&sim->servers[server], &sim->contender, balancer, sim->now, &flight->report);
	sim->tally.reports_sent += counts(sim);
	go(sim, REPORT_TO_BALANCER, index);
}

bool packet_sent(struct simulation *sim, uint32_t server, enum response response)
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

void report_arrives(struct simulation *sim, uint32_t index)
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
void report_poll(struct simulation *sim, uint32_t balancer)
{
	for (uint32_t i = 0; i < sim->world.servers; i++)
		send_report(sim, i, balancer);
	at(sim, sim->now + sim->contender.interval_ns, POLL, balancer, 0);
}
