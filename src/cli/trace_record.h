/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the data path tells of a packet, as a line for people and as JSON. */
#ifndef PLIMSOLL_TRACE_RECORD_H
#define PLIMSOLL_TRACE_RECORD_H

#include <jansson.h>
#include <stdio.h>

#include "cli/kernel.h"

/* Time is of CLOCK_REALTIME, in ns. The line has no end yet. */
void trace_print(FILE *out, const struct kernel *kernel, const struct trace_record *record,
		 uint64_t time_ns);

/* Only why: the end of that line. */
void trace_print_reason(FILE *out, const struct kernel *kernel, const struct trace_record *record);

/* A new reference. */
json_t *trace_json(const struct kernel *kernel, const struct trace_record *record,
		   uint64_t time_ns);

/* Did the packet go on, so that what is captured of its end is what went out? */
bool trace_went_out(const struct trace_record *record);

#endif
