/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_server.h"

/* As in bpf/stamp.h and utilisation.h, and the default of max_interval. */
#define MAX_INTERVAL_NS (100 * MS)
#define FREE_REPORTS_SAVED 8
#define TOKENS_MAX 4.0
#define UTILISATION_WINDOW_NS (50 * MS)
#define BACKLOG 1024

/* What that balancer takes the requests here to be. */
static uint32_t in_flight_believed(const struct peer_state *peer)
{
	return peer->reported_in_flight + peer->connections_seen - peer->reported_seen;
}

static bool is_free(const struct peer_state *peer, uint64_t now)
{
	return (int64_t)(now - peer->free_ns) >= 0;
}

/* Is a report to that balancer due, and within the budget? */
static bool is_due(const struct server_state *server, const struct peer_state *peer,
		   const struct contender *contender, uint64_t now)
{
	uint64_t since = now - peer->reported_ns;

	if (since < contender->interval_ns)
		return false;
	if (since < MAX_INTERVAL_NS &&
	    in_flight_believed(peer) == in_flight_told(&server->metrics, now))
		return false;
	if (now - peer->heard_ns > contender->silence_ns)
		return false;
	return is_free(peer, now) || server->tokens >= 1 || contender->max_share >= 1;
}

/* What is allowed is the share of the packets or what is free, not their sum. */
static void pay(struct server_state *server, const struct contender *contender,
		struct peer_state *peer, uint64_t now)
{
	uint64_t saved = now - FREE_REPORTS_SAVED * contender->free_interval_ns;

	server->tokens = server->tokens < 1 ? 0 : server->tokens - 1;
	if ((int64_t)(peer->free_ns - saved) < 0)
		peer->free_ns = saved;
	if (is_free(peer, now))
		peer->free_ns += contender->free_interval_ns;
}

uint32_t server_report_due(struct server_state *server, const struct world *world,
			   const struct contender *contender, enum response response, uint64_t now)
{
	uint32_t first = contender->in_turn ? server->next_peer : 0, found = NOBODY;

	server->tokens += contender->max_share;
	if (server->tokens > TOKENS_MAX)
		server->tokens = TOKENS_MAX;
	for (uint32_t i = 0; i < world->balancers && found == NOBODY; i++) {
		uint32_t peer = (first + i) % world->balancers;

		if (is_due(server, &server->peers[peer], contender, now))
			found = peer;
	}
	if (found == NOBODY || response == RESPONSE_LATE)
		return NOBODY;
	/* What somebody waits for, only if nothing else came for a while. No other balancer gets it, either. */
	if ((response == RESPONSE_DATA || response == RESPONSE_SYN_ACK) &&
	    now - server->peers[found].reported_ns < contender->patience * contender->interval_ns)
		return NOBODY;
	server->next_peer = found + 1;
	return found;
}

static void update_utilisation(struct server_state *server, uint64_t now)
{
	struct metrics *metrics = &server->metrics;
	uint64_t elapsed = now - metrics->utilisation_ns;

	if (elapsed < UTILISATION_WINDOW_NS)
		return;
	server_book_busy(server, now);
	metrics->utilisation =
		(uint32_t)(65535.0 * (double)(server->busy_sum_ns - metrics->busy_ns) /
			   (double)elapsed / server->workers);
	metrics->utilisation_ns = now;
	metrics->busy_ns = server->busy_sum_ns;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

void server_report(struct server_state *server, const struct contender *contender, uint32_t index,
		   uint64_t now, struct load_report *report)
{
	static const struct application silent;
	struct peer_state *peer = &server->peers[index];
	uint32_t queued = (uint32_t)server->metrics.in_flight - server->busy;

	update_utilisation(server, now);
	server->metrics.accept_queue = at_most(queued, BACKLOG) * 65535 / BACKLOG;
	server_load_tell(&server->metrics, &silent, now, report);
	report->sequence = (uint32_t)(now / US);
	report->connections_seen = peer->connections_seen;
	pay(server, contender, peer, now);
	peer->reported_ns = now;
	peer->reported_seen = peer->connections_seen;
	peer->reported_in_flight = report->in_flight;
}

void server_book_busy(struct server_state *server, uint64_t now)
{
	server->busy_sum_ns += server->busy * (now - server->busy_since_ns);
	server->busy_since_ns = now;
}

void server_book_latency(struct server_state *server, uint32_t level, uint64_t latency_ns,
			 uint64_t now)
{
	__u64 *word = &server->metrics.latency[level];

	*word = latency_learn(*word, latency_ns >> LATENCY_TICK_SHIFT, now);
}
