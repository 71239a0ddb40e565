/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports that are refused are events: at once when it begins, and once a minute while it goes on. Each
 * was a client's packet, and is lost with it.
 */
#ifndef PLIMSOLL_BALANCER_REFUSALS_H
#define PLIMSOLL_BALANCER_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/events.h"
#include "shared.h"

#define REFUSALS_QUIET_NS 60000000000ULL
#define REFUSAL_KINDS (VERDICT_REPORT_NO_ROOM - VERDICT_REPORT_MALFORMED + 1)

struct refusal {
	uint64_t told; /* so many have been, until now */
	uint64_t told_ns; /* 0: none has */
};

struct refusals {
	struct refusal kinds[REFUSAL_KINDS];
	bool begun; /* what a predecessor has counted is known */
};

/* To be called each second. */
void refusals_look(struct refusals *refusals, int map, struct events *events);

/* How many are to be told now, where so many have been counted; 0: none. */
uint64_t refusal_due(struct refusal *refusal, uint64_t count, uint64_t now);

#endif
