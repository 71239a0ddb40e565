/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `weights: auto`: applies weighting.h to the services that ask for it. */
#ifndef PLIMSOLL_BALANCER_WEIGHTS_H
#define PLIMSOLL_BALANCER_WEIGHTS_H

#include "balancer/moves.h"

/* How often evidence is looked at. */
#define WEIGHTS_INTERVAL_MS 1000

struct weights;

/* The dataplane must outlive it. NULL if there is no memory. */
struct weights *weights_open(struct dataplane *dataplane);
void weights_close(struct weights *weights);

/* Follows to another configuration. */
void weights_follow(struct weights *weights, const struct moves *moves);

/*
 * Follows a weight that was set by hand: that is now the configured one, and nothing that was learned
 * of the backend counts any more. i: the service's number, j: the backend's in it.
 */
void weights_restart(struct weights *weights, size_t i, size_t j);

/* To be called every WEIGHTS_INTERVAL_MS: gathers evidence, and builds rings anew where it is enough. */
void weights_update(struct weights *weights);

#endif
