/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of the poller share: poll.c (whom to ask, and when), poll_report.c (by a datagram
 * each way) and poll_line.c (by HAProxy's agent-check).
 */
#ifndef PLIMSOLL_BALANCER_POLL_PRIVATE_H
#define PLIMSOLL_BALANCER_POLL_PRIVATE_H

#include "agent_check.h"
#include "balancer/poll.h"

/* Somebody who is asked. */
struct poll_target {
	struct sockaddr_in agent;
	enum poll_protocol protocol;
	uint64_t interval_ns;
	struct load *load;
	struct poll_counts counts;
	uint64_t asked_ns;
	uint32_t number; /* POLL_REPORT: of the last request */
	uint32_t answered; /* of the last that was answered */
	struct agent_check said; /* POLL_AGENT_CHECK: so far */
	struct poll_line *line; /* the connection, while there is one */
};

/* Those with the same interval. They are asked in slices, so that not all answer at the same time. */
struct poll_group {
	struct poller *poller;
	struct poll_target **targets;
	size_t count;
	size_t slices, next;
	int timer;
	struct event *due;
};

struct poller {
	struct event_base *base;
	const struct dataplane *dataplane;
	struct poll_target *targets; /* in the order of compare_targets() */
	size_t target_count;
	struct poll_target **by_interval;
	struct poll_group *groups;
	size_t group_count;
	struct poll_reports *reports; /* NULL without a target for it */
	size_t open_lines;
};

/* The target with that agent, or NULL. */
struct poll_target *poll_find(const struct poller *poller, const struct sockaddr_in *agent,
			      enum poll_protocol protocol);

struct poll_reports;

/* 0 or -errno. */
int poll_reports_open(struct poller *poller);
void poll_reports_close(struct poll_reports *reports);
void poll_reports_ask(struct poll_reports *reports, struct poll_target **targets, size_t count);
uint64_t poll_reports_strangers(const struct poll_reports *reports);

/* Opens a connection, unless the last one is still there. */
void poll_line_ask(struct poller *poller, struct poll_target *target);
void poll_line_end(struct poll_line *line);

#endif
