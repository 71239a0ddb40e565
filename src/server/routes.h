/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The paths that a server answers. doc/api.md describes them. */
#ifndef PLIMSOLL_SERVER_ROUTES_H
#define PLIMSOLL_SERVER_ROUTES_H

#include "http/http.h"

/* Their context is a struct server_status. */
extern const struct http_route server_routes[];

#endif
