/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/balancer_private.h"
#include "balancer/by_hand.h"
#include "balancer/changes.h"
#include "balancer/members.h"
#include "balancer/metrics.h"
#include "balancer/refuse.h"
#include "http/files.h"
#include "http/metrics.h"
#include "identity.h"

/* ?service=: only that one is wanted. False if there is none, and told. */
static bool asked_for_service(struct http_request *request, const struct sources *sources,
			      const char **service)
{
	size_t i;

	*service = http_query(request, "service");
	if (!*service || status_find_service(sources->status, *service, &i))
		return true;
	refuse_service(request, sources->status, *service);
	return false;
}

static void answer_status(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	const char *service;

	if (asked_for_service(request, sources, &service))
		http_send_json(request, HTTP_OK, status_json(sources->status, service));
}

static void answer_summary(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	http_send_json(request, HTTP_OK, status_summary_json(sources->status));
}

static void answer_services(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	http_send_json(request, HTTP_OK, status_services_json(sources->status));
}

static void answer_service(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	json_t *service = status_service_json(sources->status, request->names[0]);

	if (service)
		http_send_json(request, HTTP_OK, service);
	else
		refuse_service(request, sources->status, request->names[0]);
}

/* The backend that the path names; false if there is none, and told. */
static bool find_backend(struct http_request *request, const struct sources *sources, size_t *i,
			 size_t *j)
{
	if (status_find(sources->status, request->names[0], request->names[1], i, j))
		return true;
	refuse_backend(request, sources->status, request->names[0], request->names[1]);
	return false;
}

static void answer_backend(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	size_t i, j;

	if (find_backend(request, sources, &i, &j))
		http_send_json(request, HTTP_OK, status_backend_json(sources->status, i, j));
}

/* The other one has read what it begins with, and would not know of a change. */
static bool is_taken_over(struct http_request *request, const struct sources *sources)
{
	if (!runtime_is_joined(&sources->balancer->daemon.runtime))
		return false;
	http_send_error(request, HTTP_CONFLICT,
			"another daemon is about to take over; nothing has changed, ask again in a "
			"moment");
	return true;
}

/* What is changed is kept for the next daemon; what the caller should know if it cannot be. */
static const char *keep(const struct sources *sources)
{
	return by_hand_keep(sources->balancer) ?
		       "it is in force, but could not be written down: the next daemon will not "
		       "know of it" :
		       NULL;
}

static void send_backend(struct http_request *request, const struct sources *sources, size_t i,
			 size_t j, const char *warning)
{
	http_send_json(request, HTTP_OK,
		       json_pack("{s:o,s:s?}", "backend",
				 status_backend_json(sources->status, i, j), "warning", warning));
}

static void answer_change(struct http_request *request, void *context)
{
	struct sources *sources = context;
	char wrong[CHANGE_WRONG_MAX];
	const char *warning = NULL;
	struct change change;
	size_t i, j, length;
	const char *body = http_body(request, &length);

	if (!find_backend(request, sources, &i, &j) || is_taken_over(request, sources))
		return;
	if (sources->dataplane->services[i].members[j].config->leaving)
		http_send_error(request, HTTP_CONFLICT,
				"%s is removed already, and leaves; adding it takes that back",
				request->names[1]);
	else if (change_parse(body, length, &change, wrong))
		http_send_error(request, HTTP_BADREQUEST, "%s", wrong);
	else if (change_apply(sources, i, j, &change, &warning))
		http_send_error(request, HTTP_INTERNAL,
				"the ring could not be built anew; nothing has changed");
	else
		send_backend(request, sources, i, j, keep(sources) ?: warning);
}

static void answer_reload(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	if (!is_taken_over(request, sources))
		balancer_reload(sources->balancer, request);
}

/* The service that the path names; false if there is none, and told. */
static bool find_service(struct http_request *request, const struct sources *sources, size_t *i)
{
	if (status_find_service(sources->status, request->names[0], i))
		return true;
	refuse_service(request, sources->status, request->names[0]);
	return false;
}

static void answer_add(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	char wrong[AMEND_WRONG_MAX];
	size_t i, j, length;
	const char *body = http_body(request, &length);
	int err;

	if (!find_service(request, sources, &i) || is_taken_over(request, sources))
		return;
	err = member_add(sources->balancer, i, body, length, &j, wrong);
	if (err)
		http_send_error(request, err == -EEXIST ? HTTP_CONFLICT : HTTP_BADREQUEST,
				"%s; nothing has changed", wrong);
	else
		send_backend(request, sources, i, j, keep(sources));
}

/* ?now=yes: without waiting for its connections. False if it is anything else, and told. */
static bool asked_now(struct http_request *request, bool *now)
{
	const char *word = http_query(request, "now");

	*now = word && !strcmp(word, "yes");
	if (!word || *now)
		return true;
	http_send_error(request, HTTP_BADREQUEST, "now: \"%s\" is not \"yes\"", word);
	return false;
}

static void answer_remove(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	char wrong[AMEND_WRONG_MAX];
	uint32_t open;
	size_t i, j;
	bool now, left;

	if (!find_backend(request, sources, &i, &j) || !asked_now(request, &now) ||
	    is_taken_over(request, sources))
		return;
	if (member_remove(sources->balancer, i, j, now, &open, wrong)) {
		http_send_error(request, HTTP_CONFLICT, "%s; nothing has changed", wrong);
		return;
	}
	(void)keep(sources);
	left = status_find(sources->status, request->names[0], request->names[1], &i, &j);
	http_send_json(request, HTTP_OK,
		       json_pack("{s:o,s:I}", "backend",
				 left ? status_backend_json(sources->status, i, j) : json_null(),
				 "connections", (json_int_t)open));
}

static void answer_config(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	daemon_answer_config(&sources->balancer->daemon, request);
}

static void answer_instance(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	identity_answer(&sources->balancer->daemon, request);
}

static void answer_backends(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	http_send_json(request, HTTP_OK, status_backends_json(sources->status));
}

static void answer_loads(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	http_send_json(request, HTTP_OK, status_loads_json(sources->status));
}

static void answer_health(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	bool failing;
	json_t *health = status_health_json(sources->status, &failing);

	http_send_json(request, failing ? HTTP_SERVUNAVAIL : HTTP_OK, health);
}

static void answer_stream(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	const char *seen = evhttp_find_header(evhttp_request_get_input_headers(request->libevent),
					      "Last-Event-ID");
	struct evbuffer *missed;
	const char *service;

	if (!asked_for_service(request, sources, &service))
		return;
	missed = seen ? evbuffer_new() : NULL;
	if (missed)
		events_replay(sources->events, strtoull(seen, NULL, 10), missed);
	streams_answer(sources->streams, request, service, missed);
	if (missed)
		evbuffer_free(missed);
}

static void answer_events(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	uint64_t after = 0;

	if (http_query_number(request, "after", 0, UINT64_MAX, &after))
		http_send_json(request, HTTP_OK, events_json(sources->events, after));
}

static void answer_metrics(struct http_request *request, void *context)
{
	metrics_answer(request, balancer_metrics, context);
}

const struct http_route balancer_routes[] = {
	{EVHTTP_REQ_GET, false, "/api/v1/status", answer_status},
	{EVHTTP_REQ_GET, false, "/api/v1/instance", answer_instance},
	{EVHTTP_REQ_GET, false, "/api/v1/summary", answer_summary},
	{EVHTTP_REQ_GET, false, "/api/v1/services", answer_services},
	{EVHTTP_REQ_GET, false, "/api/v1/services/*", answer_service},
	{EVHTTP_REQ_GET, false, "/api/v1/services/*/backends/*", answer_backend},
	{EVHTTP_REQ_POST, true, "/api/v1/services/*/backends/*", answer_change},
	{EVHTTP_REQ_POST, true, "/api/v1/services/*/backends", answer_add},
	{EVHTTP_REQ_DELETE, true, "/api/v1/services/*/backends/*", answer_remove},
	{EVHTTP_REQ_GET, true, "/api/v1/config", answer_config},
	{EVHTTP_REQ_GET, false, "/api/v1/backends", answer_backends},
	{EVHTTP_REQ_POST, true, "/api/v1/reload", answer_reload},
	{EVHTTP_REQ_GET, false, "/api/v1/loads", answer_loads},
	{EVHTTP_REQ_GET, false, "/api/v1/health", answer_health},
	{EVHTTP_REQ_GET, false, "/api/v1/events", answer_events},
	{EVHTTP_REQ_GET, false, "/api/v1/stream", answer_stream},
	{EVHTTP_REQ_GET, false, "/metrics", answer_metrics},
	{EVHTTP_REQ_GET, false, "/", http_answer_file},
	{EVHTTP_REQ_GET, false, "/*", http_answer_file},
	{0},
};

int sources_open(struct sources *sources, struct event_base *base, struct dataplane *dataplane)
{
	sources->dataplane = dataplane;
	sources->status = status_open(dataplane);
	if (sources->status)
		sources->streams = streams_open(base, status_json, sources->status);
	if (sources->streams)
		sources->events = events_open(sources->streams);
	if (sources->events)
		sources->watch = watch_open(sources->status, sources->events);
	if (!sources->watch)
		return -ENOMEM;
	status_watch(sources->status, sources->watch);
	return 0;
}

void sources_close(struct sources *sources)
{
	watch_close(sources->watch);
	events_close(sources->events);
	streams_close(sources->streams);
	status_close(sources->status);
	memset(sources, 0, sizeof(*sources));
}

void sources_sample(struct sources *sources)
{
	status_sample(sources->status);
	watch_look(sources->watch);
}
