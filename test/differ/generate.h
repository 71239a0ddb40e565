/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that a balancer may see: right ones of every kind that it knows, most of them then broken
 * in one way or several, and noise.
 */
#ifndef PLIMSOLL_TEST_GENERATE_H
#define PLIMSOLL_TEST_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#include "oracle.h"

struct generator {
	const struct oracle_world *world;
	uint64_t state; /* of the random numbers; what comes is a function of it */
};

struct generated {
	uint8_t bytes[ORACLE_FRAME_MAX];
	size_t length;
	uint32_t ifindex; /* by which it comes */
};

void generate(struct generator *generator, struct generated *frame);

#endif
