/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The HTTP side of a daemon: a table of routes, answered on a unix socket, for the command line and
 * whoever is root, and on a TCP address where one is configured. Routes that change something are
 * for the socket alone. Errors are answered as {"error": "..."}.
 *
 * It runs in the daemon's event loop and in that thread alone. libevent parses the requests.
 */
#ifndef PLIMSOLL_HTTP_HTTP_H
#define PLIMSOLL_HTTP_HTTP_H

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define HTTP_TYPE_JSON "application/json"

#define HTTP_CONFLICT 409 /* libevent has no name for it */

#define HTTP_NAMES_MAX 2 /* in one path */

struct event_base;
struct http;

struct connection;

struct http_request {
	struct evhttp_request *libevent;
	struct connection *connection; /* if it came by TCP, else NULL */
	const char
		*names[HTTP_NAMES_MAX]; /* what stands for the route's "*"s, decoded; else NULL */
	struct evkeyvalq query;
};

/* Answers by one of http_send...(), or hands the request on to streams_answer(). */
typedef void http_answer(struct http_request *request, void *context);

struct http_route {
	enum evhttp_cmd_type method; /* GET stands for HEAD too */
	bool socket_only; /* changes something, or tells what is not for everybody */
	const char *path; /* a segment of it may be "*": any one that is not empty */
	http_answer *answer;
};

/*
 * Listens on socket_path (mode 0600; one that a dead predecessor left is replaced). The table of
 * routes ends with a path of NULL and must outlive the result. Says what went wrong. Returns 0;
 * -EADDRINUSE if somebody else answers there; or another -errno.
 */
int http_open(struct event_base *base, const char *socket_path, const struct http_route *routes,
	      void *context, struct http **http);

/* What clients may do in TCP: so many connections, so long to ask and to read the answer. */
struct http_limits {
	size_t connections; /* default 256 */
	uint32_t request_ms; /* default 20 s */
	uint32_t answer_ms; /* default 60 s */
};

/* Others than the defaults, before http_open_tcp(). */
void http_limit(struct http *http, const struct http_limits *limits);

/* Listens on a TCP address too, for who asks by address, as localhost or by this machine's name. Says what went wrong, as an error or, unless required, as a warning. */
int http_open_tcp(struct http *http, const struct endpoint *endpoint, bool required);

/*
 * Listens there instead, or nowhere in TCP (to: NULL); connections by the old address end. Says what
 * went wrong, and listens as before then. 0 or -errno.
 */
int http_move_tcp(struct http *http, const struct endpoint *from, const struct endpoint *to);

typedef void http_closed(struct evhttp_connection *libevent, void *context);

/* The answer may take for ever, and closed() tells of its end; NULL: nobody wants to know any more. */
void http_lasts(struct evhttp_request *request, struct connection *connection, http_closed *closed,
		void *context);

/* Closes all connections and removes the socket. NULL is allowed. */
void http_close(struct http *http);

bool http_is_head(const struct http_request *request);

/* The value of ?key=, or NULL. */
const char *http_query(const struct http_request *request, const char *key);

/*
 * ?key= as a whole number from min to max; *value stays where there is none. False if it is none of
 * that: then the request has been answered.
 */
bool http_query_number(struct http_request *request, const char *key, uint64_t min, uint64_t max,
		       uint64_t *value);

/* What came behind the headers, a few KiB at most; no NUL ends it. NULL if that is nothing. */
const char *http_body(const struct http_request *request, size_t *length);

void http_set_header(struct http_request *request, const char *key, const char *value);

/* All of them answer HEAD without a body. Nothing may be done with the request afterwards. */
void http_send(struct http_request *request, int code, const char *type, struct evbuffer *body);
/* Takes over body, which may be NULL for want of memory. */
void http_send_json(struct http_request *request, int code, json_t *body);
void http_send_error(struct http_request *request, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As all JSON is written here. To be freed; NULL for want of memory. */
char *http_json_text(const json_t *json);

#endif
