/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/watch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "balancer.skel.h"
#include "balancer/flows.h"
#include "balancer/refusals.h"
#include "balancer/status_private.h"
#include "choose.h"
#include "clock.h"
#include "load_report.h"

/*
 * So many connections without a report are no accident; a single one may well end without a packet
 * that could bear one.
 */
#define UNANSWERED_MIN 8
/* A weight has moved when it is a fifth higher or lower than it was when last told... */
#define WEIGHT_MOVED 1.2
/* ...and a service's are told no more often than this. */
#define WEIGHTS_QUIET_NS 10000000000ULL

const struct bounds report_age_bounds = {
	{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5},
	12,
};
const struct bounds reported_latency_bounds = {
	{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10},
	16,
};

enum reporting {
	NOT_YET,
	REPORTS,
	SILENT,
};

/* A backend, as last seen. */
struct watched {
	enum reporting reporting;
	uint32_t reports;
	uint64_t connections; /* when its load was last known */
	uint64_t unanswered_ns; /* since when it has had more of them; 0: it has not */
	uint32_t weight; /* as last told */
	uint32_t configured; /* when that was */
	bool draining;
	bool drained; /* and told */
	uint64_t walks; /* when it began to drain */
};

struct watched_service {
	struct histogram report_ages, latencies;
	uint64_t weights_told_ns;
};

struct watch {
	const struct status *status;
	struct events *events;
	struct watched *members; /* in the order of the samples */
	struct watched_service *services;
	struct refusals refusals;
};

/* What is seen of a member that nobody has looked at before. */
static struct watched first_look(const struct status *status, const struct member *member, size_t k)
{
	return (struct watched){
		.weight = member->weight,
		.configured = member->config->weight,
		.reports = status->dataplane->loads[member->server].reports,
		.connections = traffic_of(status, k).total.connections,
	};
}

/* Of all, or of those who are new. */
static void look_first(struct watch *watch, const struct moves *moves)
{
	const struct dataplane *dataplane = watch->status->dataplane;
	size_t k = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++, k++)
			if (!moves || moves->members[k] == NOWHERE)
				watch->members[k] =
					first_look(watch->status, &service->members[j], k);
	}
}

void watch_follow(struct watch *watch, const struct moves *moves)
{
	moves_carry(&watch->members, sizeof(*watch->members), moves->members, moves->member_count);
	moves_carry(&watch->services, sizeof(*watch->services), moves->services,
		    moves->service_count);
	look_first(watch, moves);
}

struct watch *watch_open(const struct status *status, struct events *events)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	const struct dataplane *dataplane = status->dataplane;

	if (!watch)
		return NULL;
	watch->status = status;
	watch->events = events;
	watch->members = calloc(status->member_count + 1, sizeof(*watch->members));
	watch->services = calloc(dataplane->config->service_count + 1, sizeof(*watch->services));
	if (!watch->members || !watch->services) {
		watch_close(watch);
		return NULL;
	}
	look_first(watch, NULL);
	return watch;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	free(watch->members);
	free(watch->services);
	free(watch);
}

__attribute__((format(printf, 5, 6))) static void tell(struct watch *watch, enum event_kind kind,
						       const struct service_config *service,
						       const struct member *member,
						       const char *format, ...)
{
	char text[ADDRESS_TEXT_MAX], cause[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(cause, sizeof(cause), format, arguments);
	va_end(arguments);
	events_add(watch->events, kind, service->name,
		   address_format(member->config->address, text), "%s", cause);
}

/* Who gets no connections has no packets to report on: only unanswered ones are a reason to worry. */
static void follow_reporting(struct watch *watch, struct watched *watched,
			     const struct service_config *service, const struct member *member,
			     uint64_t connections, bool known)
{
	uint64_t now = now_ns();

	if (known) {
		watched->connections = connections;
		watched->unanswered_ns = 0;
		if (watched->reporting != REPORTS)
			tell(watch, EVENT_LOAD_KNOWN, service, member,
			     "reports its load%s; connections so far: %" PRIu64,
			     watched->reporting == SILENT ? " again" : "", connections);
		watched->reporting = REPORTS;
		return;
	}
	if (!watched->unanswered_ns && connections != watched->connections)
		watched->unanswered_ns = now;
	if (!watched->unanswered_ns || watched->reporting == SILENT ||
	    connections - watched->connections < UNANSWERED_MIN ||
	    now - watched->unanswered_ns < service->stale_after_ns)
		return;
	tell(watch, EVENT_LOAD_UNKNOWN, service, member,
	     "%s, although it is sent connections: %" PRIu64
	     " in the last %.1f s, and %u reports ever",
	     watched->reporting == REPORTS ? "does not report its load any more" :
					     "has never reported its load",
	     connections - watched->connections, (double)(now - watched->unanswered_ns) / 1e9,
	     watched->reports);
	watched->reporting = SILENT;
}

/* What was set by hand has been told, and is what moves are measured from. */
static void follow_configured(struct watched *watched, const struct member *member)
{
	if (watched->configured == member->config->weight)
		return;
	watched->configured = member->config->weight;
	watched->weight = member->weight;
}

static void begin_draining(struct watched *watched, const struct status *status,
			   const struct member *member)
{
	if (member->config->draining && !watched->draining)
		watched->walks = flow_walk_rounds(status->walk);
	watched->drained &= member->config->draining;
	watched->draining = member->config->draining;
}

/* Only a walk through the flow table that began after the draining has seen its last connections. */
static void follow_draining(struct watch *watch, size_t k, const struct service_config *service,
			    const struct member *member)
{
	const struct status *status = watch->status;
	struct watched *watched = &watch->members[k];

	begin_draining(watched, status, member);
	if (!member->config->draining || watched->drained ||
	    flow_walk_rounds(status->walk) < watched->walks + 2 ||
	    status_open_connections(status, member))
		return;
	tell(watch, EVENT_DRAINED, service, member,
	     "has no connections left, of %" PRIu64 " that it has had",
	     (uint64_t)traffic_of(status, k).total.connections);
	watched->drained = true;
}

static void observe(struct watched_service *own, struct watched *watched, const struct load *load,
		    bool busy)
{
	uint64_t now = now_ns();

	if (!load->received_ns)
		return;
	if (busy)
		histogram_observe(
			&own->report_ages, &report_age_bounds,
			now > load->received_ns ? (double)(now - load->received_ns) / 1e9 : 0);
	if (load->reports != watched->reports)
		histogram_observe(&own->latencies, &reported_latency_bounds,
				  (double)load_report_float_decode(load->latency) / 1e6);
	watched->reports = load->reports;
}

static double moved(const struct watched *watched, const struct member *member)
{
	double ratio = (double)member->weight / watched->weight;

	return ratio < 1 ? 1 / ratio : ratio;
}

static void follow_weights(struct watch *watch, size_t i, size_t first)
{
	const struct balanced_service *service = &watch->status->dataplane->services[i];
	struct watched *watched = &watch->members[first];
	size_t count = 0, most = 0;
	char text[ADDRESS_TEXT_MAX];

	if (now_ns() - watch->services[i].weights_told_ns < WEIGHTS_QUIET_NS)
		return;
	for (size_t j = 0; j < service->config->backend_count; j++) {
		count += moved(&watched[j], &service->members[j]) >= WEIGHT_MOVED;
		if (moved(&watched[j], &service->members[j]) >
		    moved(&watched[most], &service->members[most]))
			most = j;
	}
	if (!count)
		return;
	events_add(watch->events, EVENT_WEIGHTS_MOVED, service->config->name,
		   address_format(service->members[most].config->address, text),
		   "has weight %.2f now, not %.2f, by what it turns out to be capable of; weights "
		   "that moved: %zu of %zu",
		   (double)service->members[most].weight / WEIGHT_ONE,
		   (double)watched[most].weight / WEIGHT_ONE, count,
		   service->config->backend_count);
	for (size_t j = 0; j < service->config->backend_count; j++)
		watched[j].weight = service->members[j].weight;
	watch->services[i].weights_told_ns = now_ns();
}

static void look_at_service(struct watch *watch, size_t i, size_t first)
{
	const struct dataplane *dataplane = watch->status->dataplane;
	const struct balanced_service *service = &dataplane->services[i];
	const struct service_config *config = service->config;

	for (size_t j = 0; j < config->backend_count; j++) {
		follow_configured(&watch->members[first + j], &service->members[j]);
		follow_draining(watch, first + j, config, &service->members[j]);
	}
	if (config->feedback == FEEDBACK_NONE)
		return;
	for (size_t j = 0; j < config->backend_count; j++) {
		const struct member *member = &service->members[j];
		struct traffic traffic = traffic_of(watch->status, first + j);
		struct load load = dataplane->loads[member->server];
		bool known = load_known(&load, now_ns(), config->stale_after_ns);

		observe(&watch->services[i], &watch->members[first + j], &load, traffic.recent);
		if (reports_expected(config))
			follow_reporting(watch, &watch->members[first + j], config, member,
					 traffic.total.connections, known);
	}
	follow_weights(watch, i, first);
}

void watch_look(struct watch *watch)
{
	const struct dataplane *dataplane = watch->status->dataplane;
	size_t first = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		look_at_service(watch, i, first);
		first += dataplane->services[i].config->backend_count;
	}
	refusals_look(&watch->refusals, bpf_map__fd(dataplane->bpf->maps.verdicts), watch->events);
}

void watch_changed(struct watch *watch, size_t i, size_t j)
{
	const struct dataplane *dataplane = watch->status->dataplane;

	begin_draining(&watch->members[first_member(dataplane, i) + j], watch->status,
		       &dataplane->services[i].members[j]);
}

bool watch_drained(const struct watch *watch, size_t k)
{
	return watch->members[k].drained;
}

const struct histogram *watch_report_ages(const struct watch *watch, size_t i)
{
	return &watch->services[i].report_ages;
}

const struct histogram *watch_reported_latencies(const struct watch *watch, size_t i)
{
	return &watch->services[i].latencies;
}
