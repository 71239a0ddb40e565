/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One test function for all cases of an array, each by the name that the case begins with. */
#ifndef PLIMSOLL_TEST_RUN_EACH_H
#define PLIMSOLL_TEST_RUN_EACH_H

#include <stddef.h>

#include "../count.h"

#define RUN_EACH(group, test, cases) run_each(group, test, cases, sizeof(*(cases)), COUNT(cases))

static inline int run_each(const char *group, void (*test)(void **), const void *cases, size_t size,
			   size_t count)
{
	struct CMUnitTest tests[64];

	assert_true(count <= COUNT(tests));
	for (size_t i = 0; i < count; i++) {
		const char *one = (const char *)cases + i * size;

		tests[i] = (struct CMUnitTest){
			.name = *(const char *const *)one,
			.test_func = test,
			.initial_state = (void *)one,
		};
	}
	return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}

#endif
