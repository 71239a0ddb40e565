/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The paths that a balancer answers, and what each of them tells. doc/api.md describes them. */
#ifndef PLIMSOLL_BALANCER_ROUTES_H
#define PLIMSOLL_BALANCER_ROUTES_H

#include "balancer/status.h"
#include "http/http.h"
#include "http/stream.h"

/* Whom the routes ask. */
struct sources {
	struct status *status;
	struct streams *streams;
};

/* Their context is a struct sources. */
extern const struct http_route balancer_routes[];

#endif
