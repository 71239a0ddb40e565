/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/routes.h"

#include "http/files.h"

static void answer_status(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	http_send_json(request, HTTP_OK, status_json(sources->status));
}

static void answer_services(struct http_request *request, void *context)
{
	const struct sources *sources = context;

	http_send_json(request, HTTP_OK, status_services_json(sources->status));
}

static void answer_service(struct http_request *request, void *context)
{
	const struct sources *sources = context;
	json_t *service = status_service_json(sources->status, request->name);

	if (service)
		http_send_json(request, HTTP_OK, service);
	else
		http_send_error(
			request, HTTP_NOTFOUND,
			"there is no service \"%s\"; /api/v1/services lists those there are",
			request->name);
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

	streams_answer(sources->streams, request, NULL);
}

const struct http_route balancer_routes[] = {
	{EVHTTP_REQ_GET, false, "/api/v1/status", answer_status},
	{EVHTTP_REQ_GET, false, "/api/v1/services", answer_services},
	{EVHTTP_REQ_GET, false, "/api/v1/services/*", answer_service},
	{EVHTTP_REQ_GET, false, "/api/v1/backends", answer_backends},
	{EVHTTP_REQ_GET, false, "/api/v1/loads", answer_loads},
	{EVHTTP_REQ_GET, false, "/api/v1/health", answer_health},
	{EVHTTP_REQ_GET, false, "/api/v1/stream", answer_stream},
	{EVHTTP_REQ_GET, false, "/", http_answer_file},
	{EVHTTP_REQ_GET, false, "/*", http_answer_file},
	{0},
};
