/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is measured in interleaved rounds, and what comes out of them. */
#ifndef PLIMSOLL_BENCH_PACKET_ROUNDS_H
#define PLIMSOLL_BENCH_PACKET_ROUNDS_H

#include <stddef.h>

#include <jansson.h>

#define ROUNDS_MAX 41

/* As many as there are to be: fewer with BENCH_QUICK. */
size_t rounds_wanted(void);

/* One CPU, so that per-CPU data stay where they are. */
void stay_here(void);

/* The kernel tells whole nanoseconds: the mean of the middle half of the rounds is finer. Sorts them. */
double rounds_middle(double *values, size_t count);

/* A row of the result; floors: by L2 and by IPIP, or 0 if the row is not to be compared with them. */
json_t *rounds_json(const char *name, const char *sentence, double *values, size_t count,
		    double floor_l2, double floor_ipip);

/* Prints all rows, and what they were measured on. Takes rows. */
void rounds_print(json_t *rows, size_t rounds);

#endif
