/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sweep's own cost, and what it leaves of slots whose connections this host has never had. What
 * it finds of real ones: test/net/meter.bats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "meter_slot.h"
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
	metrics = (struct metrics){.in_flight = 1, .spilled = 1};
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
	metrics = (struct metrics){0};
	assert_int_equal(sweep_run(&sweep), 0);
	assert_int_equal(sweep.not_before_ns, 0);
	sweep_close(&sweep);
}

/* A slot in that bucket, so many seconds old. */
static __u64 *slot_put(uint32_t bucket, int slot, enum meter_state state, unsigned int seconds)
{
	__u64 *place = &meter[bucket].slot[slot];

	*place = meter_value(1ULL << METER_FINGERPRINT_SHIFT, state, 0,
			     now_ns() - seconds * 1000000000ULL);
	return place;
}

/* One of each in the front, one in the last bucket of the rest. */
static void waiting_and_shaking_hands(__u64 *old[4], __u64 *young[4])
{
	memset(meter, 0, BUCKETS * sizeof(*meter));
	metrics = (struct metrics){.in_flight = 4, .spilled = 4};
	for (int i = 0; i < 2; i++) {
		uint32_t bucket = i ? BUCKETS - 1 : METER_FRONT_BUCKETS - 1;

		old[i] = slot_put(bucket, 0, METER_WAITING, 1);
		young[i] = slot_put(bucket, 1, METER_WAITING, 0);
		old[2 + i] = slot_put(bucket, 2, METER_SYN_ACK, 66);
		young[2 + i] = slot_put(bucket, 3, METER_SYN, 60);
	}
}

static void what_comes_to_nothing_goes(void **state)
{
	__u64 *old[4], *young[4];
	struct sweep sweep;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	waiting_and_shaking_hands(old, young);
	assert_int_equal(sweep_run(&sweep), 0);
	for (int i = 0; i < 4; i++)
		assert_true(*young[i]);
	assert_false(*old[0]);
	assert_false(*old[1]);
	/* In the front the next connection takes its place. */
	assert_true(*old[2]);
	assert_false(*old[3]);
	assert_int_equal(metrics.in_flight, 2);
	assert_int_equal(metrics.swept, 2);
	assert_int_equal(metrics.spilled, 2);
	sweep_close(&sweep);
}

/* It is not looked at, which is seen by what stays. */
static void where_nothing_has_spilled_over_only_the_front_is_read(void **state)
{
	__u64 *old[4], *young[4];
	struct sweep sweep;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	waiting_and_shaking_hands(old, young);
	metrics.spilled = 0;
	assert_int_equal(sweep_run(&sweep), 0);
	assert_false(*old[0]);
	assert_true(*old[1]);
	assert_int_equal(metrics.swept, 1);
	sweep_close(&sweep);
}

/* Who was a suspect when the sockets were last asked is owed an answer; a new one has to be asked for. */
static void suspects_that_are_known_can_wait(void **state)
{
	__u64 *known, *new;
	struct sweep sweep;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	memset(meter, 0, BUCKETS * sizeof(*meter));
	metrics = (struct metrics){.in_flight = 2};
	known = slot_put(0, 0, METER_WAITING, 20);
	sweep.asked_ns = now_ns() - 100000000;
	assert_int_equal(sweep_run(&sweep), 0);
	assert_true(*known);
	new = slot_put(1, 0, METER_WAITING, 0);
	*new = meter_again(*new, now_ns() - 550000000);
	sweep.not_before_ns = 0;
	assert_int_equal(sweep_run(&sweep), 0);
	assert_false(*new);
	assert_false(*known);
	sweep_close(&sweep);
}

/* So that nobody stays who has ceased to be owed one. */
static void nobody_waits_longer_than_a_second_to_be_asked_for(void **state)
{
	struct sweep sweep;
	__u64 *known;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	memset(meter, 0, BUCKETS * sizeof(*meter));
	metrics = (struct metrics){.in_flight = 1};
	known = slot_put(0, 0, METER_WAITING, 20);
	sweep.asked_ns = now_ns() - 1000000000;
	assert_int_equal(sweep_run(&sweep), 0);
	assert_false(*known);
	sweep_close(&sweep);
}

static void handshakes_behind_the_front_go_without_requests(void **state)
{
	struct sweep sweep;
	__u64 *slot;

	(void)state;
	assert_int_equal(sweep_open(&sweep, meter, BUCKETS, &metrics), 0);
	memset(meter, 0, BUCKETS * sizeof(*meter));
	metrics = (struct metrics){.spilled = 1};
	slot = slot_put(METER_FRONT_BUCKETS, 0, METER_COOKIE, 66);
	assert_int_equal(sweep_run(&sweep), 0);
	assert_false(*slot);
	assert_int_equal(metrics.spilled, 0);
	assert_int_equal(metrics.in_flight, 0);
	assert_int_equal(metrics.swept, 0);
	sweep_close(&sweep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_table_is_paid_for_when_nothing_is_found),
		cmocka_unit_test(without_requests_nobody_looks),
		cmocka_unit_test(what_comes_to_nothing_goes),
		cmocka_unit_test(where_nothing_has_spilled_over_only_the_front_is_read),
		cmocka_unit_test(suspects_that_are_known_can_wait),
		cmocka_unit_test(nobody_waits_longer_than_a_second_to_be_asked_for),
		cmocka_unit_test(handshakes_behind_the_front_go_without_requests),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
