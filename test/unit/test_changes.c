/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked to be changed of a backend, as it comes in. What it leads to is test/net's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "balancer/changes.h"

static void expect_change(const char *text, struct change expected)
{
	char wrong[CHANGE_WRONG_MAX];
	struct change change;

	assert_int_equal(change_parse(text, strlen(text), &change, wrong), 0);
	assert_int_equal(change.weight, expected.weight);
	assert_int_equal(change.drains, expected.drains);
	assert_int_equal(change.draining, expected.draining);
}

static void test_changes(void **state)
{
	(void)state;
	expect_change("{\"weight\": 1}", (struct change){.weight = 1});
	expect_change(" {\"weight\":1000} ", (struct change){.weight = 1000});
	expect_change("{\"draining\": true}", (struct change){.drains = true, .draining = true});
	expect_change("{\"draining\": false}", (struct change){.drains = true});
	expect_change("{\"draining\": true, \"weight\": 7}",
		      (struct change){.weight = 7, .drains = true, .draining = true});
}

static void expect_refusal(const char *text, size_t length, const char *words)
{
	char wrong[CHANGE_WRONG_MAX];
	struct change change;

	assert_int_equal(change_parse(text, length, &change, wrong), -EINVAL);
	assert_non_null(strstr(wrong, words));
}

static void test_refusals(void **state)
{
	static const char *const no_objects[] = {
		"",
		"{}",
		"[]",
		"3",
		"{\"weight\": 3",
		"{\"weight\": 3} {}",
		"{\"weight\": 3, \"weight\": 4}",
		"{\"weight\": \"\xff\"}",
	};
	static const char *const no_weights[] = {
		"{\"weight\": 0}",	    "{\"weight\": 1001}",  "{\"weight\": -1}",
		"{\"weight\": 1.5}",	    "{\"weight\": \"3\"}", "{\"weight\": null}",
		"{\"weight\": 4294967297}",
	};
	static const char unknown[] = "{\"weight\": 3, \"wieght\": 3}";
	static const char no_truth[] = "{\"draining\": 1}";

	(void)state;
	expect_refusal(NULL, 0, "a JSON object such as");
	for (size_t i = 0; i < sizeof(no_objects) / sizeof(*no_objects); i++)
		expect_refusal(no_objects[i], strlen(no_objects[i]), "a JSON object such as");
	for (size_t i = 0; i < sizeof(no_weights) / sizeof(*no_weights); i++)
		expect_refusal(no_weights[i], strlen(no_weights[i]),
			       "a whole number from 1 to 1000");
	expect_refusal(unknown, strlen(unknown),
		       "unknown key \"wieght\"; there are weight and draining");
	expect_refusal(no_truth, strlen(no_truth), "draining: expected true or false");
	/* A body need not end where a string would. */
	expect_refusal("{\"weight\": 3}", strlen("{\"weight\": "), "a JSON object such as");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
