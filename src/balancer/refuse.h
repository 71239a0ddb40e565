/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 404 to who asks for a service or a backend that is not there: which of the two, and what there is. */
#ifndef PLIMSOLL_BALANCER_REFUSE_H
#define PLIMSOLL_BALANCER_REFUSE_H

#include "balancer/status.h"
#include "http/http.h"

void refuse_service(struct http_request *request, const struct status *status, const char *service);

/* The service may be what is not there. */
void refuse_backend(struct http_request *request, const struct status *status, const char *service,
		    const char *backend);

#endif
