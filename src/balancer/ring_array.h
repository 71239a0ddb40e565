/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the data path reads of a service's ring: one array with the Maglev ring, all members, and the
 * round-robin schedule (struct service says where each is).
 *
 * What the flow table has no room for is found again by the flow's hash, with each packet. So each slot of the
 * ring also says whose it is by the weights that somebody has set: those of `weights: auto`, and of
 * a slow start, change all the time, and connections would break with them.
 */
#ifndef PLIMSOLL_RING_ARRAY_H
#define PLIMSOLL_RING_ARRAY_H

#include "balancer/dataplane.h"

/*
 * Of the members that are open, or else of those that are the last resort; without any it is empty. To be freed
 * in any case. 0, -EINVAL or -ENOMEM.
 */
int ring_array_fill(struct ring_array *array, const struct dataplane *dataplane,
		    const struct balanced_service *service);
void ring_array_free(struct ring_array *array);

uint32_t ring_array_size(const struct ring_array *array);

/* What the kernel's array has in its place. */
uint64_t ring_array_slot(const struct ring_array *array, uint32_t slot);

#endif
