/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What has happened, for people: the last EVENTS_MAX of them are kept, each is a line of the log, and
 * whoever has a stream open is told at once.
 */
#ifndef PLIMSOLL_BALANCER_EVENTS_H
#define PLIMSOLL_BALANCER_EVENTS_H

#include <jansson.h>
#include <stdint.h>

#include "http/stream.h"

#define EVENTS_MAX 256

#define EVENTS(X)                                                                                  \
	X(START, "start", "the daemon is ready")                                                   \
	X(XDP_MODE, "xdp-mode", "the program is on an interface, in native or generic mode")       \
	X(BACKEND_UP, "backend-up", "a backend answers ARP: it gets new connections")              \
	X(NO_NEIGHBOUR, "no-neighbour", "a backend does not answer ARP any more")                  \
	X(MAC_CHANGED, "mac-changed", "a backend has moved to another MAC address")                \
	X(HEALTHY, "healthy", "a backend answers clients' connections, or passes its check")       \
	X(SUSPECT, "suspect", "a backend leaves connections unanswered: it is spared new ones")    \
	X(DOWN, "down", "a backend fails its check: it gets no new connections")                   \
	X(LOAD_KNOWN, "load-known", "a backend's reports have begun, or begun again")              \
	X(LOAD_UNKNOWN, "load-unknown", "a backend is sent connections and does not report")       \
	X(WEIGHT_SET, "weight-set", "a backend was given another weight by hand")                  \
	X(DRAINING, "draining", "a backend was drained by hand: no new connections")               \
	X(DRAINED, "drained", "the last connection of a backend that drains has ended")            \
	X(UNDRAINED, "undrained", "a backend gets new connections again, by hand")                 \
	X(RELOADED, "reloaded", "the configuration file was read again, and what differs changed") \
	X(RELOAD_REFUSED, "reload-refused",                                                        \
	  "the configuration file was read again, and nothing has changed")                        \
	X(BACKEND_ADDED, "backend-added", "a backend was added by hand")                           \
	X(LEAVING, "backend-leaving",                                                              \
	  "a backend was removed: it drains until its last connection has ended")                  \
	X(BACKEND_REMOVED, "backend-removed", "a backend is gone that was removed")                \
	X(NO_BACKEND, "no-backend", "a service has no backend for new connections any more")       \
	X(REPORTS_REFUSED, "reports-refused", "reports are refused, and their packets dropped")    \
	X(WEIGHTS_MOVED, "weights-moved", "`weights: auto` has moved a weight by a fifth or more")

enum event_kind {
#define EVENT_ENUM(symbol, name, sentence) EVENT_##symbol,
	EVENTS(EVENT_ENUM)
#undef EVENT_ENUM
		EVENT_KINDS
};

struct events;

/* streams must outlive it. NULL if there is no memory. */
struct events *events_open(struct streams *streams);
void events_close(struct events *events);

/*
 * service and backend may be NULL. The cause is a sentence whose subject is the backend, if there is one:
 * "is at 02:00:00:00:00:0b".
 */
void events_add(struct events *events, enum event_kind kind, const char *service,
		const char *backend, const char *cause, ...) __attribute__((format(printf, 5, 6)));

/* {"events": [...]}, the oldest first; those with a higher sequence than `after`. */
json_t *events_json(const struct events *events, uint64_t after);

/* The same as messages of a stream. */
void events_replay(const struct events *events, uint64_t after, struct evbuffer *to);

uint64_t events_count(const struct events *events, enum event_kind kind);
const char *event_name(enum event_kind kind);

#endif
