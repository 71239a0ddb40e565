/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/routes.h"

#include "http/metrics.h"
#include "server/metrics.h"
#include "server/status.h"

static void answer_status(struct http_request *request, void *context)
{
	http_send_json(request, HTTP_OK, server_status_json(context));
}

static void answer_metrics(struct http_request *request, void *context)
{
	metrics_answer(request, server_metrics, context);
}

const struct http_route server_routes[] = {
	{EVHTTP_REQ_GET, false, "/api/v1/status", answer_status},
	{EVHTTP_REQ_GET, false, "/metrics", answer_metrics},
	{0},
};
