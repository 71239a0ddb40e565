/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HAProxy's agent-check: what its manual allows is understood as HAProxy understands it; what it
 * does not changes nothing; and what we say is in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "../count.h"
#include "agent_check.h"

/* Unlike everything that a line could leave by mistake. */
static const struct agent_check before = {.weighted = true, .percent = 33};
static const struct agent_check closed = {.percent = 33, .down = true, .drained = true};

static int parse(const char *text, struct agent_check *check)
{
	return agent_check_parse(text, strlen(text), check);
}

static void lines_are_understood(void **state)
{
	static const struct {
		const char *line;
		bool weighted;
		uint32_t percent;
		bool down, drained;
	} lines[] = {
		{"75%\n", true, 75, false, false},
		{"75%\r\n", true, 75, false, false},
		{"75%\r", true, 75, false, false},
		{"0%\n", true, 0, false, false},
		{"100%\n", true, 100, false, false},
		{"256%\n", true, 256, false, false},
		{"007%\n", true, 7, false, false},
		{"up 40%\n", true, 40, false, false},
		{"up,40%\n", true, 40, false, false},
		{"\t40%\tup , ready\n", true, 40, false, false},
		{"40% 50%\n", true, 50, false, false}, /* the last one wins */
		{"down\n", true, 33, true, false},
		{"DOWN\n", true, 33, true, false},
		{"fail #the disk is full, 100% of it\n", true, 33, true, false},
		{"stopped # up\n", true, 33, true, false},
		{"down up\n", true, 33, false, false},
		{"drain\n", true, 33, false, true},
		{"maint 20%\n", true, 20, false, true},
		{"ready drain\n", true, 33, false, true},
		{"maxconn:30\n", true, 33, false, false},
		{"up what is this\n", true, 33, false, false}, /* but for the unknown words */
		{"10%\n90% drain\n", true, 10, false, false}, /* one line is all */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		struct agent_check check = before;

		assert_int_equal(parse(lines[i].line, &check), 0);
		assert_int_equal(check.weighted, lines[i].weighted);
		assert_int_equal(check.percent, lines[i].percent);
		assert_int_equal(check.down, lines[i].down);
		assert_int_equal(check.drained, lines[i].drained);
	}
}

static void what_is_not_said_stays(void **state)
{
	struct agent_check check = closed;

	(void)state;
	assert_int_equal(parse("40%\n", &check), 0);
	assert_true(check.down && check.drained);
	assert_int_equal(parse("up\n", &check), 0);
	assert_true(!check.down && check.drained);
	assert_int_equal(parse("ready\n", &check), 0);
	assert_true(!check.down && !check.drained);
	assert_int_equal(check.percent, 40);
}

static void lines_without_end_are_waited_for(void **state)
{
	static const char *const texts[] = {"", "7", "75%", "75% up", "down #", "\t"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct agent_check check = before;

		assert_int_equal(parse(texts[i], &check), -EAGAIN);
		assert_memory_equal(&check, &before, sizeof(check));
	}
}

static void what_is_no_line_changes_nothing(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} wrongs[] = {
#define WRONG(text) {text, sizeof(text) - 1}
		WRONG("\n"),
		WRONG("   \n"),
		WRONG(", ,\n"),
		WRONG("#75% up\n"),
		WRONG("75\n"), /* without the sign it is no weight */
		WRONG("%\n"),
		WRONG("75%%\n"),
		WRONG("75%x\n"),
		WRONG("x75%\n"),
		WRONG("-75%\n"),
		WRONG("+75%\n"),
		WRONG("7.5%\n"),
		WRONG("75 %\n"),
		WRONG("0x4b%\n"),
		WRONG("4294967296%\n"), /* more than 32 bits */
		WRONG("99999999999999999999999999%\n"),
		WRONG("upper\n"),
		WRONG("maxconn\n"),
		WRONG("maxcon:5\n"),
		WRONG("75%\0\n"),
		WRONG("\0\n75%\n"),
		WRONG("HTTP/1.1 200 OK\r\n"),
		WRONG("\xff\xfe\xfd\x80\n"),
		WRONG("\x16\x03\x01\x02\x00\x01\n"),
#undef WRONG
	};

	(void)state;
	for (size_t i = 0; i < COUNT(wrongs); i++) {
		struct agent_check check = closed;

		assert_int_equal(agent_check_parse(wrongs[i].bytes, wrongs[i].length, &check),
				 -EINVAL);
		assert_memory_equal(&check, &closed, sizeof(check));
	}
}

static void open_is_who_has_not_said_otherwise(void **state)
{
	struct agent_check check = {0};

	(void)state;
	assert_true(agent_check_open(&check)); /* nothing about a weight: the configured one */
	check = (struct agent_check){.weighted = true, .percent = 1};
	assert_true(agent_check_open(&check));
	check.percent = 0;
	assert_false(agent_check_open(&check));
	check = (struct agent_check){.down = true};
	assert_false(agent_check_open(&check));
	check = (struct agent_check){.drained = true};
	assert_false(agent_check_open(&check));
}

static void percent_follows_the_load(void **state)
{
	static const struct {
		struct load_report report;
		uint32_t cpus, percent;
	} loads[] = {
		{{0}, 2, 100},
		{{.utilisation = 32768}, 2, 50},
		{{.utilisation = 49151}, 64, 25},
		{{.utilisation = 65535}, 2, 12}, /* busy is not closed... */
		{{.utilisation = 65535, .in_flight = 32}, 2, 6}, /* ...and can be busier */
		{{.accept_queue = 65535}, 2, 1},
		{{.accept_queue = 32768}, 2, 50},
		{{.utilisation = 32768, .accept_queue = 52428}, 2, 10},
		{{.in_flight = 32}, 2, 50},
		{{.in_flight = 32}, 8, 80},
		{{.in_flight = 32, .utilisation = 32768}, 2, 25},
		{{.in_flight = 65535}, 2, 1},
		{{.in_flight = 16}, 0, 50}, /* a CPU there is, whatever is said */
		{{.latency = 0xffff}, 2, 100},
		{{.flags = LOAD_REPORT_DRAINING}, 2, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(loads); i++)
		assert_int_equal(agent_check_percent(&loads[i].report, loads[i].cpus),
				 loads[i].percent);
}

static void more_load_is_never_more_weight(void **state)
{
	struct load_report report = {0};
	uint32_t previous, percent;

	(void)state;
	for (int field = 0; field < 3; field++) {
		uint16_t *const fields[] = {&report.in_flight, &report.utilisation,
					    &report.accept_queue};

		report = (struct load_report){.in_flight = 5, .utilisation = 999};
		previous = 100;
		for (uint32_t value = 0; value <= 65535; value++) {
			*fields[field] = (uint16_t)value;
			percent = agent_check_percent(&report, 4);
			assert_true(percent >= 1 && percent <= previous);
			previous = percent;
		}
	}
}

static void what_we_say_is_understood(void **state)
{
	char line[AGENT_CHECK_LINE_MAX];

	(void)state;
	for (uint32_t in_flight = 0; in_flight <= 65535; in_flight += 5) {
		struct load_report report = {.in_flight = (uint16_t)in_flight};
		struct agent_check check = {0};
		size_t length = agent_check_format(&report, 2, line);

		assert_int_equal(line[length - 1], '\n');
		assert_int_equal(agent_check_parse(line, length, &check), 0);
		assert_int_equal(check.percent, agent_check_percent(&report, 2));
		assert_true(agent_check_open(&check));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_understood),
		cmocka_unit_test(what_is_not_said_stays),
		cmocka_unit_test(lines_without_end_are_waited_for),
		cmocka_unit_test(what_is_no_line_changes_nothing),
		cmocka_unit_test(open_is_who_has_not_said_otherwise),
		cmocka_unit_test(percent_follows_the_load),
		cmocka_unit_test(more_load_is_never_more_weight),
		cmocka_unit_test(what_we_say_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
