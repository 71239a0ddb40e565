/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table as the daemon sees it. It is walked through in slices, one with each sample, so that
 * a table of millions keeps nobody waiting: flows are counted, and those that are over swept out.
 */
#ifndef PLIMSOLL_BALANCER_FLOWS_H
#define PLIMSOLL_BALANCER_FLOWS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"
#include "shared.h"

struct dataplane;
struct flow_walk;

/* The table's size in buckets, for at least as many flows as configured. */
uint32_t flow_bucket_count(const struct config *config);

uint16_t flow_udp_timeout_ticks(const struct config *config);

/* Walks through the whole table once. The dataplane must outlive it. NULL if there is no memory. */
struct flow_walk *flow_walk_open(const struct dataplane *dataplane);
void flow_walk_close(struct flow_walk *walk);

/* One slice further. */
void flow_walk_step(struct flow_walk *walk);

/* Whole walks. */
uint64_t flow_walk_rounds(const struct flow_walk *walk);

/* Flows of that backend that the client has not ended, as of the last whole walk. */
uint32_t flow_walk_open_connections(const struct flow_walk *walk, uint32_t backend);

/* Size, occupancy, and what had to give way. A new reference. */
json_t *flows_json(const struct flow_walk *walk);

/* The same for Prometheus. */
void flows_metrics(FILE *out, const struct flow_walk *walk);

#endif
