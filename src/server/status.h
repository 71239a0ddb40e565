/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a server tells of itself: doc/api.md. */
#ifndef PLIMSOLL_SERVER_STATUS_H
#define PLIMSOLL_SERVER_STATUS_H

#include <jansson.h>

#include "server/dataplane.h"

struct server_daemon;

struct server_status {
	const struct server_dataplane *dataplane;
	struct server_daemon *server; /* whose file is read again */
	uint64_t started_ns;
	uint64_t started_seconds; /* since the epoch */
};

/* A new reference. context: a struct server_status. */
json_t *server_status_json(void *context);

#endif
