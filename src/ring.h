/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring of a service: Maglev's look-up table (Eisenbud et al., NSDI 2016, 3.4) with weights. A
 * member's share of the slots is its weight's share; a change of one member moves few slots of the others.
 */
#ifndef PLIMSOLL_RING_H
#define PLIMSOLL_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring_member {
	uint32_t id; /* what the slots will hold */
	uint64_t identity; /* what its places depend on: the same on all balancers */
	uint32_t weight; /* 0 = gets no slot */
};

/*
 * Fills slots[0..size). The members' order does not matter, so that all balancers agree.
 * size: a prime. Returns 0; -EINVAL if no member has a weight; -ENOMEM.
 */
int ring_build(const struct ring_member *members, size_t count, uint32_t *slots, uint32_t size);

/*
 * The round-robin schedule: every member as often as its weight says, as evenly spread as can be (smooth
 * weighted round-robin). schedule_size() is how long it is, at most SCHEDULE_MAX; 0 without weights.
 */
#define SCHEDULE_MAX 4096
uint32_t schedule_size(const struct ring_member *members, size_t count);
int schedule_build(const struct ring_member *members, size_t count, uint32_t *slots, uint32_t size);

#endif
