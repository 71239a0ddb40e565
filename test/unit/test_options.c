/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables of options: what is parsed, what is refused, and what --help makes of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

#define WORDS_MAX 8

enum { CLIENT, SERVICE, COUNT, QUIET, PATIENCE };

static const struct option_row rows[] = {
	[CLIENT] = {"CLIENT", NULL, "who asks", COMPLETE_NOTHING, true},
	[SERVICE] = {"SERVICE", NULL, "what for", COMPLETE_SERVICE, false},
	[COUNT] = {"--count", "N", "how often", COMPLETE_NOTHING, false},
	[QUIET] = {"--quiet", NULL, "say nothing", COMPLETE_NOTHING, false},
	[PATIENCE] = {"--patience", "[=TIME]", "wait", COMPLETE_NOTHING, false},
	{0},
};

static const char *values[OPTIONS_MAX];

/* Words divided by spaces, behind the verb. */
static int parse(const char *line)
{
	static char text[128];
	char *argv[WORDS_MAX] = {"ask"}, *word;
	int argc = 1;

	strcpy(text, line);
	for (word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	return options_parse(rows, argc, argv, values);
}

static void test_parsed(void **state)
{
	(void)state;
	assert_int_equal(parse("c1"), 0);
	assert_string_equal(values[CLIENT], "c1");
	assert_null(values[SERVICE]);
	assert_null(values[COUNT]);
	assert_null(values[QUIET]);
	assert_int_equal(parse("--count 3 c1 --quiet web"), 0);
	assert_string_equal(values[CLIENT], "c1");
	assert_string_equal(values[SERVICE], "web");
	assert_string_equal(values[COUNT], "3");
	assert_string_equal(values[QUIET], "");
	assert_int_equal(parse("--patience c1"), 0);
	assert_string_equal(values[CLIENT], "c1");
	assert_string_equal(values[PATIENCE], "");
	assert_int_equal(parse("--patience=5s c1"), 0);
	assert_string_equal(values[PATIENCE], "5s");
	assert_int_equal(parse("--count=4 -- --quiet"), 0);
	assert_string_equal(values[CLIENT], "--quiet");
	assert_string_equal(values[COUNT], "4");
	assert_null(values[QUIET]);
}

static void test_refused(void **state)
{
	static const char *const lines[] = {
		"",	 "--quiet", "c1 web more", "c1 --count", "c1 --silent", "c1 --quiet=yes",
		"c1 -q",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(parse(lines[i]), -EINVAL);
}

static void test_help(void **state)
{
	static const struct verb verb = {"ask", NULL, "ask for something", rows};
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	verb_print_help(out, &verb);
	fclose(out);
	assert_string_equal(text, "usage: plimsoll ask CLIENT [SERVICE] [--count N] [--quiet] "
				  "[--patience[=TIME]]\n\n"
				  "ask for something\n\n"
				  "  CLIENT             who asks\n"
				  "  SERVICE            what for\n"
				  "  --count N          how often\n"
				  "  --quiet            say nothing\n"
				  "  --patience[=TIME]  wait\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parsed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
