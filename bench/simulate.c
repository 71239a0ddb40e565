/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * simulate [--quick] [--jobs N] [--json FILE] [STUDY...]: runs studies, all by default, and prints tables.
 * Every run is kept in FILE.
 */
#include "simulate.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "simulate_studies.h"

#define JOBS_MAX 256
#define SEEDS_MAX 9

/* One contender, or the oracle, in one world with one seed. */
struct run {
	const struct study *study;
	const struct world *world;
	const struct contender *contender;
	uint64_t seed;
};

/* Shared by the processes that work them off. */
struct board {
	uint32_t next, done;
	uint32_t failed;
	struct outcome outcomes[];
};

struct plan {
	struct run *runs;
	size_t count;
	struct board *board;
	bool quick;
	int jobs;
	FILE *json;
};

static bool left_out(const struct plan *plan, const struct world *world)
{
	return world->full && plan->quick;
}

/* The median of how many runs is shown. */
static uint32_t seeds_of(const struct plan *plan, const struct study *study)
{
	return plan->quick ? 1 : study->seeds;
}

static void plan_add(struct plan *plan, const struct study *study, const struct world *world,
		     const struct contender *contender)
{
	for (uint64_t seed = 1; seed <= seeds_of(plan, study); seed++) {
		plan->runs = reallocarray(plan->runs, plan->count + 1, sizeof(*plan->runs));
		if (!plan->runs)
			abort();
		plan->runs[plan->count++] = (struct run){study, world, contender, seed};
	}
}

/* World by world: the oracle, then the contenders. The tables rely on this order. */
static void plan_study(struct plan *plan, const struct study *study)
{
	for (size_t w = 0; w < study->world_count; w++) {
		if (left_out(plan, &study->worlds[w]))
			continue;
		plan_add(plan, study, &study->worlds[w], &oracle);
		for (size_t c = 0; c < study->contender_count; c++)
			plan_add(plan, study, &study->worlds[w], &study->contenders[c]);
	}
}

/* --------------------------------------------------------------- working off */

/* Ten times in all, or each time where somebody looks on. */
static void say_progress(const struct plan *plan, size_t done)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rsimulate: %zu of %zu runs%s", done, plan->count,
			done == plan->count ? "\n" : "");
	else if (done * 10 / plan->count != (done - 1) * 10 / plan->count)
		fprintf(stderr, "simulate: %zu of %zu runs\n", done, plan->count);
}

static void work(struct plan *plan)
{
	for (;;) {
		uint32_t i = __atomic_fetch_add(&plan->board->next, 1, __ATOMIC_RELAXED);
		const struct run *run = &plan->runs[i];

		if (i >= plan->count)
			return;
		if (simulate(run->world, run->contender, run->seed, &plan->board->outcomes[i]))
			plan->board->failed = 1;
		say_progress(plan, __atomic_add_fetch(&plan->board->done, 1, __ATOMIC_RELAXED));
	}
}

static int work_in_parallel(struct plan *plan)
{
	size_t bytes = sizeof(*plan->board) + plan->count * sizeof(*plan->board->outcomes);
	bool failed = false;
	int status;

	plan->board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (plan->board == MAP_FAILED)
		return -errno;
	for (int job = 0; job < plan->jobs; job++) {
		pid_t child = fork();

		if (child < 0)
			return -errno;
		if (!child) {
			work(plan);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed || plan->board->failed ? -ENOMEM : 0;
}

/* -------------------------------------------------------------------- output */

static void print_json_run(const struct plan *plan, size_t i)
{
	const struct run *run = &plan->runs[i];
	const struct outcome *outcome = &plan->board->outcomes[i];

	fprintf(plan->json,
		"%s\n{\"study\": \"%s\", \"world\": \"%s\", \"servers\": %u, "
		"\"balancers\": %u, \"contender\": \"%s\", \"seed\": %llu, ",
		i ? "," : "", run->study->name, run->world->name, run->world->servers,
		run->world->balancers, run->contender->name, (unsigned long long)run->seed);
	fprintf(plan->json,
		"\"requests_per_second\": %.1f, \"mean_ms\": %.3f, \"p50_ms\": %.3f, "
		"\"p99_ms\": %.3f, \"p999_ms\": %.3f, \"report_share\": %.5f, "
		"\"reports_per_second\": %.2f, \"age_ms\": %.3f, \"unknown\": %.5f, ",
		outcome->requests_per_second, outcome->mean_ms, outcome->p50_ms, outcome->p99_ms,
		outcome->p999_ms, outcome->report_share, outcome->reports_per_second,
		outcome->age_ms, outcome->unknown);
	fprintf(plan->json,
		"\"herding\": %.3f, \"weight_error\": %.4f, \"weight_changes\": %.4f, "
		"\"settled_s\": %.1f, \"settle_ms\": %.1f, \"focus_share\": %.4f, "
		"\"focus_peak\": %.3f, \"cost_seconds\": %.2f}",
		outcome->herding, outcome->weight_error, outcome->weight_changes,
		outcome->settled_s, outcome->settle_ms, outcome->focus_share, outcome->focus_peak,
		outcome->cost_seconds);
}

static int print_json(const struct plan *plan)
{
	int err;

	if (!plan->json)
		return 0;
	fprintf(plan->json, "{\"runs\": [");
	for (size_t i = 0; i < plan->count; i++)
		print_json_run(plan, i);
	fprintf(plan->json, "\n]}\n");
	err = ferror(plan->json) ? -EIO : 0;
	return fclose(plan->json) ? -errno : err;
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* The median over the seeds, whose runs follow each other; each by the oracle's of the same seed. */
static double median(const struct plan *plan, const struct study *study, enum metric metric,
		     size_t first, size_t first_oracle)
{
	const struct outcome *outcomes = plan->board->outcomes;
	double values[SEEDS_MAX];

	for (uint32_t seed = 0; seed < seeds_of(plan, study); seed++)
		values[seed] =
			metric_of(metric, &outcomes[first + seed], &outcomes[first_oracle + seed]);
	qsort(values, seeds_of(plan, study), sizeof(values[0]), compare_doubles);
	return values[seeds_of(plan, study) / 2];
}

static void print_value(double value)
{
	printf(value < 10 ? " %11.2f" : value < 100 ? " %11.1f" : " %11.0f", value);
}

/* row 0 is the oracle. */
static void print_row(const struct plan *plan, const struct study *study, enum metric metric,
		      size_t first, size_t row)
{
	size_t block = (study->contender_count + 1) * seeds_of(plan, study);

	printf("    %-36s", row ? study->contenders[row - 1].name : oracle.name);
	for (size_t w = 0; w < study->world_count; w++) {
		if (left_out(plan, &study->worlds[w]))
			continue;
		print_value(
			median(plan, study, metric, first + row * seeds_of(plan, study), first));
		first += block;
	}
	printf("\n");
}

/* Whether the oracle has something to say to that. */
static bool oracle_counts(enum metric metric)
{
	return metric == METRIC_P50 || metric == METRIC_P99 || metric == METRIC_P999 ||
	       metric == METRIC_HERDING;
}

static void print_table(const struct plan *plan, const struct study *study, enum metric metric,
			size_t first)
{
	printf("\n    %-36s", metric_title(metric));
	for (size_t w = 0; w < study->world_count; w++)
		if (!left_out(plan, &study->worlds[w]))
			printf(" %11s", study->worlds[w].name);
	printf("\n");
	for (size_t row = !oracle_counts(metric); row <= study->contender_count; row++)
		print_row(plan, study, metric, first, row);
}

/* Returns how many runs that were. */
static size_t print_study(const struct plan *plan, const struct study *study, size_t first)
{
	size_t block = (study->contender_count + 1) * seeds_of(plan, study), blocks = 0;

	for (size_t w = 0; w < study->world_count; w++)
		blocks += !left_out(plan, &study->worlds[w]);
	if (!blocks)
		return 0;
	printf("\n%s: %s\n", study->name, study->question);
	for (size_t m = 0; m < study->metric_count; m++)
		print_table(plan, study, study->metrics[m], first);
	return blocks * block;
}

/* ---------------------------------------------------------------------- main */

static int usage(void)
{
	fprintf(stderr, "usage: simulate [--quick] [--jobs N] [--json FILE] [STUDY...]\n");
	for (size_t i = 0; i < study_count; i++)
		fprintf(stderr, "  %-10s %s\n", studies[i].name, studies[i].question);
	return 2;
}

/* Is it among the names, or are there none? */
static bool wanted(const struct study *study, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, study->name))
			return true;
	return false;
}

static const char *unknown_study(char **names)
{
	for (; *names; names++) {
		size_t i = 0;

		while (i < study_count && strcmp(*names, studies[i].name) != 0)
			i++;
		if (i == study_count)
			return *names;
	}
	return NULL;
}

static int parse_jobs(struct plan *plan, const char *text)
{
	char *end;
	long jobs = strtol(text, &end, 10);

	if (*end || jobs < 1 || jobs > JOBS_MAX) {
		fprintf(stderr, "simulate: --jobs \"%s\": wanted a whole number from 1 to %d\n",
			text, JOBS_MAX);
		return -EINVAL;
	}
	plan->jobs = (int)jobs;
	return 0;
}

static int open_json(struct plan *plan, const char *path)
{
	plan->json = fopen(path, "w");
	if (plan->json)
		return 0;
	fprintf(stderr, "simulate: --json \"%s\": %s\n", path, strerror(errno));
	return -EINVAL;
}

static int parse(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{"quick", no_argument, NULL, 'q'},
		{"jobs", required_argument, NULL, 'j'},
		{"json", required_argument, NULL, 'o'},
		{0},
	};
	int option, err = 0;

	while (!err && (option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'q')
			plan->quick = true;
		else if (option == 'j')
			err = parse_jobs(plan, optarg);
		else if (option == 'o')
			err = open_json(plan, optarg);
		else
			err = -EINVAL;
	}
	if (!err && unknown_study(argv + optind)) {
		fprintf(stderr, "simulate: there is no study \"%s\"\n",
			unknown_study(argv + optind));
		err = -EINVAL;
	}
	return err;
}

static void print_tables(const struct plan *plan, char **names)
{
	size_t first = 0;

	for (size_t i = 0; i < study_count; i++)
		if (wanted(&studies[i], names))
			first += print_study(plan, &studies[i], first);
}

int main(int argc, char **argv)
{
	struct plan plan = {.jobs = (int)sysconf(_SC_NPROCESSORS_ONLN)};
	int err;

	if (parse(&plan, argc, argv))
		return usage();
	for (size_t i = 0; i < study_count; i++)
		if (wanted(&studies[i], argv + optind))
			plan_study(&plan, &studies[i]);
	err = work_in_parallel(&plan);
	if (!err) {
		print_tables(&plan, argv + optind);
		err = print_json(&plan);
	}
	free(plan.runs);
	if (err)
		fprintf(stderr, "simulate: %s\n", strerror(-err));
	return err ? 1 : 0;
}
