/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services, backends, servers and rings as entries of the maps. Indices are handed out here; what
 * a predecessor handed out is kept, because remembered flows name their backend by its index.
 */
#ifndef PLIMSOLL_BALANCER_TABLES_H
#define PLIMSOLL_BALANCER_TABLES_H

#include "balancer/dataplane.h"

/* Enters the whole configuration. Says what went wrong; 0 or -errno. */
int tables_fill(struct dataplane *dataplane);
void tables_free(struct dataplane *dataplane);

struct service_key service_key(const struct service_config *config);

/* Gives a backend a weight, in 1/WEIGHT_ONE; the ring follows when it is built again. */
void member_set_weight(struct dataplane *dataplane, struct member *member, uint32_t weight);

#endif
