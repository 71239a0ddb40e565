/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the two halves of the agent share: agent.c (reports, in UDP) and agent_lines.c (lines, in TCP). */
#ifndef PLIMSOLL_SERVER_AGENT_PRIVATE_H
#define PLIMSOLL_SERVER_AGENT_PRIVATE_H

#include "server/agent.h"

/* The load as it is now, by the dataplane's metrics: all but what depends on who asks. */
void agent_measure(const struct server_dataplane *dataplane, struct load_report *report);

struct agent_lines;

/* Takes over the listening socket, which is closed with it. NULL if there is no memory. */
struct agent_lines *agent_lines_open(struct event_base *base, int listener,
				     const struct server_dataplane *dataplane);
void agent_lines_close(struct agent_lines *lines);

#endif
