/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The open connections of a TCP listener: how many there may be, and how long a client may take to
 * ask and to read. Beyond that number nobody is accepted until one has gone; who is slow, however
 * steadily, loses its connection. Streams may last.
 */
#ifndef PLIMSOLL_HTTP_CONNECTIONS_H
#define PLIMSOLL_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "http/http.h"

struct event_base;
struct evconnlistener;
struct connections;

/* From now on those of server, by listener, are counted. limits must outlive it. NULL for want of memory. */
struct connections *connections_open(struct event_base *base, struct evhttp *server,
				     struct evconnlistener *listener,
				     const struct http_limits *limits);

/* Before the server is freed, which frees the listener and closes the connections; and after. */
void connections_end(struct connections *connections);
void connections_close(struct connections *connections);

/* A request has come, whose answer begins now; that connection. */
struct connection *connections_asked(struct connections *connections,
				     struct evhttp_request *request);

/* No more may be accepted now. NULL is allowed. */
bool connections_full(const struct connections *connections);

/* To be called each second: closes those of the slow. NULL is allowed. */
void connections_sweep(struct connections *connections);

#endif
