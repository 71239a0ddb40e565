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

/*
 * One of several servers, for an hour, in milliseconds: connections come by chance, and some are lost; one in
 * doubt is sent the next of its service.
 */
static const struct course_case {
	const char *name;
	uint32_t each_second; /* to this server */
	uint32_t whole_service; /* each second, to all */
	uint32_t flood; /* SYNs each second, to this server, that nobody means */
	uint32_t handshake_ms;
	uint32_t lost_per_mille;
	uint32_t false_alarms; /* at most */
} course_cases[] = {
	{"hour: no network is at fault", 25, 100, 0, 1, 0, 0},
	{"hour: one SYN in a hundred is lost", 25, 100, 0, 1, 10, 0},
	{"hour: likewise, and connections are few", 1, 3, 0, 1, 10, 0},
	{"hour: one SYN in ten is lost", 25, 100, 0, 1, 100, 24},
	{"hour: one SYN in ten is lost, and connections are many", 100, 400, 0, 1, 100, 0},
	{"hour: handshakes take a third of a second", 25, 100, 0, 300, 10, 0},
	{"hour: a flood of SYNs", 25, 100, 5000, 1, 0, 2},
	{"hour: a flood of SYNs, and connections are many", 200, 800, 20000, 1, 10, 0},
};

#define COURSE_MS 3600000
#define COURSE_UNDER_WAY 512 /* handshakes, at most, in this time */

struct course {
	const struct course_case *test;
	struct health health;
	uint64_t random;
	uint8_t answers[COURSE_UNDER_WAY]; /* by the millisecond in which they come */
	uint32_t alarms;
};

static int by_chance(struct course *course, uint32_t in_a_million)
{
	course->random = course->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (course->random >> 33) % 1000000 < in_a_million;
}

/* Each millisecond's have one of their own. */
static uint64_t course_flow(uint32_t ms)
{
	return (uint64_t)ms << 1;
}

static void course_send(struct course *course, uint32_t ms)
{
	uint64_t now = START + ms * MS;

	if (health_is_silent(&course->health, now)) {
		course->alarms++;
		/* As if it had been tried, and had answered. */
		health_suspect(&course->health, now);
		health_answered(&course->health, 1, now);
	}
	health_sent(&course->health, course_flow(ms), now);
	if (!by_chance(course, course->test->lost_per_mille * 1000))
		course->answers[(ms + course->test->handshake_ms) % COURSE_UNDER_WAY]++;
}

static void course_step(struct course *course, uint32_t ms)
{
	uint64_t now = START + ms * MS;
	uint8_t *answers = &course->answers[ms % COURSE_UNDER_WAY];
	uint32_t i;

	for (; *answers; --*answers)
		health_answered(&course->health, course_flow(ms - course->test->handshake_ms), now);
	for (i = 0; i < course->test->flood / 1000; i++) {
		if (health_is_silent(&course->health, now))
			course_send(course, ms);
		health_sent(&course->health, 0, now);
	}
	if (by_chance(course, course->test->each_second * 1000) ||
	    (by_chance(course, course->test->whole_service * 1000) &&
	     health_is_in_doubt(&course->health, now)))
		course_send(course, ms);
}

static void test_course(void **state)
{
	struct course course = {.test = *state, .random = 1};
	uint32_t ms;

	course.health.handshake_us = course.test->handshake_ms * 1000;
	for (ms = 0; ms < COURSE_MS; ms++)
		course_step(&course, ms);
	if (course.alarms > course.test->false_alarms)
		fail_msg("%u false alarms", course.alarms);
}

/* Whoever goes by load sends it nothing more by itself: the connections that find it are those in doubt. */
static void test_one_in_doubt_is_found_in_time(void **state)
{
	struct health health = {.handshake_us = 1000, .answered_ns = START};
	uint32_t ms;

	(void)state;
	health_sent(&health, FLOW, START);
	for (ms = 10; ms < 1000; ms += 10) {
		/* Whom it is about, the daemon says after its next look. */
		if (ms < 60 || !health_is_in_doubt(&health, START + ms * MS))
			continue;
		if (health_is_silent(&health, START + ms * MS))
			break;
		health_sent(&health, FLOW, START + ms * MS);
	}
	assert_in_range(ms, 100, 120);
	assert_int_equal(health.unanswered, HEALTH_UNANSWERED_MIN);
}

static void test_what_is_usual_is_learned(void **state)
{
	struct health health = {.handshake_us = 1000};
	int i, j;

	(void)state;
	for (i = 0; i < 200; i++) {
		for (j = 0; j < 10; j++)
			health_sent(&health, FLOW, START);
		health_answered(&health, FLOW, START);
	}
	assert_in_range(health_enough(&health), 130, 150);
	/* A burst of which all are answered is none of it. */
	for (i = 0; i < 200; i++) {
		for (j = 0; j < 6; j++)
			health_sent(&health, FLOW, START);
		for (j = 0; j < 6; j++)
			health_answered(&health, FLOW, START);
	}
	assert_int_equal(health_enough(&health), HEALTH_UNANSWERED_MIN);
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

static void test_repeated_syns_count(void **state)
{
	struct health health = {.handshake_us = 1000};

	(void)state;
	/* One SYN that is lost, and comes again, condemns nobody. */
	health_sent(&health, FLOW, START);
	health_repeated(&health, FLOW);
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
		cmocka_unit_test(test_one_in_doubt_is_found_in_time),
		cmocka_unit_test(test_what_is_usual_is_learned),
		cmocka_unit_test(test_an_answer_ends_it),
		cmocka_unit_test(test_silence_begins_with_the_first),
		cmocka_unit_test(test_repeated_syns_count),
		cmocka_unit_test(test_handshakes_are_timed),
		cmocka_unit_test(test_repeated_handshakes_are_not_timed),
		cmocka_unit_test(test_one_that_never_ends_is_timed_no_more),
		cmocka_unit_test(test_a_refusal_outlives_what_is_under_way),
		cmocka_unit_test(test_trials_become_rare),
	};
	struct CMUnitTest silences[sizeof(silence_cases) / sizeof(*silence_cases)];
	struct CMUnitTest courses[sizeof(course_cases) / sizeof(*course_cases)];
	size_t i;

	for (i = 0; i < sizeof(courses) / sizeof(*courses); i++)
		courses[i] = (struct CMUnitTest){
			.name = course_cases[i].name,
			.test_func = test_course,
			.initial_state = (void *)&course_cases[i],
		};
	for (i = 0; i < sizeof(silences) / sizeof(*silences); i++)
		silences[i] = (struct CMUnitTest){
			.name = silence_cases[i].name,
			.test_func = test_silence,
			.initial_state = (void *)&silence_cases[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(silences, NULL, NULL) +
	       cmocka_run_group_tests(courses, NULL, NULL);
}
