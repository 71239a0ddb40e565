/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services, backends, servers and rings as entries of the maps. Indices are handed out here; what
 * a predecessor handed out is kept, because remembered flows name their backend by its index.
 */
#ifndef PLIMSOLL_BALANCER_TABLES_H
#define PLIMSOLL_BALANCER_TABLES_H

struct dataplane;

/* Enters the whole configuration. Says what went wrong; 0 or -errno. */
int tables_fill(struct dataplane *dataplane);
void tables_free(struct dataplane *dataplane);

#endif
