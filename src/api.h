/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The HTTP side of a daemon: GET /api/v1/status on a unix socket, for the command line, and on a
 * TCP address where one is configured. It only reads. Errors are answered as {"error": "..."}.
 *
 * It runs in the daemon's event loop and in that thread alone.
 */
#ifndef PLIMSOLL_API_H
#define PLIMSOLL_API_H

#include <jansson.h>

#include "address.h"

struct api;
struct event_base;

/* The answer to "how are you": a new reference, or NULL, which the client is told as 500. */
typedef json_t *api_status(void *context);

/*
 * Listens on socket_path (mode 0600; one that a dead predecessor left is replaced) and, unless
 * NULL, on `listen`. Says what went wrong. Returns 0; -EADDRINUSE if somebody else answers on one
 * of them; or another -errno.
 */
int api_open(struct event_base *base, const char *socket_path, const struct endpoint *listen,
	     api_status *status, void *context, struct api **api);

/* Closes all connections and removes the socket. NULL is allowed. */
void api_close(struct api *api);

#endif
