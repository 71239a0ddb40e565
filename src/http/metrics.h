/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Metrics in Prometheus' text format. */
#ifndef PLIMSOLL_HTTP_METRICS_H
#define PLIMSOLL_HTTP_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/http.h"

#define HISTOGRAM_BOUNDS_MAX 20

/* Counts by upper bounds, which are the same for all histograms of a family. */
struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* the last: above all bounds */
	double sum;
};

struct bounds {
	double values[HISTOGRAM_BOUNDS_MAX];
	size_t count;
};

void histogram_observe(struct histogram *histogram, const struct bounds *bounds, double value);

/* What precedes the samples of a name. type: counter, gauge or histogram. */
void metric_family(FILE *out, const char *name, const char *type, const char *help);

/* One sample; pairs of a label and its value follow, up to a NULL. NAN: there is none. */
void metric_sample(FILE *out, const char *name, double value, ...) __attribute__((sentinel));

/* Its family has to be there; likewise with one label, or NULL. */
void metric_histogram(FILE *out, const char *name, const struct bounds *bounds,
		      const struct histogram *histogram, const char *label,
		      const char *label_value);

/* What every daemon tells of itself; started_seconds since the epoch. */
void metric_build(FILE *out, const char *role, const char *instance, uint64_t started_seconds);

/* Answers with what `write` writes. */
void metrics_answer(struct http_request *request, void (*write)(FILE *out, void *context),
		    void *context);

#endif
