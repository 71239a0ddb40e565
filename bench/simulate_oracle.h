/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A balancer that knows all: the server with the fewest requests for its capacity is at the root of a
 * tree of winners, which a change of one server mends in as many steps as the tree is high.
 */
#ifndef PLIMSOLL_SIMULATE_ORACLE_H
#define PLIMSOLL_SIMULATE_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

struct oracle {
	const uint32_t *capacities, *assigned;
	const bool *absent;
	uint32_t *winners; /* 1 is the root; leaves are servers, from `leaves` on */
	uint32_t leaves, servers;
};

/* Returns 0 or -ENOMEM. */
int oracle_open(struct oracle *oracle, const uint32_t *capacities, const uint32_t *assigned,
		const bool *absent, uint32_t servers);
void oracle_close(struct oracle *oracle);

uint32_t oracle_choose(const struct oracle *oracle);
/* To be told after each change of assigned[server]. */
void oracle_mend(struct oracle *oracle, uint32_t server);

#endif
