/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sweep's own cost. What it finds: test/net/meter.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"
#include "server/sweep.h"

#define BUCKETS (1 << 18) /* 16 MB: a moment to walk through */

static struct metrics metrics;
static struct bucket *meter;

static int set_up(void **state)
{
	(void)state;
	meter = calloc(BUCKETS, sizeof(*meter));
	return meter ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(meter);
	return 0;
}

static void a_large_table_is_paid_for_when_nothing_is_found(void **state)
{
	struct sweep sweep;
	uint64_t before, spent, pause;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	metrics.in_flight = 1;
	before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	assert_int_equal(sweep_run(&sweep), 0);
	spent = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
	pause = sweep.not_before_ns;
	assert_true(pause > 0);
	assert_true(pause < now_ns() + 101 * spent);
	assert_int_equal(sweep_run(&sweep), 0);
	assert_true(sweep.not_before_ns == pause || now_ns() >= pause);
	sweep_close(&sweep);
}

static void without_requests_nobody_looks(void **state)
{
	struct sweep sweep;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	metrics.in_flight = 0;
	assert_int_equal(sweep_run(&sweep), 0);
	assert_int_equal(sweep.not_before_ns, 0);
	sweep_close(&sweep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_table_is_paid_for_when_nothing_is_found),
		cmocka_unit_test(without_requests_nobody_looks),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
