/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which packets are to be told of, from the words of the command line. */
#ifndef PLIMSOLL_TRACE_FILTER_H
#define PLIMSOLL_TRACE_FILTER_H

#include <stdint.h>

#include "shared.h"

#define TRACE_RATE 2000 /* records a second and CPU */
#define TRACE_SNAP 128 /* all headers fit */

/*
 * All return NULL, or what is wrong as the middle of a sentence ("is no ..."), and then have written
 * nothing.
 */

/* "10.1.0.201", "10.1.0.0/24", "10.1.0.201:40000": the client's. */
const char *trace_parse_client(const char *text, struct trace_filter *filter);

/* "forwarded,no-backend", or classes: drops, reports, sent, all. */
const char *trace_parse_verdicts(const char *text, __u64 *verdicts);

/* "1/100". */
const char *trace_parse_sample(const char *text, uint32_t *sample);

/* A whole number from 1. */
const char *trace_parse_number(const char *text, uint32_t max, uint32_t *number);

/* Everything that is ours. */
uint64_t trace_usual_verdicts(void);

#endif
