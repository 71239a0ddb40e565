/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What health comes to, and in which words; how checks rise and fall; how a slow start rises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "balancer/check.h"
#include "balancer/health_state.h"

#define SECOND 1000000000ULL

static const struct state_case {
	const char *name;
	struct health_facts facts;
	enum health_state state;
	const char *cause;
	enum { NOTHING, REPORTS, REFUSES } meanwhile;
} state_cases[] = {
	{"just begun",
	 {.reachable = false},
	 HEALTH_UNKNOWN,
	 "is being asked for its MAC address",
	 NOTHING},
	{"answers ARP, and that is all",
	 {.reachable = true},
	 HEALTH_UNKNOWN,
	 "answers ARP; no client has connected to it yet",
	 NOTHING},
	{"likewise in IPv6",
	 {.reachable = true, .ipv6 = true},
	 HEALTH_UNKNOWN,
	 "answers neighbour discovery; no client has connected to it yet",
	 NOTHING},
	{"a client's connection went on",
	 {.reachable = true, .answered = true},
	 HEALTH_HEALTHY,
	 "answers clients' connections",
	 NOTHING},
	{"reports",
	 {.reachable = true, .reports = true},
	 HEALTH_HEALTHY,
	 "reports its load",
	 NOTHING},
	{"passes its check",
	 {.reachable = true, .verdict = CHECK_UP, .answered = true},
	 HEALTH_HEALTHY,
	 "passes its http check of 10.1.0.100:80/",
	 NOTHING},
	{"suspect",
	 {.reachable = true, .answered = true, .suspect = true},
	 HEALTH_SUSPECT,
	 "has left 12 connections without an answer for 110 ms, and does not report its load",
	 NOTHING},
	{"suspect, and reports",
	 {.reachable = true, .answered = true, .suspect = true, .reports = true},
	 HEALTH_SUSPECT,
	 "has left 12 connections without an answer for 110 ms, though it reports its load: does it "
	 "refuse them?",
	 REPORTS},
	{"suspect, although its check passes",
	 {.reachable = true, .verdict = CHECK_UP, .suspect = true},
	 HEALTH_SUSPECT,
	 "has left 12 connections without an answer for 110 ms, and does not report its load",
	 NOTHING},
	{"refuses",
	 {.reachable = true, .answered = true, .suspect = true, .reports = true},
	 HEALTH_SUSPECT,
	 "refuses connections: nobody listens there, 110 ms after the first that was not answered",
	 REFUSES},
	{"fails its check, which says more than a suspicion",
	 {.reachable = true, .verdict = CHECK_DOWN, .suspect = true, .answered = true},
	 HEALTH_DOWN,
	 "fails its http check of 10.1.0.100:80/: connection refused",
	 NOTHING},
	{"is gone, which says more than a check",
	 {.unreachable = true, .verdict = CHECK_DOWN, .suspect = true},
	 HEALTH_DOWN,
	 "does not answer ARP: new connections go to the others",
	 NOTHING},
	{"is gone in IPv6",
	 {.unreachable = true, .ipv6 = true},
	 HEALTH_DOWN,
	 "does not answer neighbour discovery: new connections go to the others",
	 NOTHING},
	{"drains, whatever else",
	 {.unreachable = true, .draining = true, .verdict = CHECK_DOWN},
	 HEALTH_DRAINING,
	 "drains: new connections go to the others",
	 NOTHING},
};

static void test_state(void **state)
{
	const struct state_case *test = *state;
	const struct health_details details = {
		.check = "http check of 10.1.0.100:80/",
		.result = "connection refused",
		.unanswered = 12,
		.silence_ms = 110,
		.reports = test->meanwhile == REPORTS,
		.refused = test->meanwhile == REFUSES,
	};
	char cause[HEALTH_CAUSE_MAX];

	health_cause(&test->facts, &details, cause);
	assert_string_equal(health_state_name(health_judge(&test->facts)),
			    health_state_name(test->state));
	assert_string_equal(cause, test->cause);
}

/* Results, one letter each: passed or failed; the verdict after each: up, down, undecided. */
static const struct {
	uint32_t rise, fall;
	const char *results, *verdicts;
} courses[] = {
	{2, 3, "p", "u"}, /* who has never been down need not rise */
	{2, 3, "fff", "--d"},
	{2, 3, "ffpff", "--uuu"},
	{2, 3, "pfffpfpp", "uuuddddu"},
	{2, 3, "pffpffpfff", "uuuuuuuuud"},
	{1, 1, "pfpf", "udud"},
	{3, 1, "fppp", "dddu"},
};

static void test_checks_rise_and_fall(void **state)
{
	static const char letters[] = {
		[CHECK_UNDECIDED] = '-', [CHECK_UP] = 'u', [CHECK_DOWN] = 'd'};

	(void)state;
	for (size_t i = 0; i < sizeof(courses) / sizeof(courses[0]); i++) {
		struct check_record record = {0};
		char before = '-';

		for (size_t j = 0; courses[i].results[j]; j++) {
			bool changed = check_note(&record, courses[i].results[j] == 'p', "it",
						  courses[i].rise, courses[i].fall);

			assert_int_equal(letters[record.verdict], courses[i].verdicts[j]);
			assert_int_equal(changed, before != courses[i].verdicts[j]);
			before = courses[i].verdicts[j];
		}
	}
}

static void test_status_lines(void **state)
{
	static const struct {
		const char *line;
		unsigned int status;
	} lines[] = {
		{"HTTP/1.1 200 OK", 200},
		{"HTTP/1.0 404 Not Found", 404},
		{"HTTP/1.1 503 ", 503},
		{"HTTP/1.1 204", 204},
		{"HTTP/1.1 2000 OK", 0},
		{"HTTP/1.1 20 OK", 0},
		{"HTTP/1.1 099 No", 0},
		{"HTTP/1.1  200", 0},
		{"HTTP/2 200", 0},
		{"HTTP/1.", 0},
		{"HTTP/1.1", 0},
		{"HTTP/1.1 ", 0},
		{"SSH-2.0-OpenSSH_9.2", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(check_read_status(lines[i].line), lines[i].status);
}

static void test_a_slow_start_rises_in_tenths(void **state)
{
	uint32_t before = 0;

	(void)state;
	assert_int_equal(health_ramp(0, 10 * SECOND), HEALTH_RAMP_ONE / 10);
	assert_int_equal(health_ramp(SECOND - 1, 10 * SECOND), HEALTH_RAMP_ONE / 10);
	assert_int_equal(health_ramp(5 * SECOND, 10 * SECOND), HEALTH_RAMP_ONE * 6 / 10);
	for (uint64_t i = 0; i < 10; i++) {
		uint32_t ramp = health_ramp(i * SECOND, 10 * SECOND);

		assert_true(ramp > before);
		before = ramp;
	}
	assert_int_equal(before, HEALTH_RAMP_ONE);
	assert_int_equal(health_ramp(100 * SECOND, 10 * SECOND), HEALTH_RAMP_ONE);
	assert_int_equal(health_ramp(0, 0), HEALTH_RAMP_ONE);
	assert_int_equal(health_ramp(0, 9), HEALTH_RAMP_ONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checks_rise_and_fall),
		cmocka_unit_test(test_status_lines),
		cmocka_unit_test(test_a_slow_start_rises_in_tenths),
	};
	struct CMUnitTest states[sizeof(state_cases) / sizeof(state_cases[0])];

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		states[i] = (struct CMUnitTest){
			.name = state_cases[i].name,
			.test_func = test_state,
			.initial_state = (void *)&state_cases[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(states, NULL, NULL);
}
