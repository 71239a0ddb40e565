/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/routes.h"

#include "http/metrics.h"
#include "identity.h"
#include "server/metrics.h"
#include "server/server_private.h"

static void answer_status(struct http_request *request, void *context)
{
	http_send_json(request, HTTP_OK, server_status_json(context));
}

static void answer_reload(struct http_request *request, void *context)
{
	const struct server_status *status = context;

	server_reload(status->server, request);
}

static void answer_config(struct http_request *request, void *context)
{
	const struct server_status *status = context;

	daemon_answer_config(&status->server->daemon, request);
}

static void answer_instance(struct http_request *request, void *context)
{
	const struct server_status *status = context;

	identity_answer(&status->server->daemon, request);
}

static void answer_metrics(struct http_request *request, void *context)
{
	metrics_answer(request, server_metrics, context);
}

const struct http_route server_routes[] = {
	{EVHTTP_REQ_GET, false, "/api/v1/status", answer_status},
	{EVHTTP_REQ_GET, false, "/api/v1/instance", answer_instance},
	{EVHTTP_REQ_POST, true, "/api/v1/reload", answer_reload},
	{EVHTTP_REQ_GET, true, "/api/v1/config", answer_config},
	{EVHTTP_REQ_GET, false, "/metrics", answer_metrics},
	{0},
};
