/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libevent tells of a connection when it wants a bufferevent for it, and has no struct
 * evhttp_connection yet. That is what the bufferevent's callbacks are given, and where it is found,
 * before the loop looks at any descriptor again.
 */
#include "http/connections.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>

#include "clock.h"

#define NEVER UINT64_MAX
#define MILLISECOND 1000000ULL

struct connection {
	struct connections *connections;
	struct connection *next;
	struct bufferevent *bufferevent;
	struct evhttp_connection *libevent; /* NULL: not found yet */
	uint64_t deadline_ns;
	http_closed *closed; /* who wants to know, or NULL */
	void *context;
};

struct connections {
	struct evconnlistener *listener; /* NULL: accepts no more */
	const struct http_limits *limits;
	struct event *found;
	struct connection *first;
	size_t count;
};

bool connections_full(const struct connections *connections)
{
	return connections && connections->count >= connections->limits->connections;
}

static uint64_t in_ms(uint32_t milliseconds)
{
	return now_ns() + milliseconds * MILLISECOND;
}

static void connection_closed(struct evhttp_connection *libevent, void *context)
{
	struct connection *connection = context;
	struct connections *connections = connection->connections;
	struct connection **link = &connections->first;

	if (connection->closed)
		connection->closed(libevent, connection->context);
	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	free(connection);
	connections->count--;
	if (connections->listener && !connections_full(connections))
		evconnlistener_enable(connections->listener);
}

/* The last to come are the first of the list: those beyond the number, if any. */
static void find_connections(evutil_socket_t fd, short events, void *context)
{
	struct connections *connections = context;
	struct connection *next;
	void *libevent;

	(void)fd;
	(void)events;
	for (struct connection *connection = connections->first; connection; connection = next) {
		next = connection->next;
		if (connection->libevent)
			continue;
		bufferevent_getcb(connection->bufferevent, NULL, NULL, NULL, &libevent);
		connection->libevent = libevent;
		evhttp_connection_set_closecb(libevent, connection_closed, connection);
		if (connections->count > connections->limits->connections)
			evhttp_connection_free(libevent);
	}
}

static struct bufferevent *connection_comes(struct event_base *base, void *context)
{
	struct connections *connections = context;
	struct bufferevent *bufferevent = bufferevent_socket_new(base, -1, 0);
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection || !bufferevent) {
		free(connection);
		return bufferevent;
	}
	connection->connections = connections;
	connection->bufferevent = bufferevent;
	connection->deadline_ns = in_ms(connections->limits->request_ms);
	connection->next = connections->first;
	connections->first = connection;
	connections->count++;
	if (connections_full(connections))
		evconnlistener_disable(connections->listener);
	event_active(connections->found, EV_TIMEOUT, 0);
	return bufferevent;
}

static void answered(struct evhttp_request *request, void *context)
{
	struct connection *connection = context;

	(void)request;
	connection->deadline_ns = in_ms(connection->connections->limits->request_ms);
}

struct connection *connections_asked(struct connections *connections,
				     struct evhttp_request *request)
{
	struct evhttp_connection *libevent = evhttp_request_get_connection(request);
	struct connection *connection = connections->first;

	while (connection && connection->libevent != libevent)
		connection = connection->next;
	if (!connection)
		return NULL;
	connection->deadline_ns = in_ms(connections->limits->answer_ms);
	evhttp_request_set_on_complete_cb(request, answered, connection);
	return connection;
}

void http_lasts(struct evhttp_request *request, struct connection *connection, http_closed *closed,
		void *context)
{
	if (connection) {
		connection->deadline_ns = NEVER;
		connection->closed = closed;
		connection->context = context;
	} else {
		evhttp_connection_set_closecb(evhttp_request_get_connection(request), closed,
					      context);
	}
}

void connections_sweep(struct connections *connections)
{
	struct connection *next;
	uint64_t now = now_ns();

	if (!connections)
		return;
	for (struct connection *connection = connections->first; connection; connection = next) {
		next = connection->next;
		if (connection->libevent && connection->deadline_ns <= now)
			evhttp_connection_free(connection->libevent);
	}
}

struct connections *connections_open(struct event_base *base, struct evhttp *server,
				     struct evconnlistener *listener,
				     const struct http_limits *limits)
{
	struct connections *connections = calloc(1, sizeof(*connections));

	if (!connections)
		return NULL;
	connections->listener = listener;
	connections->limits = limits;
	connections->found = event_new(base, -1, 0, find_connections, connections);
	if (!connections->found) {
		free(connections);
		return NULL;
	}
	evhttp_set_bevcb(server, connection_comes, connections);
	return connections;
}

void connections_end(struct connections *connections)
{
	if (connections)
		connections->listener = NULL;
}

void connections_close(struct connections *connections)
{
	struct connection *connection;

	if (!connections)
		return;
	while ((connection = connections->first)) {
		connections->first = connection->next;
		free(connection);
	}
	event_free(connections->found);
	free(connections);
}
