/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HAProxy's agent-check: whoever connects by TCP is told a line of words about the server. Written
 * after the text of HAProxy 2.6's configuration manual, section 5.2, and tried against it.
 */
#ifndef PLIMSOLL_AGENT_CHECK_H
#define PLIMSOLL_AGENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load_report.h"

/* An agent's line is a few words; one that does not end within this is none. */
#define AGENT_CHECK_LINE_MAX 256
#define AGENT_CHECK_PERCENT_MAX 100

/* What an agent has said so far: what a line does not mention stays as it was. */
struct agent_check {
	bool weighted; /* percent has been named */
	uint32_t percent; /* of the server's weight: its capacity to spare */
	bool down; /* after down, fail or stopped, until up */
	bool drained; /* after drain or maint, until ready */
};

/*
 * Takes over what the line says that begins at bytes. Returns 0; -EAGAIN if its end is not among
 * the bytes; or -EINVAL if nothing in it is known, and then nothing is taken over.
 */
int agent_check_parse(const char *bytes, size_t length, struct agent_check *check);

/* May the server get new connections? */
bool agent_check_open(const struct agent_check *check);

/*
 * The capacity that a server of so many CPUs has to spare, in per cent: what is idle of its CPUs (an
 * eighth at least), times what is free of its accept queue, times 16 / (16 + requests in flight on
 * each CPU). Between 1 and 100; 0 if it drains.
 */
uint32_t agent_check_percent(const struct load_report *report, uint32_t cpu_count);

/* The line for that, into AGENT_CHECK_LINE_MAX bytes. Returns its length. */
size_t agent_check_format(const struct load_report *report, uint32_t cpu_count, char *line);

#endif
