/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ways to find out what servers are capable of, to be held against that of src/weighting.c. */
#ifndef PLIMSOLL_SIMULATE_ESTIMATE_H
#define PLIMSOLL_SIMULATE_ESTIMATE_H

#include "simulate.h"

#include <stddef.h>

#define HISTORY 10

/* What a balancer has seen of a server, and made of it. */
struct estimated {
	double configured; /* weight */
	double factor; /* on it */
	double reports, latency_us; /* sums, since the last step */
	double in_flight_us; /* requests, integrated over time */
	double connections;
	double utilisation; /* sum over reports */
	double history[HISTORY]; /* logarithms of capacities, by the latest looks */
	unsigned looks;
};

/* Takes one step, or waits for more evidence. Returns whether factors changed. */
bool estimate(struct estimated *members, size_t count, enum estimator estimator);

#endif
