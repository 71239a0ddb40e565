/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `plimsoll top` puts on the screen: which backends, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/terminal.h"
#include "cli/top_view.h"

#define MANY 500
#define HEAD_ROWS 3

static char *screen;

/* A status with so many backends: "b0", "b1", ..., of which the third of three has no report. */
static json_t *status_of(int count)
{
	json_t *backends = json_array();
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "b%d.", i);
		json_array_append_new(backends,
				      json_pack("{s:s, s:s, s:o, s:f}", "address", name, "state",
						"healthy", "in_flight",
						i == 2 ? json_null() : json_integer(i * 7 % 11),
						"share", 1.0 / count));
	}
	return json_pack("{s:s, s:s, s:f, s:[{s:s, s:f, s:o}]}", "role", "balancer", "instance",
			 "edge", "uptime_seconds", 1.0, "services", "name", "web",
			 "connections_per_second", 12.5, "backends", backends);
}

static void draw(struct top_view *view, int count, const char *notice)
{
	json_t *status = status_of(count);
	size_t length;
	FILE *out;

	free(screen);
	out = open_memstream(&screen, &length);
	top_view_draw(view, out, status, notice);
	fclose(out);
	json_decref(status);
}

static size_t lines(void)
{
	size_t count = 0;

	for (const char *letter = screen; *letter; letter++)
		count += *letter == '\n';
	return count;
}

/* The place on the screen of a backend, 0 for none. */
static size_t place(const char *name)
{
	const char *at = strstr(screen, name);

	return at ? (size_t)(at - screen) : 0;
}

static void test_as_configured(void **state)
{
	struct top_view view = top_view_usual();

	(void)state;
	draw(&view, 4, NULL);
	assert_int_equal(lines(), HEAD_ROWS + 4);
	assert_non_null(strstr(screen, "12.5 conn/s, 1 service, 4 of 4 backends up\n"));
	assert_true(place("b0.") < place("b1.") && place("b1.") < place("b2."));
	top_view_key(&view, 'r');
	draw(&view, 4, NULL);
	assert_true(place("b0.") > place("b1.") && place("b1.") > place("b2."));
}

static void test_sorted_and_what_is_unknown_is_last(void **state)
{
	struct top_view view = top_view_usual();

	(void)state;
	assert_true(top_view_key(&view, 'i'));
	draw(&view, 4, NULL); /* in flight: 0, 7, unknown, 10 */
	assert_true(place("b3.") < place("b1.") && place("b1.") < place("b0."));
	assert_true(place("b0.") < place("b2."));
	assert_true(top_view_key(&view, 'r'));
	draw(&view, 4, NULL);
	assert_true(place("b0.") < place("b1.") && place("b1.") < place("b3."));
	assert_true(place("b3.") < place("b2."));
	assert_non_null(strstr(screen, "[in-flight]"));
}

static void test_equals_keep_their_places(void **state)
{
	struct top_view view = top_view_usual();

	(void)state;
	top_view_key(&view, 's');
	draw(&view, 8, NULL);
	for (int i = 0; i < 7; i++) {
		char one[16], next[16];

		snprintf(one, sizeof(one), "b%d.", i);
		snprintf(next, sizeof(next), "b%d.", i + 1);
		assert_true(place(one) < place(next));
	}
}

static void test_many_scroll(void **state)
{
	struct top_view view = top_view_usual();

	(void)state;
	view.rows = 30;
	draw(&view, MANY, NULL);
	assert_int_equal(lines(), 30);
	assert_true(place("b26.") && !place("b27."));
	top_view_key(&view, KEY_PAGE_DOWN);
	draw(&view, MANY, NULL);
	assert_true(!place("b26.") && place("b27.") && place("b53."));
	assert_non_null(strstr(screen, "shown from 28"));
	top_view_key(&view, KEY_DOWN);
	draw(&view, MANY, NULL);
	assert_true(!place("b27.") && place("b54."));
	top_view_key(&view, KEY_END);
	draw(&view, MANY, NULL);
	assert_int_equal(lines(), 30);
	assert_true(place("b499.") && place("b473.") && !place("b472."));
	top_view_key(&view, KEY_UP);
	draw(&view, MANY, NULL);
	assert_true(place("b472.") && !place("b499."));
	top_view_key(&view, KEY_HOME);
	top_view_key(&view, KEY_UP);
	draw(&view, MANY, NULL);
	assert_true(place("b0."));
}

static void test_a_window_without_room(void **state)
{
	struct top_view view = top_view_usual();

	(void)state;
	view.rows = 1;
	draw(&view, 4, NULL);
	assert_int_equal(lines(), HEAD_ROWS + 1);
	draw(&view, 0, "the daemon does not answer");
	assert_non_null(strstr(screen, "the daemon does not answer"));
}

static void test_other_keys_mean_nothing(void **state)
{
	struct top_view view = top_view_usual(), same = view;

	(void)state;
	assert_false(top_view_key(&view, 'x'));
	assert_false(top_view_key(&view, KEY_NONE));
	assert_false(top_view_key(&view, 300));
	assert_memory_equal(&view, &same, sizeof(view));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_configured),
		cmocka_unit_test(test_sorted_and_what_is_unknown_is_last),
		cmocka_unit_test(test_equals_keep_their_places),
		cmocka_unit_test(test_many_scroll),
		cmocka_unit_test(test_a_window_without_room),
		cmocka_unit_test(test_other_keys_mean_nothing),
	};
	int failed = cmocka_run_group_tests_name("top", tests, NULL, NULL);

	free(screen);
	return failed;
}
