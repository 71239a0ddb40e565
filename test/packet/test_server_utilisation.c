/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Both ways to know what the CPUs were busy, side by side: the kernel's own books, and every switch of
 * tasks watched, as is done where those are not to be found. Both must agree with each other and
 * with /proc/stat.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "clock.h"
#include "server.skel.h"
#include "server/idle_books.h"
#include "server_world.h"

#define MEASURED_NS 300000000ULL
/* The median of so many: a machine that is taken away between two readings spoils one. */
#define ROUNDS 5
#define ATTEMPTS 4
/* Of all CPUs' time: three points; watching has its own ideas of where an interrupt begins. */
#define TOLERATED 0.03
#define TOLERATED_TRACED 0.06

/* Each sum with the time at which it was read: who is put aside in between reads late. */
struct reading {
	uint64_t traced_ns, traced_at, books_ns, books_at;
	double stat_busy, stat_all;
};

/* Busy time of all CPUs since whenever. */
static uint64_t busy_ns(int64_t idle_distance)
{
	struct server_settings settings = {
		.cpu_count = (uint32_t)libbpf_num_possible_cpus(),
		.idle_distance = idle_distance,
	};
	char frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame));
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(server.skeleton->maps.settings), &zero,
					     &settings, BPF_ANY),
			 0);
	server.metrics->utilisation_ns = 0;
	server.metrics->busy_ns = 0;
	assert_int_equal(bpf_prog_test_run_opts(
				 bpf_program__fd(server.skeleton->progs.server_measure), &run),
			 0);
	return server.metrics->busy_ns;
}

static void stat_read(struct reading *reading)
{
	unsigned long long fields[8];
	FILE *file = fopen("/proc/stat", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &fields[0],
				&fields[1], &fields[2], &fields[3], &fields[4], &fields[5],
				&fields[6], &fields[7]),
			 8);
	fclose(file);
	reading->stat_all = 0;
	for (int i = 0; i < 8; i++)
		reading->stat_all += (double)fields[i];
	reading->stat_busy = reading->stat_all - (double)fields[3] - (double)fields[4];
}

static struct reading read_all(void)
{
	struct reading reading = {.traced_ns = busy_ns(0)};

	reading.traced_at = now_ns();
	reading.books_ns = busy_ns(idle_books_distance());
	reading.books_at = now_ns();
	stat_read(&reading);
	return reading;
}

/* Half of the time of one CPU, in pieces. */
static void work(void)
{
	uint64_t end = now_ns() + MEASURED_NS;

	while (now_ns() < end) {
		uint64_t pause = now_ns() + 3000000;

		while (now_ns() < pause)
			;
		usleep(3000);
	}
}

/* Busy shares of one round, each of the time of all CPUs. */
struct shares {
	double books, books_off_stat, books_off_traced;
};

static double share(uint64_t busy_ns, uint64_t elapsed_ns)
{
	return (double)busy_ns / (double)elapsed_ns / (double)sysconf(_SC_NPROCESSORS_ONLN);
}

static struct shares measure_round(void)
{
	struct reading before = read_all(), after;
	double books, traced, stat;

	work();
	after = read_all();
	books = share(after.books_ns - before.books_ns, after.books_at - before.books_at);
	traced = share(after.traced_ns - before.traced_ns, after.traced_at - before.traced_at);
	stat = (after.stat_busy - before.stat_busy) / (after.stat_all - before.stat_all);
	print_message("busy by the kernel's books %.3f, traced %.3f, /proc/stat %.3f\n", books,
		      traced, stat);
	return (struct shares){books, books - stat, books - traced};
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare_doubles);
	return values[ROUNDS / 2];
}

/* Where the machine is emulated (test/kernels) its clocks are less at one. */
static double tolerated(double part)
{
	return getenv("EMULATED") ? 4 * part : part;
}

static bool rounds_agree(void)
{
	double books[ROUNDS], off_stat[ROUNDS], off_traced[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct shares shares = measure_round();

		books[i] = shares.books;
		off_stat[i] = shares.books_off_stat;
		off_traced[i] = shares.books_off_traced;
	}
	return median(books) > 0.01 && median(books) < 1.001 &&
	       fabs(median(off_stat)) < tolerated(TOLERATED) &&
	       fabs(median(off_traced)) < tolerated(TOLERATED_TRACED);
}

/* On a busy machine /proc/stat, which counts ticks, may be off by more than what is tolerated. */
static void both_ways_agree(void **state)
{
	struct bpf_link *links[] = {
		bpf_program__attach(server.skeleton->progs.server_switch),
		bpf_program__attach(server.skeleton->progs.server_interrupt),
		bpf_program__attach(server.skeleton->progs.server_resume),
	};
	bool agree = false;

	(void)state;
	if (!idle_books_distance() || !busy_ns(idle_books_distance()))
		skip();
	usleep(50000); /* a switch on each CPU, from which on it is booked */
	for (int i = 0; i < ATTEMPTS && !agree; i++)
		agree = rounds_agree();
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		bpf_link__destroy(links[i]);
	assert_true(agree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways_agree)};
	int failed;

	harness_require_root();
	if (server_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests_name("server: utilisation", tests, NULL, NULL);
	server_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
