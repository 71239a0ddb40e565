/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "http/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
/* Whole numbers up to 2^53 are exact in a double, and are to be read as such. */
#define WHOLE_MAX 9007199254740992.0

void histogram_observe(struct histogram *histogram, const struct bounds *bounds, double value)
{
	size_t i = 0;

	while (i < bounds->count && value > bounds->values[i])
		i++;
	histogram->counts[i]++;
	histogram->sum += value;
}

void metric_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_label(FILE *out, const char *label, const char *value)
{
	fprintf(out, "%s=\"", label);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
	fputc('"', out);
}

static void print_value(FILE *out, double value)
{
	if (value == floor(value) && fabs(value) < WHOLE_MAX)
		fprintf(out, " %.0f\n", value);
	else
		fprintf(out, " %.9g\n", value);
}

void metric_sample(FILE *out, const char *name, double value, ...)
{
	const char *label, *before = "{";
	va_list labels;

	if (isnan(value))
		return;
	fputs(name, out);
	va_start(labels, value);
	while ((label = va_arg(labels, const char *))) {
		fputs(before, out);
		print_label(out, label, va_arg(labels, const char *));
		before = ",";
	}
	va_end(labels);
	if (*before == ',')
		fputc('}', out);
	print_value(out, value);
}

void metric_histogram(FILE *out, const char *name, const struct bounds *bounds,
		      const struct histogram *histogram, const char *label, const char *label_value)
{
	char bucket[128], sum[128], count[128], bound[32];
	uint64_t total = 0;

	snprintf(bucket, sizeof(bucket), "%s_bucket", name);
	snprintf(sum, sizeof(sum), "%s_sum", name);
	snprintf(count, sizeof(count), "%s_count", name);
	for (size_t i = 0; i <= bounds->count; i++) {
		total += histogram->counts[i];
		if (i < bounds->count)
			snprintf(bound, sizeof(bound), "%g", bounds->values[i]);
		metric_sample(out, bucket, (double)total, "le", i < bounds->count ? bound : "+Inf",
			      label, label_value, NULL);
	}
	metric_sample(out, sum, histogram->sum, label, label_value, NULL);
	metric_sample(out, count, (double)total, label, label_value, NULL);
}

void metric_build(FILE *out, const char *role, const char *instance, uint64_t started_seconds)
{
	metric_family(out, "plimsoll_build_info", "gauge",
		      "Always 1; the version and the instance are in the labels.");
	metric_sample(out, "plimsoll_build_info", 1, "version", PLIMSOLL_VERSION, "role", role,
		      "instance_name", instance, NULL);
	metric_family(out, "plimsoll_start_time_seconds", "gauge",
		      "When the daemon started, in seconds since the epoch.");
	metric_sample(out, "plimsoll_start_time_seconds", (double)started_seconds, NULL);
}

static void free_text(const void *data, size_t length, void *text)
{
	(void)data;
	(void)length;
	free(text);
}

void metrics_answer(struct http_request *request, void (*write)(FILE *out, void *context),
		    void *context)
{
	struct evbuffer *body = evbuffer_new();
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (out)
		write(out, context);
	if (!body || !out || fclose(out) ||
	    evbuffer_add_reference(body, text, length, free_text, text)) {
		free(text);
		http_send_error(request, HTTP_INTERNAL, "out of memory");
	} else {
		http_send(request, HTTP_OK, METRICS_TYPE, body);
	}
	if (body)
		evbuffer_free(body);
}
