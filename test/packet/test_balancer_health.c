/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Backends that do not answer: how that is seen, who is spared for it, and how they come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "balancer.skel.h"
#include "balancer_case.h"

#include "health.h"
#include "shared.h"

#define MS 1000000ULL
#define MANY 200 /* flows */
#define FEW 40 /* the flow table has room for them */

static const struct before idle = {0};
static const struct before first_is_least = {.in_flight = {0, 60000, 60000}};

static uint32_t send_from_port(uint16_t port, uint8_t flags)
{
	struct segment segment = segment_to_service();

	if (port)
		segment.source_port = port;
	segment.flags = flags;
	return world_send(&segment);
}

/* A packet of the usual client's. */
static uint32_t send_flags(uint8_t flags)
{
	return send_from_port(0, flags);
}

static struct health health_of(uint32_t backend)
{
	struct health health;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.healths), &backend, &health),
		0);
	return health;
}

static void set_health(uint32_t backend, const struct health *health)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.healths), &backend,
					     health, BPF_ANY),
			 0);
}

static struct backend entry_of(uint32_t backend)
{
	struct backend entry;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.backends), &backend, &entry),
		0);
	return entry;
}

static void set_entry(uint32_t backend, const struct backend *entry)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.backends), &backend,
					     entry, BPF_ANY),
			 0);
}

static void set_suspect(uint32_t backend, int64_t trial_in_ms)
{
	struct health health = {.suspect_ns = 1, .trial_ns = monotonic_ns() + trial_in_ms * MS};
	struct backend entry = entry_of(backend);

	entry.suspect = 1;
	set_entry(backend, &entry);
	set_health(backend, &health);
}

static void set_down(uint32_t backend)
{
	struct backend entry = entry_of(backend);

	entry.down = 1;
	set_entry(backend, &entry);
}

/* So many were sent to it, the first of them so long ago, and none has been answered. */
static void set_unanswered(uint32_t backend, uint32_t count, uint64_t since_ms)
{
	const struct health health = {
		.unanswered = count,
		.unanswered_ns = monotonic_ns() - since_ms * MS,
		.handshake_us = 1000,
	};

	set_health(backend, &health);
}

static void test_one_too_many_goes_elsewhere(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 3, 500);
	assert_int_not_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(entry_of(1).suspect, 1);
	assert_int_equal(entry_of(2).suspect, 0);
	assert_int_equal(entry_of(3).suspect, 0);
	/* It was not sent to the first at all. */
	assert_int_equal(health_of(1).unanswered, 3);
	assert_int_not_equal(health_of(1).suspect_ns, 0);
}

static void test_silence_of_a_moment_is_none(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 100, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(entry_of(1).suspect, 0);
	assert_int_equal(health_of(1).unanswered, 101);
}

static void test_a_connection_that_goes_on_is_an_answer(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 2, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(health_of(1).unanswered, 3);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(health_of(1).unanswered, 0);
	assert_int_equal(health_of(1).unanswered_ns, 0);
	assert_true(monotonic_ns() - health_of(1).answered_ns < 1000 * MS);
}

/* What follows in a connection may be repeated to nobody. */
static void test_only_its_beginning_is_one(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	set_unanswered(1, 5, 50);
	assert_int_equal(send_flags(TCP_ACK | TCP_PSH), 1);
	assert_int_equal(send_flags(TCP_FIN | TCP_ACK), 1);
	assert_int_equal(health_of(1).unanswered, 5);
	/* Nor is a packet out of the middle of a connection that is not known. */
	assert_int_not_equal(send_from_port(1234, TCP_ACK), 0);
	assert_int_equal(health_of(1).unanswered, 5);
}

/* The client's kernel resets what it has not asked for: it has had an answer, too. */
static void test_a_reset_instead_is_one(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 2, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_RST), 1);
	assert_int_equal(health_of(1).unanswered, 0);
}

static void test_an_answer_ends_the_suspicion(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_suspect(1, 10000);
	assert_int_not_equal(send_from_port(1234, TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(entry_of(1).suspect, 0);
	assert_int_equal(health_of(1).suspect_ns, 0);
	assert_int_equal(send_from_port(1235, TCP_SYN), 1);
}

static void test_its_connections_stay(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	set_suspect(1, 10000);
	set_down(1);
	assert_int_equal(send_flags(TCP_ACK | TCP_PSH), 1);
	assert_int_equal(send_flags(TCP_FIN | TCP_ACK), 1);
}

static void test_on_trial_it_gets_one(void **state)
{
	uint16_t port;

	(void)state;
	world_reset(&first_is_least);
	set_suspect(1, -1);
	assert_int_equal(send_flags(TCP_SYN), 1);
	for (port = 1; port < FEW; port++)
		assert_int_not_equal(send_from_port(port, TCP_SYN), 1);
	assert_int_equal(entry_of(1).suspect, 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(entry_of(1).suspect, 0);
	for (port = 1; port < MANY; port++)
		if (send_from_port(port, TCP_SYN) == 1)
			return;
	fail_msg("it gets no connection any more");
}

static void test_a_repeated_syn_goes_elsewhere(void **state)
{
	uint32_t other;

	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_suspect(1, 10000);
	other = send_flags(TCP_SYN);
	assert_in_range(other, 2, 3);
	assert_int_equal(health_of(1).moved, 1);
	/* And there it stays. */
	assert_int_equal(send_flags(TCP_SYN), other);
	assert_int_equal(send_flags(TCP_ACK), other);
}

/* Too few connections for a suspicion, but this client has waited in vain. */
static void test_a_repeated_syn_leaves_who_is_silent(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_unanswered(1, 1, 1000);
	assert_in_range(send_flags(TCP_SYN), 2, 3);
	assert_int_equal(entry_of(1).suspect, 0);
}

static void test_a_repeated_syn_stays_with_who_answers_others(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_unanswered(1, 1, 500);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(health_of(1).unanswered, 1 + HEALTH_REPEATED);
}

/* When all are alike, a client is still not sent to the same again. */
static void test_a_repeated_syn_goes_elsewhere_even_if_all_are_suspect(void **state)
{
	uint32_t backend, first, other;

	(void)state;
	world_reset(&idle);
	first = send_flags(TCP_SYN);
	for (backend = 1; backend <= BACKENDS; backend++)
		set_suspect(backend, 10000);
	other = send_flags(TCP_SYN);
	assert_int_not_equal(other, 0);
	assert_int_not_equal(other, first);
}

static void test_a_down_backend_is_left_by_a_repeated_syn(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_down(1);
	assert_in_range(send_flags(TCP_SYN), 2, 3);
}

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

static int run_policies(const char *group, void (*test)(void **state))
{
	struct CMUnitTest tests[sizeof(policy_cases) / sizeof(*policy_cases)];
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tests[i] = (struct CMUnitTest){
			.name = policy_cases[i].name,
			.test_func = test,
			.initial_state = (void *)&policy_cases[i],
		};
	return _cmocka_run_group_tests(group, tests, sizeof(tests) / sizeof(*tests), NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_too_many_goes_elsewhere),
		cmocka_unit_test(test_silence_of_a_moment_is_none),
		cmocka_unit_test(test_a_connection_that_goes_on_is_an_answer),
		cmocka_unit_test(test_only_its_beginning_is_one),
		cmocka_unit_test(test_a_reset_instead_is_one),
		cmocka_unit_test(test_an_answer_ends_the_suspicion),
		cmocka_unit_test(test_its_connections_stay),
		cmocka_unit_test(test_on_trial_it_gets_one),
		cmocka_unit_test(test_a_repeated_syn_goes_elsewhere),
		cmocka_unit_test(test_a_repeated_syn_leaves_who_is_silent),
		cmocka_unit_test(test_a_repeated_syn_stays_with_who_answers_others),
		cmocka_unit_test(test_a_repeated_syn_goes_elsewhere_even_if_all_are_suspect),
		cmocka_unit_test(test_a_down_backend_is_left_by_a_repeated_syn),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL) +
		 run_policies("the only good one", test_the_only_good_one_gets_all) +
		 run_policies("all alike", test_all_alike_are_all_tried);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
