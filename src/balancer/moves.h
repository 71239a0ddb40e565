/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services and members are numbered in the order of the configuration. When another one comes into
 * force, all who keep something of each have to follow to the new numbers.
 */
#ifndef PLIMSOLL_BALANCER_MOVES_H
#define PLIMSOLL_BALANCER_MOVES_H

#include <stddef.h>

#include "balancer/dataplane.h"

#define NOWHERE ((size_t)-1) /* it is new */

/* By the number that it has now: which it had before. Members count through all services. */
struct moves {
	size_t *services, *members;
	size_t service_count, member_count;
};

/* 0, or -ENOMEM and nothing to be freed. */
int moves_find(struct moves *moves, const struct config *before, const struct config *now);
void moves_free(struct moves *moves);

/*
 * Puts items of that size into their new places; those that are new become zero. There is no way back
 * in the middle of it: for want of memory the daemon ends, and the data path goes on for the next.
 */
void moves_carry(void *array, size_t size, const size_t *from, size_t count);

#endif
