/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "http/stream.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define TICK_MS 50
#define INTERVAL_MS 500
#define INTERVAL_MIN_MS 100
#define INTERVAL_MAX_MS 10000
/* So long may nothing go out to a client that should be told something. */
#define SILENCE_SECONDS 10
/* Events are short: whoever has left so much unread does not read. */
#define UNSENT_MAX_BYTES (256 * 1024)
#define RETRY_MS 1000 /* when a browser that has lost the connection comes back */
/* For each millisecond of rendering, so many of rest: the daemon has other things to do. */
#define REST 9

struct stream {
	struct streams *streams;
	struct stream *next;
	struct evhttp_request *request;
	struct connection *connection;
	uint64_t interval_ns, due_ns;
	char *part; /* of the status; NULL: all */
};

struct streams {
	stream_status *status;
	void *context;
	struct event *tick; /* runs only while somebody listens */
	struct stream *first;
	size_t count;
	uint64_t rest_until_ns; /* nothing whole is rendered before then */
};

static void forget(struct streams *streams, struct stream *stream)
{
	struct stream **link = &streams->first;

	while (*link != stream)
		link = &(*link)->next;
	*link = stream->next;
	if (!--streams->count)
		event_del(streams->tick);
	free(stream->part);
	free(stream);
}

/* The client has gone, or libevent has given it up: it frees the connection, but not the request. */
static void connection_closed(struct evhttp_connection *connection, void *context)
{
	struct stream *stream = context;

	(void)connection;
	if (!evhttp_request_get_connection(stream->request))
		evhttp_request_free(stream->request);
	forget(stream->streams, stream);
}

static void drop(struct streams *streams, struct stream *stream)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(stream->request);

	http_lasts(stream->request, stream->connection, NULL, NULL);
	evhttp_connection_free(connection); /* and the request with it */
	forget(streams, stream);
}

static size_t unsent(const struct stream *stream)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(stream->request);

	return evbuffer_get_length(
		bufferevent_get_output(evhttp_connection_get_bufferevent(connection)));
}

int stream_message(struct evbuffer *to, const char *event, uint64_t id, const json_t *data)
{
	char *text = http_json_text(data);
	int written;

	if (!text)
		return -ENOMEM;
	if (id)
		evbuffer_add_printf(to, "id: %llu\n", (unsigned long long)id);
	/* JSON is written without line breaks, as the format wants it. */
	written = evbuffer_add_printf(to, "event: %s\ndata: %s\n\n", event, text);
	free(text);
	return written < 0 ? -ENOMEM : 0;
}

/* The bytes of message are shared by all who are sent them. */
static void send_shared(struct stream *stream, struct evbuffer *message)
{
	struct evbuffer *copy = evbuffer_new();

	if (copy && !evbuffer_add_buffer_reference(copy, message))
		evhttp_send_reply_chunk(stream->request, copy);
	if (copy)
		evbuffer_free(copy);
}

/* rest_ns: how long not to do that again. */
static struct evbuffer *status_message(const struct streams *streams, const char *part,
				       uint64_t *rest_ns)
{
	struct evbuffer *message = evbuffer_new();
	uint64_t began = now_ns();
	json_t *status = streams->status(streams->context, part);

	if (message && (!status || stream_message(message, "status", 0, status))) {
		evbuffer_free(message);
		message = NULL;
	}
	json_decref(status);
	*rest_ns = REST * (now_ns() - began);
	return message;
}

static void send_part(struct stream *stream)
{
	uint64_t rest_ns;
	struct evbuffer *message = status_message(stream->streams, stream->part, &rest_ns);

	if (message) {
		send_shared(stream, message);
		evbuffer_free(message);
	}
	if (stream->due_ns < now_ns() + rest_ns)
		stream->due_ns = now_ns() + rest_ns;
}

/* *rendered: for another one just now, or NULL. */
static void send_whole(struct stream *stream, struct evbuffer **rendered)
{
	struct streams *streams = stream->streams;
	uint64_t rest_ns;

	if (!*rendered) {
		*rendered = status_message(streams, NULL, &rest_ns);
		streams->rest_until_ns = now_ns() + rest_ns;
	}
	if (*rendered)
		send_shared(stream, *rendered);
}

static void tick(evutil_socket_t fd, short events, void *context)
{
	struct streams *streams = context;
	struct evbuffer *rendered = NULL;
	uint64_t now = now_ns();
	bool rests = now < streams->rest_until_ns;

	(void)fd;
	(void)events;
	for (struct stream *stream = streams->first; stream; stream = stream->next) {
		if (now + TICK_MS * 500000ULL < stream->due_ns || (rests && !stream->part))
			continue;
		stream->due_ns += stream->interval_ns;
		if (stream->due_ns < now)
			stream->due_ns = now;
		/* It is late already; the next status will be newer. */
		if (unsent(stream))
			continue;
		if (stream->part)
			send_part(stream);
		else
			send_whole(stream, &rendered);
	}
	if (rendered)
		evbuffer_free(rendered);
}

void streams_tell(struct streams *streams, const char *event, uint64_t id, const json_t *data)
{
	struct evbuffer *message;
	struct stream *next;

	if (!streams->first)
		return;
	message = evbuffer_new();
	if (!message)
		return;
	if (!stream_message(message, event, id, data)) {
		for (struct stream *stream = streams->first; stream; stream = next) {
			next = stream->next;
			if (unsent(stream) > UNSENT_MAX_BYTES)
				drop(streams, stream);
			else
				send_shared(stream, message);
		}
	}
	evbuffer_free(message);
}

static void start(struct stream *stream, struct http_request *request, struct evbuffer *first)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request->libevent);
	const struct timeval silence = {.tv_sec = SILENCE_SECONDS};
	struct evbuffer *greeting = evbuffer_new(), *status;
	uint64_t rest_ns;

	/* It says nothing more: what the server waits for is that it reads. */
	bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), NULL, &silence);
	http_lasts(request->libevent, request->connection, connection_closed, stream);
	evhttp_send_reply_start(request->libevent, HTTP_OK, "OK");
	if (greeting) {
		evbuffer_add_printf(greeting, "retry: %d\n\n", RETRY_MS);
		if (first)
			evbuffer_add_buffer(greeting, first);
		status = status_message(stream->streams, stream->part, &rest_ns);
		if (status) {
			evbuffer_add_buffer(greeting, status);
			evbuffer_free(status);
		}
		evhttp_send_reply_chunk(request->libevent, greeting);
		evbuffer_free(greeting);
	}
}

static struct stream *add(struct streams *streams, const struct http_request *request,
			  const char *part, uint64_t interval_ms)
{
	const struct timeval interval = {.tv_usec = TICK_MS * 1000};
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->part = part ? strdup(part) : NULL;
	if ((part && !stream->part) || (!streams->count && event_add(streams->tick, &interval))) {
		free(stream->part);
		free(stream);
		return NULL;
	}
	stream->streams = streams;
	stream->request = request->libevent;
	stream->connection = request->connection;
	stream->interval_ns = interval_ms * 1000000;
	stream->due_ns = now_ns() + stream->interval_ns;
	stream->next = streams->first;
	streams->first = stream;
	streams->count++;
	return stream;
}

void streams_answer(struct streams *streams, struct http_request *request, const char *part,
		    struct evbuffer *first)
{
	uint64_t interval_ms = INTERVAL_MS;
	struct stream *stream;

	if (!http_query_number(request, "interval_ms", INTERVAL_MIN_MS, INTERVAL_MAX_MS,
			       &interval_ms))
		return;
	if (streams->count == STREAMS_MAX) {
		http_set_header(request, "Retry-After", "10");
		http_send_error(
			request, HTTP_SERVUNAVAIL,
			"%d streams are open already, which is all there may be; close one, or "
			"ask for /api/v1/status",
			STREAMS_MAX);
		return;
	}
	http_set_header(request, "Content-Type", "text/event-stream");
	http_set_header(request, "Cache-Control", "no-store");
	if (http_is_head(request)) {
		http_send(request, HTTP_OK, NULL, NULL);
		return;
	}
	stream = add(streams, request, part, interval_ms);
	if (stream)
		start(stream, request, first);
	else
		http_send_error(request, HTTP_INTERNAL, "out of memory");
}

size_t streams_count(const struct streams *streams)
{
	return streams->count;
}

struct streams *streams_open(struct event_base *base, stream_status *status, void *context)
{
	struct streams *streams = calloc(1, sizeof(*streams));

	if (!streams)
		return NULL;
	streams->status = status;
	streams->context = context;
	streams->tick = event_new(base, -1, EV_PERSIST, tick, streams);
	if (streams->tick)
		return streams;
	free(streams);
	return NULL;
}

void streams_close(struct streams *streams)
{
	if (!streams)
		return;
	while (streams->first)
		drop(streams, streams->first);
	event_free(streams->tick);
	free(streams);
}
