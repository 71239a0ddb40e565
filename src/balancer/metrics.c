/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/metrics.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <math.h>
#include <stdlib.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/flows.h"
#include "balancer/status_private.h"
#include "balancer/watch.h"
#include "choose.h"
#include "clock.h"
#include "http/metrics.h"
#include "load_report.h"

/* A backend of a service, and everything that there is to be measured on it. */
struct measured {
	const struct service_config *service;
	const struct member *member;
	struct traffic traffic;
	struct load load;
	struct health evidence;
	uint64_t by_old_key;
	struct poll_counts polls;
};

/* Metrics of a backend, or of a server: a name, its type, its help, and an expression on `m`. */
#define BACKEND_METRICS(X)                                                                         \
	X(up, "backend_up", "gauge",                                                               \
	  "1 if the backend's next hop is known, by ARP or neighbour discovery, and its check "    \
	  "does not fail.",                                                                        \
	  m->member->neighbour.resolved && m->member->health.state != HEALTH_DOWN)                 \
	X(suspect, "backend_suspect", "gauge",                                                     \
	  "1 if the backend leaves connections unanswered: it is spared new ones.",                \
	  m->member->health.state == HEALTH_SUSPECT)                                               \
	X(unanswered, "backend_unanswered_connections", "gauge",                                   \
	  "Connections sent to it after the last that went on; one whose SYN was repeated counts " \
	  "several times.",                                                                        \
	  m->evidence.unanswered)                                                                  \
	X(moved, "backend_moved_connections_total", "counter",                                     \
	  "Connections whose repeated SYN was sent to another backend instead.",                   \
	  m->evidence.moved)                                                                       \
	X(handshake, "backend_handshake_seconds", "gauge",                                         \
	  "What a handshake with it takes, clients' distance included; 0 is not known.",           \
	  m->evidence.handshake_us / 1e6)                                                          \
	X(known, "backend_load_known", "gauge",                                                    \
	  "1 if the backend's latest report is younger than stale_after.",                         \
	  load_known(&m->load, now_ns(), m->service->stale_after_ns) != 0)                         \
	X(draining, "backend_draining", "gauge",                                                   \
	  "1 if the backend drains: it gets no new connections.", m->member->config->draining)     \
	X(weight, "backend_weight", "gauge", "Weight as configured, by the file or by hand.",      \
	  m->member->config->weight)                                                               \
	X(in_force, "backend_weight_in_force", "gauge",                                            \
	  "Weight as `weights: auto` and a slow start have it.",                                   \
	  (double)member_weight(m->member) / WEIGHT_ONE)                                           \
	X(connections, "backend_connections_total", "counter", "New connections sent to it.",      \
	  m->traffic.total.connections)                                                            \
	X(packets, "backend_packets_total", "counter", "Packets sent to it.",                      \
	  m->traffic.total.packets)                                                                \
	X(bytes, "backend_bytes_total", "counter",                                                 \
	  "Bytes of those packets, from the IP header on.", m->traffic.total.bytes)

#define POLL_METRICS(X)                                                                            \
	X(polls, "backend_polls_total", "counter", "Requests to its agent.", m->polls.polls)       \
	X(answers, "backend_poll_answers_total", "counter", "Answers that were believed.",         \
	  m->polls.answers)                                                                        \
	X(late, "backend_poll_answers_late_total", "counter",                                      \
	  "Answers that were believed and came late.", m->polls.late)                              \
	X(refused, "backend_poll_answers_refused_total", "counter",                                \
	  "Answers that were not believed.", m->polls.refused)

#define SERVER_METRICS(X)                                                                          \
	X(in_flight, "server_in_flight_requests", "gauge",                                         \
	  "Requests being worked on, as the server last reported.", m->load.in_flight)             \
	X(pending, "server_pending_connections", "gauge",                                          \
	  "Connections sent to the server that its latest report has not counted yet.",            \
	  load_pending(&m->load))                                                                  \
	X(utilisation, "server_utilisation_ratio", "gauge",                                        \
	  "Part of the CPUs, or what the application says, as last reported; 1 is all.",           \
	  m->load.utilisation / 65535.0)                                                           \
	X(latency, "server_latency_seconds", "gauge",                                              \
	  "From a request's last byte to its answer's first, as last reported.",                   \
	  (double)load_report_float_decode(m->load.latency) / 1e6)                                 \
	X(queue, "server_accept_queue_ratio", "gauge",                                             \
	  "Part of the accept queue in use, as reported; 1 is full, or mostly resets.",            \
	  m->load.accept_queue / 65535.0)                                                          \
	X(age, "server_report_age_seconds", "gauge", "Age of the latest report.",                  \
	  (double)(now_ns() - m->load.received_ns) / 1e9)

struct metric {
	const char *name, *type, *help;
	double (*value)(const struct measured *m);
};

#define METRIC_VALUE(symbol, name, type, help, expression)                                         \
	static double value_##symbol(const struct measured *m)                                     \
	{                                                                                          \
		return (double)(expression);                                                       \
	}
BACKEND_METRICS(METRIC_VALUE)
POLL_METRICS(METRIC_VALUE)
SERVER_METRICS(METRIC_VALUE)
#undef METRIC_VALUE

static double value_reports(const struct measured *m)
{
	return m->load.reports;
}

#define METRIC_ROW(symbol, name, type, help, expression)                                           \
	{"plimsoll_" name, type, help, value_##symbol},
static const struct metric backend_metrics[] = {BACKEND_METRICS(METRIC_ROW){0}};
static const struct metric poll_metrics[] = {POLL_METRICS(METRIC_ROW){0}};
static const struct metric server_metrics[] = {SERVER_METRICS(METRIC_ROW){0}};
#undef METRIC_ROW

static double value_by_old_key(const struct measured *m)
{
	return (double)m->by_old_key;
}

static const struct metric old_key_metric = {
	"plimsoll_server_reports_by_old_key_total", "counter",
	"Reports in packets that were proved by old_report_key.", value_by_old_key};

static const struct metric reports_metric = {
	"plimsoll_server_reports_total", "counter",
	"Reports of the server that were believed, whichever way they came.", value_reports};

/* Which of the members a metric is told of, and by which labels. */
enum scope {
	BACKENDS,
	POLLED_BACKENDS,
	SERVERS, /* once each, and only those that have reported */
	ALL_SERVERS,
};

static bool in_scope(enum scope scope, const struct measured *m, bool *told)
{
	switch (scope) {
	case BACKENDS:
		return true;
	case POLLED_BACKENDS:
		return m->service->feedback == FEEDBACK_POLL;
	default:
		if (told[m->member->server] || (scope == SERVERS && !m->load.received_ns))
			return false;
		told[m->member->server] = true;
		return true;
	}
}

static void write_metric(FILE *out, const struct sources *sources, const struct metric *metric,
			 enum scope scope)
{
	const struct status *status = sources->status;
	const struct dataplane *dataplane = status->dataplane;
	bool *told = calloc(SERVERS_MAX, sizeof(*told));
	char address[ADDRESS_TEXT_MAX];
	size_t k = 0;

	metric_family(out, metric->name, metric->type, metric->help);
	for (size_t i = 0; told && i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++, k++) {
			struct measured m = {
				.service = service->config,
				.member = &service->members[j],
				.traffic = traffic_of(status, k),
				.load = dataplane->loads[service->members[j].server],
				.evidence = dataplane->healths[service->members[j].index],
				.by_old_key = dataplane_old_key_reports(dataplane,
									service->members[j].server),
			};

			if (!in_scope(scope, &m, told))
				continue;
			if (scope == POLLED_BACKENDS)
				m.polls = poll_counts_of(status->poller, m.service,
							 m.member->config->address);
			address_format(m.member->config->address, address);
			if (scope == BACKENDS || scope == POLLED_BACKENDS)
				metric_sample(out, metric->name, metric->value(&m), "service",
					      m.service->name, "backend", address, NULL);
			else
				metric_sample(out, metric->name, metric->value(&m), "server",
					      address, NULL);
		}
	}
	free(told);
}

static bool anybody_polled(const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].feedback == FEEDBACK_POLL)
			return true;
	return false;
}

static void write_backends(FILE *out, const struct sources *sources)
{
	const struct metric *metric;

	for (metric = backend_metrics; metric->name; metric++)
		write_metric(out, sources, metric, BACKENDS);
	for (metric = server_metrics; metric->name; metric++)
		write_metric(out, sources, metric, SERVERS);
	write_metric(out, sources, &reports_metric, ALL_SERVERS);
	write_metric(out, sources, &old_key_metric, ALL_SERVERS);
	if (!anybody_polled(sources->status->dataplane->config))
		return;
	for (metric = poll_metrics; metric->name; metric++)
		write_metric(out, sources, metric, POLLED_BACKENDS);
}

static size_t count_open(const struct balanced_service *service)
{
	size_t count = 0;

	for (size_t i = 0; i < service->config->backend_count; i++)
		count += member_is_open(&service->members[i]);
	return count;
}

static void write_services(FILE *out, const struct sources *sources)
{
	const struct dataplane *dataplane = sources->status->dataplane;
	char address[ENDPOINT_TEXT_MAX];

	metric_family(out, "plimsoll_service_info", "gauge",
		      "Always 1; how the service is configured is in the labels.");
	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		const struct service_config *config = dataplane->services[i].config;

		metric_sample(out, "plimsoll_service_info", 1, "service", config->name, "address",
			      endpoint_format(&config->address, address), "protocol",
			      protocol_name(config->protocol), "policy",
			      policy_name(config->policy), "signal", signal_name(config->signal),
			      "feedback", feedback_name(config->feedback), NULL);
	}
	metric_family(out, "plimsoll_service_open_backends", "gauge",
		      "Backends that take new connections: up, not suspect, not draining.");
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		metric_sample(out, "plimsoll_service_open_backends",
			      (double)count_open(&dataplane->services[i]), "service",
			      dataplane->services[i].config->name, NULL);
	metric_family(out, "plimsoll_report_age_seconds", "histogram",
		      "Age of the latest report, of each backend that gets connections, looked at "
		      "ten times a second.");
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		metric_histogram(out, "plimsoll_report_age_seconds", &report_age_bounds,
				 watch_report_ages(sources->watch, i), "service",
				 dataplane->services[i].config->name);
	metric_family(out, "plimsoll_reported_latency_seconds", "histogram",
		      "Latency in the latest report of each backend, if it is a new one, looked at "
		      "ten times a second.");
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		metric_histogram(out, "plimsoll_reported_latency_seconds", &reported_latency_bounds,
				 watch_reported_latencies(sources->watch, i), "service",
				 dataplane->services[i].config->name);
}

static void write_verdicts(FILE *out, const struct dataplane *dataplane)
{
	static const struct {
		const char *name, *action;
	} verdicts[] = {
#define VERDICT_PASS "pass"
#define VERDICT_SEND "send"
#define VERDICT_DROP "drop"
#define VERDICT_ROW(symbol, name, action, sentence) {name, VERDICT_##action},
		VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
	};
	int map = bpf_map__fd(dataplane->bpf->maps.verdicts);
	uint64_t count;

	metric_family(out, "plimsoll_packets_total", "counter",
		      "Packets by what became of them, and why.");
	/* VERDICT_NONE, "not decided", never happens to a packet. */
	for (uint32_t i = 1; i < VERDICT_COUNT; i++)
		if (!percpu_sum(map, i, &count, 1))
			metric_sample(out, "plimsoll_packets_total", (double)count, "action",
				      verdicts[i].action, "reason", verdicts[i].name, NULL);
}

static void write_daemon(FILE *out, const struct sources *sources)
{
	const struct status *status = sources->status;
	const struct dataplane *dataplane = status->dataplane;

	metric_build(out, "balancer", dataplane->runtime->name, status->started_seconds);
	metric_family(out, "plimsoll_interface_info", "gauge",
		      "Always 1; the labels name an interface, its driver and its XDP mode.");
	for (size_t i = 0; i < dataplane->interface_count; i++)
		metric_sample(out, "plimsoll_interface_info", 1, "interface",
			      dataplane->interfaces[i].name, "driver",
			      dataplane->interfaces[i].driver, "xdp_mode",
			      dataplane->interfaces[i].native ? "native" : "generic", NULL);
	flows_metrics(out, status->walk);
	metric_family(out, "plimsoll_poll_strangers_total", "counter",
		      "Datagrams to the poller from none of the agents.");
	metric_sample(out, "plimsoll_poll_strangers_total", (double)poll_strangers(status->poller),
		      NULL);
	metric_family(out, "plimsoll_checks", "gauge",
		      "Health checks, each of one server's port for all services that share it.");
	metric_sample(out, "plimsoll_checks", (double)checks_count(sources->health->checks), NULL);
	metric_family(out, "plimsoll_check_runs_total", "counter", "How often any was run.");
	metric_sample(out, "plimsoll_check_runs_total",
		      (double)checks_runs(sources->health->checks), NULL);
	metric_family(out, "plimsoll_streams", "gauge", "Live streams that are open.");
	metric_sample(out, "plimsoll_streams", (double)streams_count(sources->streams), NULL);
	metric_family(out, "plimsoll_events_total", "counter", "Events by kind.");
	for (int i = 0; i < EVENT_KINDS; i++)
		metric_sample(out, "plimsoll_events_total",
			      (double)events_count(sources->events, i), "kind", event_name(i),
			      NULL);
}

void balancer_metrics(FILE *out, void *context)
{
	const struct sources *sources = context;

	write_daemon(out, sources);
	write_verdicts(out, sources->status->dataplane);
	write_services(out, sources);
	write_backends(out, sources);
}
