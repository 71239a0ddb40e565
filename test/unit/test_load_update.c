/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a report changes in what is known of its server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load_update.h"

#define MS 1000000ULL

static const struct load_report first = {
	.sequence = 7,
	.in_flight = 3,
	.utilisation = 20000,
	.accept_queue = 300,
	.connections_seen = 11,
};

static void test_a_report_replaces_what_was_known(void **state)
{
	struct load load = {.connections_sent = 12};

	(void)state;
	assert_int_equal(load_update(&load, &first, MS), 1);
	assert_int_equal(load.in_flight, 3);
	assert_int_equal(load.utilisation, 20000);
	assert_int_equal(load.accept_queue, 300);
	assert_int_equal(load.connections_seen, 11);
	assert_int_equal(load.sequence, 7);
	assert_int_equal(load.received_ns, MS);
	assert_int_equal(load.reports, 1);
}

/* The slow loop lives on these sums. */
static void test_latencies_and_reports_add_up(void **state)
{
	struct load_report report = first;
	struct load load = {0};

	(void)state;
	report.latency = load_report_float_encode(1000);
	assert_int_equal(load_update(&load, &report, MS), 1);
	report.sequence++;
	report.in_flight = 0;
	report.latency = load_report_float_encode(500);
	assert_int_equal(load_update(&load, &report, 2 * MS), 1);
	assert_int_equal(load.latency_sum_us, 1500);
	assert_int_equal(load.in_flight_sum, 4); /* one that is idle had one when it was measured */
	assert_int_equal(load.reports, 2);
}

static void test_an_older_report_changes_nothing(void **state)
{
	struct load_report old = first;
	struct load load = {0}, before;

	(void)state;
	load_update(&load, &first, MS);
	before = load;
	old.sequence--;
	old.in_flight = 99;
	assert_int_equal(load_update(&load, &old, 2 * MS), 0);
	assert_memory_equal(&load, &before, sizeof(load));
	assert_int_equal(load_update(&load, &first, 2 * MS), 0);
	assert_memory_equal(&load, &before, sizeof(load));
}

/* Its clock was set back, and it began anew. */
static void test_after_a_silence_any_sequence_is_believed(void **state)
{
	struct load_report old = first;
	struct load load = {0};

	(void)state;
	load_update(&load, &first, MS);
	old.sequence -= 1000000;
	old.in_flight = 99;
	assert_int_equal(load_update(&load, &old, 1000 * MS), 0);
	assert_int_equal(load_update(&load, &old, 1001 * MS), 1);
	assert_int_equal(load.in_flight, 99);
	assert_int_equal(load.sequence, old.sequence);
	assert_int_equal(load_update(&load, &old, 1002 * MS), 0);
}

static void test_but_not_with_a_key(void **state)
{
	struct load_report old = first;
	struct load load = {0}, before;

	(void)state;
	old.flags = LOAD_REPORT_KEYED;
	load_update(&load, &old, MS);
	before = load;
	assert_int_equal(load_update(&load, &old, 60000 * MS), 0);
	assert_memory_equal(&load, &before, sizeof(load));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_report_replaces_what_was_known),
		cmocka_unit_test(test_latencies_and_reports_add_up),
		cmocka_unit_test(test_an_older_report_changes_nothing),
		cmocka_unit_test(test_after_a_silence_any_sequence_is_believed),
		cmocka_unit_test(test_but_not_with_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
