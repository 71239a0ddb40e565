// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_needs.h"

static void test_too_old(void **state)
{
	static const char *const releases[] = {"4.19.0-27-amd64", "5.10.0-30-amd64", "5.18.1",
					       "6.0.12"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(releases) / sizeof(*releases); i++) {
		assert_true(kernel_lacks(releases[i], true, text, sizeof(text)));
		assert_non_null(strstr(text, releases[i]));
		assert_non_null(strstr(text, "6.1;"));
	}
}

static void test_new_enough(void **state)
{
	static const char *const releases[] = {
		"6.1.0-56-amd64", "6.12.117+deb12-amd64", "7.0", "11.2", "", "unreadable"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(releases) / sizeof(*releases); i++)
		assert_false(kernel_lacks(releases[i], true, text, sizeof(text)));
}

static void test_without_types(void **state)
{
	char text[256];

	(void)state;
	assert_true(kernel_lacks("6.12.1", false, text, sizeof(text)));
	assert_non_null(strstr(text, "CONFIG_DEBUG_INFO_BTF"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_old),
		cmocka_unit_test(test_new_enough),
		cmocka_unit_test(test_without_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
