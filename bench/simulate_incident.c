/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What befalls servers: an antagonist that slows them by turns, and the incidents of enum incident. */
#include "simulate_model.h"

#define ANTAGONIST_INTERVAL_NS (200 * MS)
#define STEP_SLOWNESS 5
#define STEP_HOLD_NS (STEP_MS * MS)
/* From one step to the next: in between, what was slow recovers. */
#define STEP_PERIOD_NS (4 * STEP_HOLD_NS)
#define CHANGE_SLOWNESS 4

/* What is being worked on will be finished sooner, or later, than was thought. */
static void change_slowness(struct simulation *sim, uint32_t index, double slowness)
{
	struct server_state *server = &sim->servers[index];

	for (uint32_t i = 0; i < server->workers; i++) {
		struct worker *worker = &sim->workers[server->first_worker + i];
		double left;

		if (worker->request == NOBODY)
			continue;
		left = (double)(worker->finish_ns - sim->now) * slowness / server->slowness;
		worker->version = (worker->version + 1) & 0xFFFFFF;
		worker->finish_ns = sim->now + (uint64_t)left;
		at(sim, worker->finish_ns, FINISH, server->first_worker + i, worker->version);
	}
	server->slowness = slowness;
}

/* As many as a quarter of them: the first of an order that is shuffled each time. */
void incident_antagonist(struct simulation *sim)
{
	uint32_t count = sim->world.servers;
	uint32_t slow = (uint32_t)(count * ANTAGONIST_SHARE);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t other = i + (uint32_t)(random_next(&sim->work_random) % (count - i));
		uint32_t server = sim->order[other];
		double slowness = i < slow ? ANTAGONIST_SLOWNESS : 1;

		sim->order[other] = sim->order[i];
		sim->order[i] = server;
		if (sim->servers[server].slowness != slowness)
			change_slowness(sim, server, slowness);
	}
	at(sim, sim->now + ANTAGONIST_INTERVAL_NS, ANTAGONIST, 0, 0);
}

void incident_step(struct simulation *sim, uint32_t server, bool begins)
{
	change_slowness(sim, server, begins ? STEP_SLOWNESS : 1);
	if (!begins)
		return;
	sim->step_ns = sim->now;
	sim->step_server = server;
	sim->tally.steps++;
}

static void absent(struct simulation *sim, bool is_absent)
{
	sim->absent[0] = is_absent;
	oracle_mend(&sim->oracle, 0);
	for (uint32_t i = 0; i < sim->world.balancers; i++)
		view_members_changed(sim->views[i]);
}

void incident_happens(struct simulation *sim)
{
	sim->incident_happened = true;
	if (sim->world.incident == INCIDENT_CHANGE) {
		change_slowness(sim, 0, CHANGE_SLOWNESS);
		sim->total_capacity -= sim->capacities[0];
		sim->capacities[0] /= CHANGE_SLOWNESS;
		sim->total_capacity += sim->capacities[0];
		oracle_mend(&sim->oracle, 0);
	} else if (sim->world.incident == INCIDENT_JOIN) {
		absent(sim, false);
	} else if (sim->world.incident == INCIDENT_DRAIN) {
		absent(sim, true);
	}
}

static void plan_steps(struct simulation *sim)
{
	uint32_t server = 0;

	for (uint64_t time = sim->counted_from; time + STEP_PERIOD_NS <= sim->end;
	     time += STEP_PERIOD_NS) {
		/* No two at the same point of whatever goes on once a second. */
		uint64_t begin = time + random_next(&sim->random) % STEP_HOLD_NS;

		at(sim, begin, STEP, server, 1);
		at(sim, begin + STEP_HOLD_NS, STEP, server, 0);
		server = (server + 1) % sim->world.servers;
	}
}

void incident_plan(struct simulation *sim)
{
	if (sim->world.antagonist)
		at(sim, START_NS, ANTAGONIST, 0, 0);
	if (sim->world.incident == INCIDENT_STEP)
		plan_steps(sim);
	else if (sim->world.incident != INCIDENT_NONE)
		at(sim, sim->counted_from, INCIDENT, 0, 0);
	if (sim->world.incident == INCIDENT_JOIN)
		absent(sim, true);
}

void incident_note(struct simulation *sim, uint32_t server)
{
	uint64_t ms = (sim->now - sim->step_ns) / MS;

	if (counts(sim) && !server)
		sim->tally.focus_choices++;
	if (!sim->step_ns || ms >= STEP_MS)
		return;
	sim->tally.step_all[ms]++;
	sim->tally.step_own[ms] += server == sim->step_server;
}
