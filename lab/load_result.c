/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "percentile.h"

static const char *const failure_names[] = {"connect", "reset", "timeout", "status"};

static bool counts(const struct generator *load, uint64_t time_ns)
{
	return time_ns >= load->measure_ns && time_ns < load->end_ns;
}

static void sample(struct generator *load, uint64_t ns)
{
	struct samples *samples = &load->result.latencies;

	if (samples->count == samples->room) {
		samples->room = samples->room ? 2 * samples->room : 65536;
		samples->ns = realloc(samples->ns, samples->room * sizeof(*samples->ns));
		if (!samples->ns)
			abort();
	}
	samples->ns[samples->count++] = ns;
}

int result_server(struct generator *load, const char *name, size_t length)
{
	struct result *result = &load->result;
	struct server_count *server;
	unsigned int i;

	if (!length || length >= SERVER_NAME_MAX)
		return -1;
	for (i = 0; i < result->servers; i++) {
		server = &result->server[i];
		if (!strncmp(server->name, name, length) && !server->name[length])
			return (int)i;
	}
	if (i == SERVER_NAMES_MAX)
		return -1;
	server = &result->server[i];
	memcpy(server->name, name, length);
	if (load->series_ns > 0) {
		server->series = calloc(
			(size_t)((double)(load->end_ns - load->start_ns) / load->series_ns) + 1,
			sizeof(*server->series));
		if (!server->series)
			abort();
	}
	result->servers++;
	return (int)i;
}

/* In the closed loop an answer counts where it comes; in the open loop where the request was due. */
void result_answered(struct generator *load, const struct request *request)
{
	struct server_count *server =
		request->server >= 0 ? &load->result.server[request->server] : NULL;

	if (counts(load, load->now)) {
		load->result.answered++;
		if (server)
			server->answered++;
	}
	if (counts(load, load->clients ? load->now : request->due_ns))
		sample(load, load->now - request->due_ns);
	if (server && server->series && request->started_ns < load->end_ns)
		server->series[(size_t)((double)(request->started_ns - load->start_ns) /
					load->series_ns)]++;
}

void result_waited(struct generator *load, uint64_t due_ns)
{
	if (!load->clients && counts(load, due_ns))
		sample(load, load->now - due_ns);
}

void result_failed(struct generator *load, const struct request *request, enum failure failure)
{
	if (!counts(load, load->clients ? load->now : request->due_ns))
		return;
	load->result.failures[failure]++;
	if (failure == FAILURE_TIMEOUT)
		sample(load, load->now - request->due_ns);
}

static void print_latencies(const struct samples *samples, FILE *file)
{
	static const struct {
		const char *name;
		double share;
	} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
	double sum = 0;

	for (size_t i = 0; i < samples->count; i++)
		sum += (double)samples->ns[i];
	fprintf(file, ", \"mean_ms\": %.3f", samples->count ? sum / samples->count / 1e6 : 0);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		fprintf(file, ", \"%s_ms\": %.3f", percentiles[i].name,
			percentile(samples->ns, samples->count, percentiles[i].share) / 1e6);
}

static void print_failures(const struct result *result, FILE *file)
{
	fputs(", \"errors\": {", file);
	for (int i = 0; i < FAILURE_COUNT; i++)
		fprintf(file, "%s\"%s\": %" PRIu64, i ? ", " : "", failure_names[i],
			result->failures[i]);
	fputc('}', file);
}

static void print_servers(const struct result *result, FILE *file)
{
	fputs(", \"servers\": {", file);
	for (unsigned int i = 0; i < result->servers; i++)
		fprintf(file, "%s\"%s\": %" PRIu64, i ? ", " : "", result->server[i].name,
			result->server[i].answered);
	fputc('}', file);
}

static void print_series(const struct generator *load, FILE *file)
{
	size_t bins = (size_t)((double)(load->end_ns - load->start_ns) / load->series_ns);

	fprintf(file, ", \"series\": {\"bin_ms\": %g, \"servers\": {", load->series_ns / 1e6);
	for (unsigned int i = 0; i < load->result.servers; i++) {
		fprintf(file, "%s\"%s\": [", i ? ", " : "", load->result.server[i].name);
		for (size_t bin = 0; bin < bins; bin++)
			fprintf(file, "%s%" PRIu32, bin ? "," : "",
				load->result.server[i].series[bin]);
		fputc(']', file);
	}
	fputs("}}", file);
}

/* What this program itself has used of a CPU: it is not to be what is measured. */
static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void result_print(struct generator *load, FILE *file)
{
	struct result *result = &load->result;
	double seconds = load->duration_ns / 1e9;

	qsort(result->latencies.ns, result->latencies.count, sizeof(*result->latencies.ns),
	      percentile_compare);
	fprintf(file, "{\"loop\": \"%s\"", load->clients ? "closed" : "open");
	if (load->clients)
		fprintf(file, ", \"clients\": %" PRIu64, load->clients);
	else
		fprintf(file, ", \"rate\": %.1f", load->rate);
	fprintf(file,
		", \"seed\": %" PRIu64 ", \"start_ns\": %" PRIu64
		", \"warmup_seconds\": %.3f, \"seconds\": %.3f, \"requests\": %" PRIu64
		", \"requests_per_second\": %.2f",
		load->seed, load->start_ns, load->warmup_ns / 1e9, seconds, result->answered,
		(double)result->answered / seconds);
	print_latencies(&result->latencies, file);
	print_failures(result, file);
	fprintf(file, ", \"unstarted\": %" PRIu64 ", \"unanswered\": %" PRIu64, result->unstarted,
		result->unanswered);
	fprintf(file, ", \"start_lag_mean_ms\": %.3f, \"start_lag_max_ms\": %.3f",
		result->started ? (double)result->lag_sum_ns / (double)result->started / 1e6 : 0,
		(double)result->lag_max_ns / 1e6);
	fprintf(file, ", \"cpu_percent\": %.1f",
		cpu_seconds() / ((double)(load->now - load->start_ns) / 1e9) * 100);
	print_servers(result, file);
	if (load->series_ns > 0)
		print_series(load, file);
	fputs("}\n", file);
}
