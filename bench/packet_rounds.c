// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "packet_rounds.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#define QUICK_ROUNDS 5

size_t rounds_wanted(void)
{
	return getenv("BENCH_QUICK") ? QUICK_ROUNDS : ROUNDS_MAX;
}

void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

double rounds_middle(double *values, size_t count)
{
	size_t first = count / 4, last = count - count / 4, i;
	double sum = 0;

	qsort(values, count, sizeof(*values), compare);
	for (i = first; i < last; i++)
		sum += values[i];
	return sum / (double)(last - first);
}

json_t *rounds_json(const char *name, const char *sentence, double *values, size_t count,
		    double floor_l2, double floor_ipip)
{
	double net = rounds_middle(values, count);

	return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "name", name, "what", sentence,
			 "net_ns", net, "low_ns", values[count / 4], "high_ns",
			 values[count - 1 - count / 4], "times_l2_floor",
			 floor_l2 > 0 ? net / floor_l2 : 0, "times_ipip_floor",
			 floor_ipip > 0 ? net / floor_ipip : 0);
}

void rounds_print(json_t *rows, size_t rounds)
{
	struct utsname system;
	json_t *result;

	uname(&system);
	result = json_pack("{s:s, s:I, s:o}", "kernel", system.release, "rounds",
			   (json_int_t)rounds, "rows", rows);
	json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(4));
	putchar('\n');
	json_decref(result);
}
