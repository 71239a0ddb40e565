/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/metrics.h"

#include <math.h>

#include "clock.h"
#include "http/metrics.h"
#include "server.skel.h"
#include "server/status.h"
#include "server_load.h"

static void write_one(FILE *out, const char *name, const char *type, const char *help, double value)
{
	metric_family(out, name, type, help);
	metric_sample(out, name, value, NULL);
}

static void write_load(FILE *out, const struct server_dataplane *dataplane)
{
	const struct metrics *metrics = dataplane->metrics;
	struct server_stats stats;

	server_dataplane_measure(dataplane);
	(void)server_dataplane_stats(dataplane, &stats);
	write_one(out, "plimsoll_agent_in_flight_requests", "gauge", "Requests being worked on.",
		  metrics->in_flight > 0 ? (double)metrics->in_flight : 0);
	write_one(out, "plimsoll_agent_utilisation_ratio", "gauge",
		  "Part of the CPUs that is used; 1 is all.", metrics->utilisation / 65535.0);
	write_one(out, "plimsoll_agent_application_utilisation_ratio", "gauge",
		  "What the application says of its own load, while that holds; 1 is full.",
		  now_ns() < dataplane->application->until_ns ?
			  dataplane->application->utilisation / 65535.0 :
			  NAN);
	write_one(out, "plimsoll_agent_latency_seconds", "gauge",
		  "From a request's last byte to its answer's first, near the present load.",
		  (double)latency_now_us(metrics, now_ns()) / 1e6);
	write_one(out, "plimsoll_agent_accept_queue_ratio", "gauge",
		  "How full the accept queue is; 1 is full.", metrics->accept_queue / 65535.0);
	write_one(out, "plimsoll_agent_requests_total", "counter", "Requests answered.",
		  (double)stats.requests);
	write_one(out, "plimsoll_agent_connections_total", "counter", "Connections opened.",
		  (double)stats.connections);
	write_one(out, "plimsoll_agent_resets_total", "counter",
		  "Connections that the server refused or reset.", (double)stats.resets);
	write_one(out, "plimsoll_agent_evicted_requests_total", "counter",
		  "Waiting requests that the meter had no room for.", (double)metrics->evicted);
	write_one(out, "plimsoll_agent_swept_requests_total", "counter",
		  "Waiting requests whose connection had gone without a packet.",
		  (double)metrics->swept);
}

static void write_responses(FILE *out, const struct server_dataplane *dataplane)
{
	static const char *const names[] = {
#define SKIP_NAME(symbol, name, sentence) name,
		SKIPS(SKIP_NAME)
#undef SKIP_NAME
	};
	struct server_stats stats;

	(void)server_dataplane_stats(dataplane, &stats);
	write_one(out, "plimsoll_agent_response_packets_total", "counter",
		  "Packets of answers, as on the wire.", (double)stats.response_packets);
	write_one(out, "plimsoll_agent_response_bytes_total", "counter", "Bytes of those packets.",
		  (double)stats.response_bytes);
	write_one(out, "plimsoll_agent_tunnel_packets_total", "counter",
		  "Packets whose outer header has been taken off.", (double)stats.tunnel_packets);
	write_one(out, "plimsoll_agent_tunnel_refused_total", "counter",
		  "Packets in an outer header that came from elsewhere, or lead to no VIP.",
		  (double)stats.tunnel_refused);
	metric_family(out, "plimsoll_agent_carriers_total", "counter",
		      "Packets of answers by whether they bore a report, and if not, why.");
	for (uint32_t i = 0; i < SKIP_COUNT; i++)
		metric_sample(out, "plimsoll_agent_carriers_total", (double)stats.skips[i],
			      "reason", names[i], NULL);
}

static double peer_known(const struct peer *peer)
{
	return peer->mac_known;
}

static double peer_connections(const struct peer *peer)
{
	return peer->connections_seen;
}

static double peer_reports(const struct peer *peer)
{
	return (double)peer->reports;
}

static double peer_bytes(const struct peer *peer)
{
	return (double)peer->report_bytes;
}

static double peer_heard(const struct peer *peer)
{
	return peer->heard_ns ? (double)(now_ns() - peer->heard_ns) / 1e9 : NAN;
}

static void write_balancers(FILE *out, const struct server_dataplane *dataplane)
{
	static const struct {
		const char *name, *type, *help;
		double (*value)(const struct peer *peer);
	} rows[] = {
		{"plimsoll_agent_balancer_up", "gauge", "1 if the balancer's MAC address is known.",
		 peer_known},
		{"plimsoll_agent_balancer_connections_total", "counter",
		 "New connections that came by way of the balancer.", peer_connections},
		{"plimsoll_agent_balancer_reports_total", "counter", "Reports to the balancer.",
		 peer_reports},
		{"plimsoll_agent_balancer_report_bytes_total", "counter",
		 "Bytes of the packets that bore them.", peer_bytes},
		{"plimsoll_agent_balancer_heard_age_seconds", "gauge",
		 "How long ago the balancer's last packet came.", peer_heard},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		metric_family(out, rows[i].name, rows[i].type, rows[i].help);
		for (size_t j = 0; j < dataplane->config->balancer_count; j++) {
			char address[ADDRESS_TEXT_MAX];

			address_format(dataplane->config->balancers[j], address);
			metric_sample(out, rows[i].name,
				      rows[i].value(server_dataplane_peer(dataplane, j)),
				      "balancer", address, NULL);
		}
	}
}

void server_metrics(FILE *out, void *context)
{
	const struct server_status *status = context;

	metric_build(out, "server", status->dataplane->runtime->name, status->started_seconds);
	write_load(out, status->dataplane);
	write_responses(out, status->dataplane);
	write_balancers(out, status->dataplane);
}
