/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * simulate [--full] [--jobs N] [--json FILE] [STUDY...]: runs studies, all by default, and prints a table for
 * each. Every run goes to FILE as one line of JSON.
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
	uint32_t next;
	uint32_t failed;
	struct outcome outcomes[];
};

struct plan {
	struct run *runs;
	size_t count;
	struct board *board;
	bool full;
	int jobs;
	FILE *json;
};

static bool left_out(const struct plan *plan, const struct world *world)
{
	return world->full && !plan->full;
}

static void plan_add(struct plan *plan, const struct study *study, const struct world *world,
		     const struct contender *contender)
{
	for (uint64_t seed = 1; seed <= study->seeds; seed++) {
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

static void work(struct plan *plan)
{
	for (;;) {
		uint32_t i = __atomic_fetch_add(&plan->board->next, 1, __ATOMIC_RELAXED);
		const struct run *run = &plan->runs[i];

		if (i >= plan->count)
			return;
		if (simulate(run->world, run->contender, run->seed, &plan->board->outcomes[i]))
			plan->board->failed = 1;
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\r%u of %zu ", i + 1, plan->count);
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
	return failed || plan->board->failed ? -EIO : 0;
}

/* -------------------------------------------------------------------- output */

static void print_json(const struct plan *plan, size_t i)
{
	const struct run *run = &plan->runs[i];
	const struct outcome *outcome = &plan->board->outcomes[i];

	fprintf(plan->json,
		"{\"study\": \"%s\", \"world\": \"%s\", \"servers\": %u, \"balancers\": %u, "
		"\"contender\": \"%s\", \"seed\": %llu, \"requests_per_second\": %.1f, "
		"\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"report_share\": %.5f, "
		"\"reports_per_second\": %.2f, \"age_ms\": %.3f, \"unknown\": %.5f, "
		"\"herding\": %.3f, \"weight_error\": %.4f, \"weight_changes\": %.4f, "
		"\"cost_seconds\": %.2f}\n",
		run->study->name, run->world->name, run->world->servers, run->world->balancers,
		run->contender->name, (unsigned long long)run->seed, outcome->requests_per_second,
		outcome->p50_ms, outcome->p99_ms, outcome->p999_ms, outcome->report_share,
		outcome->reports_per_second, outcome->age_ms, outcome->unknown, outcome->herding,
		outcome->weight_error, outcome->weight_changes, outcome->cost_seconds);
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

	for (uint32_t seed = 0; seed < study->seeds; seed++)
		values[seed] =
			metric_of(metric, &outcomes[first + seed], &outcomes[first_oracle + seed]);
	qsort(values, study->seeds, sizeof(values[0]), compare_doubles);
	return values[study->seeds / 2];
}

static void print_value(double value)
{
	printf(value < 10 ? " %11.2f" : value < 100 ? " %11.1f" : " %11.0f", value);
}

/* row 0 is the oracle. */
static void print_row(const struct plan *plan, const struct study *study, enum metric metric,
		      size_t first, size_t row)
{
	size_t block = (study->contender_count + 1) * study->seeds;

	printf("    %-36s", row ? study->contenders[row - 1].name : oracle.name);
	for (size_t w = 0; w < study->world_count; w++) {
		if (left_out(plan, &study->worlds[w]))
			continue;
		print_value(median(plan, study, metric, first + row * study->seeds, first));
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
	size_t block = (study->contender_count + 1) * study->seeds, blocks = 0;

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
	fprintf(stderr, "usage: simulate [--full] [--jobs N] [--json FILE] [STUDY...]\n");
	for (size_t i = 0; i < study_count; i++)
		fprintf(stderr, "  %-12s %s\n", studies[i].name, studies[i].question);
	return 2;
}

static bool wanted(const struct plan *plan, const struct study *study, char **names)
{
	if (!*names)
		return plan->full || !study->full;
	for (; *names; names++)
		if (!strcmp(*names, study->name))
			return true;
	return false;
}

static int parse(struct plan *plan, int argc, char **argv)
{
	static const struct option options[] = {
		{"full", no_argument, NULL, 'f'},
		{"jobs", required_argument, NULL, 'j'},
		{"json", required_argument, NULL, 'o'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'f')
			plan->full = true;
		else if (option == 'j')
			plan->jobs = atoi(optarg);
		else if (option == 'o')
			plan->json = fopen(optarg, "w");
		if (option == '?' || (option == 'o' && !plan->json) || plan->jobs < 1 ||
		    plan->jobs > JOBS_MAX)
			return -EINVAL;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct plan plan = {.jobs = (int)sysconf(_SC_NPROCESSORS_ONLN)};
	size_t first = 0;
	int err;

	if (parse(&plan, argc, argv))
		return usage();
	for (size_t i = 0; i < study_count; i++)
		if (wanted(&plan, &studies[i], argv + optind))
			plan_study(&plan, &studies[i]);
	if (!plan.count)
		return usage();
	err = work_in_parallel(&plan);
	if (err) {
		fprintf(stderr, "simulate: %s\n", strerror(-err));
		return 1;
	}
	for (size_t i = 0; i < study_count; i++)
		if (wanted(&plan, &studies[i], argv + optind))
			first += print_study(&plan, &studies[i], first);
	for (size_t i = 0; plan.json && i < plan.count; i++)
		print_json(&plan, i);
	if (plan.json && fclose(plan.json))
		return 1;
	free(plan.runs);
	return 0;
}
