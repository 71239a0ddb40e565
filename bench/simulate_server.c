/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_server.h"

/* As in bpf/stamp.h, meter.h and utilisation.h, and the default of max_interval. */
#define MAX_INTERVAL_NS (100 * MS)
#define TOKENS_MAX 4.0
#define PAYLOAD_PATIENCE 2
#define LATENCY_WEIGHT 0.125
#define UTILISATION_WINDOW_NS (50 * MS)
#define BACKLOG 1024

/* Is a report to that balancer due, and within the budget? */
static bool is_due(const struct server_state *server, const struct peer_state *peer,
		   const struct contender *contender, uint64_t now)
{
	uint64_t since = now - peer->reported_ns;

	if (since < contender->interval_ns)
		return false;
	if (since < MAX_INTERVAL_NS && peer->reported_seen == peer->connections_seen &&
	    peer->reported_in_flight == server->in_flight)
		return false;
	return since >= contender->free_ns || server->tokens >= 1 || contender->max_share >= 1;
}

uint32_t server_report_due(struct server_state *server, const struct world *world,
			   const struct contender *contender, enum response response, uint64_t now)
{
	uint32_t found = NOBODY;

	server->tokens += contender->max_share;
	if (server->tokens > TOKENS_MAX)
		server->tokens = TOKENS_MAX;
	for (uint32_t i = 0; i < world->balancers; i++) {
		uint32_t peer = i;

		if (!contender->first_peer)
			peer = (server->next_peer + i) % world->balancers;
		if (!is_due(server, &server->peers[peer], contender, now))
			continue;
		found = peer;
		break;
	}
	/* A packet with data only if none without came for a while. */
	if (found != NOBODY && response == RESPONSE_DATA &&
	    now - server->peers[found].reported_ns < PAYLOAD_PATIENCE * contender->interval_ns)
		return NOBODY;
	if (found != NOBODY)
		server->next_peer = found + 1;
	return found;
}

static void update_utilisation(struct server_state *server, uint64_t now)
{
	uint64_t elapsed = now - server->utilisation_ns;

	if (elapsed < UTILISATION_WINDOW_NS)
		return;
	server_book_busy(server, now);
	server->utilisation =
		(uint32_t)(65535.0 * (double)(server->busy_sum_ns - server->utilisation_sum_ns) /
			   (double)elapsed / server->capacity);
	server->utilisation_ns = now;
	server->utilisation_sum_ns = server->busy_sum_ns;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

void server_report(struct server_state *server, uint32_t index, uint64_t now,
		   struct load_report *report)
{
	struct peer_state *peer = &server->peers[index];
	uint32_t queued = server->in_flight - server->busy;

	update_utilisation(server, now);
	if (server->tokens >= 1)
		server->tokens--;
	peer->reported_ns = now;
	peer->reported_seen = peer->connections_seen;
	peer->reported_in_flight = server->in_flight;
	*report = (struct load_report){
		.sequence = (uint32_t)(now / US),
		.connections_seen = peer->connections_seen,
		.in_flight = (uint16_t)at_most(server->in_flight, 65535),
		.utilisation = (uint16_t)at_most(server->utilisation, 65535),
		.accept_queue = (uint16_t)(at_most(queued, BACKLOG) * 65535 / BACKLOG),
		.latency = load_report_float_encode((uint64_t)server->latency_us),
	};
}

void server_book_busy(struct server_state *server, uint64_t now)
{
	server->busy_sum_ns += server->busy * (now - server->busy_since_ns);
	server->busy_since_ns = now;
}

void server_book_latency(struct server_state *server, uint64_t latency_ns)
{
	double sample = (double)latency_ns / US;

	server->latency_us +=
		server->latency_us > 0 ? LATENCY_WEIGHT * (sample - server->latency_us) : sample;
}
