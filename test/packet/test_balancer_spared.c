/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Suspect backends and such as are down get no new connections, by every policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "health_world.h"
#include "run_each.h"

#define MANY 200 /* flows */

/* By every policy, with feedback and without, with loads known and not. */
static const struct policy_case {
	const char *name;
	struct before before;
} policy_cases[] = {
	{"power-of-choices", {.policy = POLICY_POWER_OF_CHOICES}},
	{"power-of-choices, with one choice", {.choices = 1}},
	{"power-of-choices, nothing known", {.age_ms = {NEVER, NEVER, NEVER}}},
	{"power-of-choices, no feedback", {.no_feedback = true}},
	{"least-loaded", {.policy = POLICY_LEAST_LOADED}},
	{"least-loaded, nothing known",
	 {.policy = POLICY_LEAST_LOADED, .age_ms = {NEVER, NEVER, NEVER}}},
	{"least-loaded, no feedback", {.policy = POLICY_LEAST_LOADED, .no_feedback = true}},
	{"prequal", {.policy = POLICY_PREQUAL}},
	{"weighted-random", {.policy = POLICY_WEIGHTED_RANDOM}},
	{"round-robin", {.policy = POLICY_ROUND_ROBIN}},
	{"round-robin, no feedback", {.policy = POLICY_ROUND_ROBIN, .no_feedback = true}},
	{"random", {.policy = POLICY_RANDOM}},
	{"random, no feedback", {.policy = POLICY_RANDOM, .no_feedback = true}},
	{"maglev", {.policy = POLICY_MAGLEV}},
	{"maglev, no feedback", {.policy = POLICY_MAGLEV, .no_feedback = true}},
};

static void test_the_only_good_one_gets_all(void **state)
{
	const struct policy_case *test = *state;
	uint32_t good, other;
	uint16_t port;

	for (good = 1; good <= BACKENDS; good++) {
		world_reset(&test->before);
		other = good % BACKENDS + 1;
		set_suspect(other, 10000);
		set_down(other % BACKENDS + 1);
		for (port = 1; port <= MANY; port++)
			assert_int_equal(send_from_port(port, TCP_SYN), good);
	}
}

/* If nobody is any better, it is as if nobody was suspect. */
static void test_all_alike_are_all_tried(void **state)
{
	const struct policy_case *test = *state;
	uint32_t backend, counts[BACKENDS + 1] = {0};
	uint16_t port;

	world_reset(&test->before);
	for (backend = 1; backend <= BACKENDS; backend++)
		set_suspect(backend, 100000);
	for (port = 1; port <= MANY; port++)
		counts[send_from_port(port, TCP_SYN)]++;
	assert_int_equal(counts[0], 0);
	for (backend = 1; backend <= BACKENDS; backend++)
		assert_true(counts[backend] > MANY / BACKENDS / 4);
}

int main(void)
{
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = RUN_EACH("the only good one", test_the_only_good_one_gets_all, policy_cases) +
		 RUN_EACH("all alike", test_all_alike_are_all_tried, policy_cases);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
