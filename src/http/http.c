/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "http/http.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "http/connections.h"
#include "http/host.h"
#include "http/listen.h"
#include "log.h"

#define HEADERS_MAX_BYTES 8192 /* a GET needs a few hundred */
#define BODY_MAX_BYTES 4096 /* and no body at all; a change needs fifty bytes of one */
#define TIMEOUT_SECONDS 10 /* of silence in the middle of a request or between two */
/* What a client may send ahead while it is being answered; the rest waits in its own buffers. */
#define UNREAD_MAX_BYTES 65536
#define METHODS_TEXT_MAX 64
#define HTTP_FORBIDDEN 403 /* libevent has no name for it */

/* Streams, some scrapers and a few people need tens; a large /metrics over a slow line needs seconds. */
static const struct http_limits default_limits = {
	.connections = 256,
	.request_ms = 20000,
	.answer_ms = 60000,
};

/* What the requests of one listening socket are answered with. */
struct door {
	struct http *http;
	bool local; /* the unix socket */
	struct evhttp *server;
	struct connections *connections; /* NULL where local: root is trusted not to be many */
};

struct http {
	struct event_base *base;
	struct door doors[2];
	struct evconnlistener *listeners[2];
	size_t door_count;
	struct event *tick;
	struct http_limits limits;
	const struct http_route *routes;
	void *context;
	char *socket_path; /* NULL until it is bound */
};

/* The methods of a route, as bits: who may be asked may be asked for the headers alone. */
static int methods_of(const struct http_route *route)
{
	return route->method | (route->method == EVHTTP_REQ_GET ? EVHTTP_REQ_HEAD : 0);
}

/* What stands for a "*": still encoded, and no NUL ends it. */
struct encoded {
	const char *start;
	size_t length;
};

static bool route_matches(const struct http_route *route, const char *path,
			  struct encoded names[HTTP_NAMES_MAX])
{
	const char *pattern = route->path;
	size_t count = 0;

	memset(names, 0, HTTP_NAMES_MAX * sizeof(*names));
	for (; *pattern; pattern++) {
		if (*pattern != '*') {
			if (*pattern != *path++)
				return false;
			continue;
		}
		names[count] = (struct encoded){path, strcspn(path, "/")};
		if (!names[count].length)
			return false;
		path += names[count++].length;
	}
	return !*path;
}

static const char *list_methods(int methods, char text[METHODS_TEXT_MAX])
{
	static const struct {
		enum evhttp_cmd_type bit;
		const char *name;
	} names[] = {
		{EVHTTP_REQ_GET, "GET"}, {EVHTTP_REQ_HEAD, "HEAD"},	{EVHTTP_REQ_POST, "POST"},
		{EVHTTP_REQ_PUT, "PUT"}, {EVHTTP_REQ_DELETE, "DELETE"}, {EVHTTP_REQ_PATCH, "PATCH"},
	};
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (methods & (int)names[i].bit)
			used += (size_t)snprintf(text + used, METHODS_TEXT_MAX - used, "%s%s",
						 used ? ", " : "", names[i].name);
	return text;
}

static void refuse_method(struct http_request *request, int methods)
{
	char text[METHODS_TEXT_MAX];

	http_set_header(request, "Allow", list_methods(methods, text));
	http_send_error(request, HTTP_BADMETHOD, "only %s %s allowed here", text,
			strchr(text, ',') ? "are" : "is");
}

static void refuse_outside(struct http_request *request, const struct door *door, int methods)
{
	char text[METHODS_TEXT_MAX];

	http_set_header(request, "Allow", list_methods(methods, text));
	http_send_error(request, HTTP_BADMETHOD, "%s; %s for the socket %s",
			evhttp_request_get_command(request->libevent) == EVHTTP_REQ_GET ?
				"that is not told here" :
				"nothing is changed from here",
			evhttp_request_get_command(request->libevent) == EVHTTP_REQ_GET ?
				"it is" :
				"changes are",
			door->http->socket_path);
}

static void refuse_path(struct http_request *request, const struct door *door)
{
	char text[1024] = "";
	size_t used = 0;

	for (const struct http_route *route = door->http->routes; route->path; route++)
		if ((door->local || !route->socket_only) && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? ", " : "", route->path);
	http_send_error(request, HTTP_NOTFOUND, "no such path; there are %s", text);
}

/* Neither a NUL nor what is no UTF-8 can be part of a name. */
static bool is_text(const char *bytes, size_t length)
{
	json_t *text = json_stringn(bytes, length);
	bool valid = text && strlen(bytes) == length;

	json_decref(text);
	return valid;
}

/* To be freed; NULL if it is no text. */
static char *decode(const struct encoded *encoded)
{
	char *copy = strndup(encoded->start, encoded->length), *name;
	size_t length = 0;

	name = copy ? evhttp_uridecode(copy, 0, &length) : NULL;
	free(copy);
	if (name && is_text(name, length))
		return name;
	free(name);
	return NULL;
}

static void answer_route(struct http_request *request, const struct door *door,
			 const struct http_route *route,
			 const struct encoded encoded[HTTP_NAMES_MAX])
{
	char *names[HTTP_NAMES_MAX] = {NULL};
	bool valid = true;

	for (size_t i = 0; i < HTTP_NAMES_MAX && encoded[i].start; i++) {
		request->names[i] = names[i] = decode(&encoded[i]);
		valid &= names[i] != NULL;
	}
	if (valid)
		route->answer(request, door->http->context);
	else
		http_send_error(request, HTTP_BADREQUEST, "a name in the path is no text");
	for (size_t i = 0; i < HTTP_NAMES_MAX; i++)
		free(names[i]);
}

/* The route that answers; NULL if there is none, and told. */
static const struct http_route *find_route(struct http_request *request, const struct door *door,
					   const char *path, struct encoded names[HTTP_NAMES_MAX])
{
	int method = evhttp_request_get_command(request->libevent), all = 0, here = 0;
	bool elsewhere = false;

	for (const struct http_route *route = door->http->routes; route->path; route++) {
		bool matches = path && route_matches(route, path, names);

		if (route->socket_only && !door->local) {
			elsewhere |= matches && methods_of(route) & method;
			continue;
		}
		all |= methods_of(route);
		if (!matches)
			continue;
		here |= methods_of(route);
		if (methods_of(route) & method)
			return route;
	}
	if (elsewhere)
		refuse_outside(request, door, here ? here : all);
	else if (here || !(all & method))
		refuse_method(request, here ? here : all);
	else
		refuse_path(request, door);
	return NULL;
}

/* Browsers always say which host they mean, so who says nothing has no page to be protected from. */
static bool refuse_host(struct http_request *request)
{
	const char *host = evhttp_request_get_host(request->libevent);

	if (!host || http_host_is_ours(host))
		return false;
	http_send_error(
		request, HTTP_FORBIDDEN,
		"\"%s\" is no name of this machine (web pages must not reach it by theirs); "
		"ask by its address, its hostname or localhost",
		is_text(host, strlen(host)) ? host : "?");
	return true;
}

static void answer(struct evhttp_request *libevent, void *context)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(libevent);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
	struct http_request request = {.libevent = libevent};
	const struct door *door = context;
	struct encoded names[HTTP_NAMES_MAX];
	const struct http_route *route;

	bufferevent_setwatermark(
		evhttp_connection_get_bufferevent(evhttp_request_get_connection(libevent)), EV_READ,
		0, UNREAD_MAX_BYTES);
	TAILQ_INIT(&request.query);
	if (door->connections)
		request.connection = connections_asked(door->connections, libevent);
	if (!door->local && refuse_host(&request))
		return;
	if (query && evhttp_parse_query_str(query, &request.query)) {
		http_send_error(&request, HTTP_BADREQUEST, "what follows the \"?\" is no query");
		goto out;
	}
	route = find_route(&request, door, path, names);
	if (route)
		answer_route(&request, door, route, names);
out:
	evhttp_clear_headers(&request.query);
}

/*
 * Without this a process that has run out of file descriptors would spin: the waiting connection
 * makes the listener readable for ever.
 */
static void accept_failed(struct evconnlistener *listener, void *context)
{
	(void)context;
	log_warning("cannot take a connection to the API: %s; trying again in a second",
		    strerror(errno));
	evconnlistener_disable(listener);
}

static void each_second(evutil_socket_t fd, short events, void *context)
{
	struct http *http = context;

	(void)fd;
	(void)events;
	for (size_t i = 0; i < http->door_count; i++) {
		connections_sweep(http->doors[i].connections);
		if (!connections_full(http->doors[i].connections))
			evconnlistener_enable(http->listeners[i]);
	}
}

static int open_door(struct door *door, struct event_base *base)
{
	door->server = evhttp_new(base);
	if (!door->server)
		return -ENOMEM;
	/* All methods reach answer(), which refuses in JSON; libevent would in HTML. */
	evhttp_set_allowed_methods(door->server, 0xffff);
	evhttp_set_max_headers_size(door->server, HEADERS_MAX_BYTES);
	evhttp_set_max_body_size(door->server, BODY_MAX_BYTES);
	evhttp_set_timeout(door->server, TIMEOUT_SECONDS);
	evhttp_set_gencb(door->server, answer, door);
	return 0;
}

/* Takes over fd, which listens, whatever happens. */
static int serve(struct http *http, int fd, bool local)
{
	struct door *door = &http->doors[http->door_count];
	struct evconnlistener *listener;
	int err;

	listener = evconnlistener_new(http->base, NULL, NULL,
				      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	door->http = http;
	door->local = local;
	door->connections = NULL;
	err = open_door(door, http->base);
	if (!err && !local) {
		door->connections =
			connections_open(http->base, door->server, listener, &http->limits);
		err = door->connections ? 0 : -ENOMEM;
	}
	if (err || !evhttp_bind_listener(door->server, listener)) {
		evconnlistener_free(listener);
		if (door->server)
			evhttp_free(door->server);
		connections_close(door->connections);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener, accept_failed);
	http->listeners[http->door_count++] = listener;
	return 0;
}

static int open_socket(struct http *http, const char *path)
{
	int fd = listen_on_path(path);
	int err = fd < 0 ? fd : 0;

	if (!err) {
		http->socket_path = strdup(path);
		err = serve(http, fd, true);
	}
	if (err)
		log_error("cannot listen on %s: %s", path,
			  err == -EADDRINUSE ? "another process answers on it, or it is no socket" :
					       strerror(-err));
	return err;
}

int http_open(struct event_base *base, const char *socket_path, const struct http_route *routes,
	      void *context, struct http **result)
{
	const struct timeval second = {.tv_sec = 1};
	struct http *http = calloc(1, sizeof(*http));
	int err = -ENOMEM;

	*result = NULL;
	if (!http)
		return -ENOMEM;
	http->base = base;
	http->limits = default_limits;
	http->routes = routes;
	http->context = context;
	http->tick = event_new(base, -1, EV_PERSIST, each_second, http);
	if (!http->tick || event_add(http->tick, &second))
		log_error("cannot open the API: out of memory");
	else
		err = open_socket(http, socket_path);
	if (err)
		http_close(http);
	else
		*result = http;
	return err;
}

void http_limit(struct http *http, const struct http_limits *limits)
{
	http->limits = *limits;
}

int http_open_tcp(struct http *http, const struct endpoint *endpoint, bool required)
{
	char text[ENDPOINT_TEXT_MAX];
	int fd = listen_on_endpoint(endpoint);
	int err = fd < 0 ? fd : serve(http, fd, false);

	if (err)
		log_print(required ? LOG_ERROR : LOG_WARNING, "cannot listen on %s: %s",
			  endpoint_format(endpoint, text), listen_advice(err));
	return err;
}

static void close_door(struct http *http, size_t i)
{
	connections_end(http->doors[i].connections);
	evhttp_free(http->doors[i].server);
	connections_close(http->doors[i].connections);
}

int http_move_tcp(struct http *http, const struct endpoint *from, const struct endpoint *to)
{
	int err;

	/* Closed first: the two may be the same port. */
	if (http->door_count > 1)
		close_door(http, --http->door_count);
	err = to ? http_open_tcp(http, to, true) : 0;
	if (err && from)
		http_open_tcp(http, from, false);
	return err;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	if (http->socket_path)
		unlink(http->socket_path);
	if (http->tick)
		event_free(http->tick);
	for (size_t i = 0; i < http->door_count; i++)
		close_door(http, i);
	free(http->socket_path);
	free(http);
}
