/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looks at every backend ten times a second for what nobody tells: that reports begin or fail to
 * come, that weights move, that one has drained; and keeps the histograms.
 */
#ifndef PLIMSOLL_BALANCER_WATCH_H
#define PLIMSOLL_BALANCER_WATCH_H

#include "balancer/events.h"
#include "balancer/status.h"
#include "http/metrics.h"

struct watch;

extern const struct bounds report_age_bounds, reported_latency_bounds; /* s */

/* Both must outlive it. NULL if there is no memory. */
struct watch *watch_open(const struct status *status, struct events *events);
void watch_close(struct watch *watch);

/* Follows to another configuration, after the status has. */
void watch_follow(struct watch *watch, const struct moves *moves);

/* To be called after each status_sample(). */
void watch_look(struct watch *watch);

/* A change has just been made of its backend number j: what hangs on that is not told of the one before. */
void watch_changed(struct watch *watch, size_t i, size_t j);

/*
 * Whether a member drains and has no connection left, as a walk through the flow table found that began after
 * it had begun to drain. k: its place among all services' members.
 */
bool watch_drained(const struct watch *watch, size_t k);

/* Of service number i. */
const struct histogram *watch_report_ages(const struct watch *watch, size_t i);
const struct histogram *watch_reported_latencies(const struct watch *watch, size_t i);

#endif
