/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The health checks that services ask for: one for each server, port and way of checking, however many
 * services share it. What is sent is addressed to the service, and takes the data path's way to that very
 * server: check.c says how.
 */
#ifndef PLIMSOLL_BALANCER_CHECKS_H
#define PLIMSOLL_BALANCER_CHECKS_H

#include "balancer/dataplane.h"

struct event_base;
struct check;
struct checks;

/* The dataplane must outlive it. NULL if there is no memory. */
struct checks *checks_open(struct event_base *base, struct dataplane *dataplane);
void checks_close(struct checks *checks);

/*
 * Follows the configuration: begins what is new, ends what nobody asks for any more, and
 * gives every member its check. 0 or -errno.
 */
int checks_follow(struct checks *checks);

/* How many there are, and how often any of them has been run. */
size_t checks_count(const struct checks *checks);
uint64_t checks_runs(const struct checks *checks);

/* check may be NULL: then there is no record. */
const struct check_record *check_record_of(const struct check *check);

/* "http check of 10.1.0.100:80/health" */
#define CHECK_TEXT_MAX (CONFIG_CHECK_PATH_MAX + ENDPOINT_TEXT_MAX + 32)
const char *check_describe(const struct check *check, char text[CHECK_TEXT_MAX]);

#endif
