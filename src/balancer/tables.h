/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services, backends, servers and rings as entries of the maps. Indices are handed out here; what
 * a predecessor handed out is kept, because remembered flows name their backend by its index.
 */
#ifndef PLIMSOLL_BALANCER_TABLES_H
#define PLIMSOLL_BALANCER_TABLES_H

#include "balancer/dataplane.h"

/* Enters the whole configuration in place of a predecessor's. Says what went wrong; 0 or -errno. */
int tables_fill(struct dataplane *dataplane);

/*
 * Enters another one beside the one in force, whose services and members keep what they have: ids,
 * indices, weights, neighbours. No packet goes by it before the rings are built. file: what the file
 * says. Says what went wrong; 0 or -errno, and then tables_prune() removes what was entered.
 */
int tables_enter(struct dataplane *dataplane, struct config *config, const struct config *file,
		 struct balanced_service **services);

/* Removes what the configuration in force does not name: when no ring names it any more. */
void tables_prune(struct dataplane *dataplane);

/*
 * What tables_enter() has given members that stay is as the configuration in force has it: after another
 * one has been refused.
 */
void tables_restore(struct dataplane *dataplane);

void services_free(struct balanced_service *services, size_t count);

/* Gives a backend a weight, in 1/WEIGHT_ONE; the ring follows when it is built again. */
void member_set_weight(struct dataplane *dataplane, struct member *member, uint32_t weight);

/* Lets only so many 1/HEALTH_RAMP_ONE of its weight count; the ring likewise. */
void member_set_ramp(struct dataplane *dataplane, struct member *member, uint32_t ramp);

#endif
