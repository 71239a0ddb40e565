/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The agent: tells the load to those who ask, on one port. In UDP by a report (wire/load_poll.h),
 * in TCP by a line of HAProxy's agent-check (agent_check.h). Runs in the daemon's loop; nothing
 * that comes in changes anything, and whoever floods it holds up at most himself.
 */
#ifndef PLIMSOLL_SERVER_AGENT_H
#define PLIMSOLL_SERVER_AGENT_H

#include <event2/event.h>

#include "server/dataplane.h"

struct agent;

/*
 * Listens where dataplane->config->agent_listen says. The dataplane must outlive the agent. Says
 * what went wrong; 0 or -errno.
 */
int agent_open(struct event_base *base, const struct server_dataplane *dataplane,
	       struct agent **agent);
void agent_close(struct agent *agent);

#endif
