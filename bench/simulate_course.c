/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Time goes on: from event to event, whatever it is. */
#include "simulate_model.h"

#define SAMPLE_INTERVAL_NS (10 * MS)
#define WEIGHING_INTERVAL_NS SECOND
/* Weights so near to the capacities have settled. */
#define SETTLED_ERROR 0.2

static void weigh(struct simulation *sim, uint32_t balancer)
{
	double moved = view_weigh(sim->views[balancer]);

	if (counts(sim))
		sim->tally.weight_moves += moved;
	if (!balancer && view_weight_error(sim->views[balancer]) > SETTLED_ERROR)
		sim->tally.settled_s = (double)(sim->now - START_NS) / SECOND + 1;
	at(sim, sim->now + WEIGHING_INTERVAL_NS, WEIGH, balancer, 0);
}

static double fullness(const struct simulation *sim, uint32_t server)
{
	return (double)sim->assigned[server] / sim->capacities[server];
}

static void sample(struct simulation *sim)
{
	double mean = (double)sim->total_assigned / sim->total_capacity, most = 0;

	at(sim, sim->now + SAMPLE_INTERVAL_NS, SAMPLE, 0, 0);
	if (!counts(sim) || mean <= 0)
		return;
	for (uint32_t i = 0; i < sim->world.servers; i++)
		most = fmax(most, fullness(sim, i));
	sim->tally.focus_peak = fmax(sim->tally.focus_peak, fullness(sim, 0) / mean);
	sim->tally.herding += most / mean;
	sim->tally.samples++;
}

static void happen(struct simulation *sim, struct event event)
{
	switch ((enum kind)event.kind) {
	case FINISH:
		if (sim->workers[event.subject].version == event.version)
			work_finished(sim, event.subject);
		break;
	case ARRIVAL:
		request_arrives_anew(sim);
		break;
	case POLL:
		report_poll(sim, event.subject);
		break;
	case WEIGH:
		weigh(sim, event.subject);
		break;
	case ANTAGONIST:
		incident_antagonist(sim);
		break;
	case SAMPLE:
		sample(sim);
		break;
	case STEP:
		incident_step(sim, event.subject, event.version);
		break;
	case INCIDENT:
		incident_happens(sim);
		break;
	}
}

static void arrive(struct simulation *sim, enum way way)
{
	uint32_t subject = lane_pop(&sim->lanes[way]);

	switch (way) {
	case TO_BALANCER:
		request_begin(sim, subject);
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
		request_answered(sim, subject);
		break;
	case CLIENT_ENDS:
		client_ended(sim, subject);
		break;
	case REPORT_TO_BALANCER:
		report_arrives(sim, subject);
		break;
	case WAYS:
		break;
	}
}

void course_run(struct simulation *sim)
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
