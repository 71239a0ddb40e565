/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The evidence for and against a backend, and what it comes to, on a clock that stands in the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)
#define START (100 * SECOND)
#define FLOW 0x1234500000

/* When is a backend silent that has been sent so many connections, of which none has gone on? */
static const struct silence_case {
	const char *name;
	uint32_t unanswered;
	uint64_t since_ms; /* the first of them */
	uint32_t handshake_us;
	int silent;
} silence_cases[] = {
	{"nothing was sent", 0, 0, 500, 0},
	{"two may both have been lost", 2, 5000, 500, 0},
	{"three", 3, 150, 500, 1},
	{"not for long", 1000, 90, 500, 0},
	{"clients far away are waited for: two handshakes and a tenth of a second", 10, 690, 300000,
	 0},
	{"but not for ever", 10, 710, 300000, 1},
	{"no handshake has ever been timed: as long as clients wait twice", 10, 2090, 0, 0},
	{"and no longer", 10, 2110, 0, 1},
};

static void test_silence(void **state)
{
	const struct silence_case *test = *state;
	struct health health = {
		.unanswered = test->unanswered,
		.handshake_us = test->handshake_us,
		.unanswered_ns = test->unanswered ? START - test->since_ms * MS : 0,
	};

	assert_int_equal(health_is_silent(&health, START), test->silent);
}

/* A hundred connections a second to one that has answered before: it is found within 200 ms. */
static void test_found_in_time(void **state)
{
	struct health health = {.handshake_us = 1000, .answered_ns = START};
	uint64_t now = START;

	(void)state;
	while (!health_is_silent(&health, now) && now < START + SECOND) {
		health_sent(&health, FLOW, now);
		now += 10 * MS;
	}
	assert_in_range(now - START, 100 * MS, 120 * MS);
}

static void test_who_answers_some_is_not_silent(void **state)
{
	struct health health = {.handshake_us = 1000};
	uint64_t now = START;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++, now += MS) {
		health_sent(&health, (uint64_t)i << 40, now);
		if (i % 50 == 0)
			health_answered(&health, 1, now);
		assert_false(health_is_silent(&health, now));
	}
}

static void test_an_answer_ends_it(void **state)
{
	struct health health = {.handshake_us = 1000, .unanswered = 9, .unanswered_ns = START};

	(void)state;
	health_suspect(&health, START + SECOND);
	health_answered(&health, FLOW, START + 2 * SECOND);
	assert_int_equal(health.suspect_ns, 0);
	assert_int_equal(health.unanswered, 0);
	assert_int_equal(health_silence_ns(&health, START + 3 * SECOND), 0);
	assert_int_equal(health.answered_ns, START + 2 * SECOND);
}

static void test_silence_begins_with_the_first(void **state)
{
	struct health health = {0};

	(void)state;
	health_sent(&health, FLOW, START);
	health_sent(&health, FLOW, START + SECOND);
	assert_int_equal(health_silence_ns(&health, START + 3 * SECOND), 3 * SECOND);
	/* Another CPU's clock may be read a moment earlier. */
	assert_int_equal(health_silence_ns(&health, START - 1), 0);
}

static void test_repeated_syns_count_for_more(void **state)
{
	struct health health = {.handshake_us = 1000};

	(void)state;
	health_sent(&health, FLOW, START);
	assert_false(health_is_silent(&health, START + SECOND));
	health_repeated(&health, FLOW);
	assert_true(health_is_silent(&health, START + SECOND));
	/* Of a connection that had its answer, and whose ACK was lost, nothing is held against anybody. */
	health = (struct health){0};
	health_repeated(&health, FLOW);
	assert_int_equal(health.unanswered, 0);
}

static void test_handshakes_are_timed(void **state)
{
	struct health health = {0};

	(void)state;
	health_sent(&health, FLOW, START);
	health_sent(&health, FLOW + (1ULL << 40), START + MS);
	/* One at a time. */
	health_answered(&health, FLOW + (1ULL << 40), START + 5 * MS);
	assert_int_equal(health.handshake_us, 0);
	health_answered(&health, FLOW, START + 8 * MS);
	assert_int_equal(health.handshake_us, 8000);
	/* Up half of the way, down an eighth. */
	health_sent(&health, FLOW, START);
	health_answered(&health, FLOW, START + 16 * MS);
	assert_int_equal(health.handshake_us, 12000);
	health_sent(&health, FLOW, START);
	health_answered(&health, FLOW, START + 4 * MS);
	assert_int_equal(health.handshake_us, 11000);
}

/* The second SYN may be the one that was answered (Karn's rule). */
static void test_repeated_handshakes_are_not_timed(void **state)
{
	struct health health = {0};

	(void)state;
	health_sent(&health, FLOW, START);
	health_repeated(&health, FLOW);
	health_answered(&health, FLOW, START + SECOND);
	assert_int_equal(health.handshake_us, 0);
}

static void test_one_that_never_ends_is_timed_no_more(void **state)
{
	struct health health = {0};

	(void)state;
	health_sent(&health, FLOW, START);
	health_sent(&health, 7, START + 4 * SECOND);
	health_answered(&health, 7, START + 4 * SECOND + MS);
	assert_int_equal(health.handshake_us, 1000);
}

/* Handshakes of before may end a moment later; who goes on after that has been answered. */
static void test_a_refusal_outlives_what_is_under_way(void **state)
{
	struct health health = {.handshake_us = 2000};

	(void)state;
	health_sent(&health, FLOW, START);
	health_refuse(&health, START + MS);
	assert_int_equal(health.refused, 1);
	assert_int_equal(health.suspect_ns, START + MS);
	assert_false(health_trial_due(&health, START + 250 * MS));
	assert_true(health_trial_due(&health, START + 251 * MS));
	assert_int_equal(health_answered(&health, 7, START + 4 * MS), 0);
	assert_int_equal(health.suspect_ns, START + MS);
	assert_int_equal(health.answered_ns, START + 4 * MS);
	/* Once more is the same suspicion. */
	health_refuse(&health, START + 4 * MS);
	assert_int_equal(health.refused, 2);
	assert_int_equal(health.suspect_ns, START + MS);
	assert_int_equal(health_answered(&health, 7, START + 5 * MS), 1);
	assert_int_equal(health.suspect_ns, 0);
	assert_int_equal(health.refused, 0);
	assert_int_equal(health.unanswered_ns, 0);
}

static void test_trials_become_rare(void **state)
{
	static const uint64_t apart_ms[] = {250, 500, 1000, 2000, 4000, 8000, 16000, 16000, 16000};
	struct health health = {0};
	uint64_t now = START;
	size_t i;

	(void)state;
	health_suspect(&health, now);
	assert_false(health_trial_due(&health, now + 249 * MS));
	now += 250 * MS;
	for (i = 0; i < sizeof(apart_ms) / sizeof(*apart_ms); i++) {
		assert_true(health_trial_due(&health, now));
		health_try(&health, now);
		/* One connection, not all that come. */
		assert_false(health_trial_due(&health, now));
		assert_false(health_trial_due(&health, now + apart_ms[i] * MS - 1));
		now += apart_ms[i] * MS;
	}
	/* The next time begins from the start. */
	health_suspect(&health, now);
	assert_true(health_trial_due(&health, now + 250 * MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_in_time),
		cmocka_unit_test(test_who_answers_some_is_not_silent),
		cmocka_unit_test(test_an_answer_ends_it),
		cmocka_unit_test(test_silence_begins_with_the_first),
		cmocka_unit_test(test_repeated_syns_count_for_more),
		cmocka_unit_test(test_handshakes_are_timed),
		cmocka_unit_test(test_repeated_handshakes_are_not_timed),
		cmocka_unit_test(test_one_that_never_ends_is_timed_no_more),
		cmocka_unit_test(test_a_refusal_outlives_what_is_under_way),
		cmocka_unit_test(test_trials_become_rare),
	};
	struct CMUnitTest silences[sizeof(silence_cases) / sizeof(*silence_cases)];
	size_t i;

	for (i = 0; i < sizeof(silences) / sizeof(*silences); i++)
		silences[i] = (struct CMUnitTest){
			.name = silence_cases[i].name,
			.test_func = test_silence,
			.initial_state = (void *)&silence_cases[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(silences, NULL, NULL);
}
