/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Server-sent events: a bounded number of clients is told the status again and again, each at its
 * own interval, and events as they happen. A status is rendered once for all who are due, but for
 * those who want a part of it; one that takes long to render is told less often. Who does
 * not read gets no further status until what is unsent has gone out, and is dropped when nothing
 * goes out for a while or too much has piled up.
 */
#ifndef PLIMSOLL_HTTP_STREAM_H
#define PLIMSOLL_HTTP_STREAM_H

#include "http/http.h"

#define STREAMS_MAX 64

struct streams;

/* A new reference, or NULL. part: what is wanted of it, NULL: all. */
typedef json_t *stream_status(void *context, const char *part);

/* NULL if there is no memory. */
struct streams *streams_open(struct event_base *base, stream_status *status, void *context);

/* Drops all clients. To be closed before the struct http they came by. NULL is allowed. */
void streams_close(struct streams *streams);

/*
 * Makes the request a stream; ?interval_ms= says how often it wants the status. part: of it, or NULL.
 * first: what it is told before everything else, or NULL; it is emptied.
 */
void streams_answer(struct streams *streams, struct http_request *request, const char *part,
		    struct evbuffer *first);

size_t streams_count(const struct streams *streams);

/* Appends one message; id is left out if 0. */
int stream_message(struct evbuffer *to, const char *event, uint64_t id, const json_t *data);

/* Tells everybody at once. */
void streams_tell(struct streams *streams, const char *event, uint64_t id, const json_t *data);

#endif
