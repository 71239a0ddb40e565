/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When rings are built anew. One change takes effect at once; of many in a row, as when a thousand
 * backends answer ARP at the start, those of REBUILD_INTERVAL_MS are built together: the kernel makes
 * each replacement of a ring wait for all CPUs, some 20 ms.
 */
#ifndef PLIMSOLL_REBUILD_H
#define PLIMSOLL_REBUILD_H

#include <stddef.h>

#define REBUILD_INTERVAL_MS 50

struct event_base;
struct rebuild;

typedef void rebuild_service(size_t service, void *context);
typedef void rebuild_frame(void *context);

/* begin() and end() are called around all that is built at once. NULL if there is no memory. */
struct rebuild *rebuild_open(struct event_base *base, size_t service_count, rebuild_service *build,
			     rebuild_frame *begin, rebuild_frame *end, void *context);
void rebuild_close(struct rebuild *rebuild);

/* The service has changed; to be followed by one of the next two. */
void rebuild_mark(struct rebuild *rebuild, size_t service);

/* Builds what has changed: at once, unless something was built in the last REBUILD_INTERVAL_MS. */
void rebuild_soon(struct rebuild *rebuild);

/* Builds it at once in any case. */
void rebuild_now(struct rebuild *rebuild);

#endif
