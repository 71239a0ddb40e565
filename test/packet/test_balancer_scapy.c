/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Cases that scapy builds: scapy_cases.py, which says how they are written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "balancer_case.h"

#include "shared.h"

#define CASES_MAX 1024
#define GENERATOR "/usr/bin/python3 test/packet/scapy_cases.py"

struct scapy_case {
	char *name, *state, *verdict, *out;
	struct frame in;
};

static struct scapy_case cases[CASES_MAX];
static struct CMUnitTest tests[CASES_MAX];

static const char *const verdict_names[] = {
#define VERDICT_NAME(symbol, name, action, sentence) name,
	VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
};

static void parse_hex(const char *text, struct frame *frame)
{
	frame->length = strlen(text) / 2;
	assert_in_range(frame->length, 1, FRAME_MAX);
	for (size_t i = 0; i < frame->length; i++)
		assert_int_equal(sscanf(&text[2 * i], "%2hhx", &frame->bytes[i]), 1);
}

static struct before state_before(const char *state)
{
	const char *sequence = strstr(state, "seq=");
	struct before before = {
		.keyed = strstr(state, "keyed"),
		.answers_echo = strstr(state, "echo"),
	};

	if (sequence)
		before.sequence[0] = (uint32_t)strtoul(sequence + 4, NULL, 0);
	return before;
}

/* One verdict, once. */
static void check_verdict(const struct scapy_case *test)
{
	uint64_t counted = 0;

	for (int i = 0; i < VERDICT_COUNT; i++) {
		if (verdict_count((enum verdict)i))
			assert_string_equal(verdict_names[i], test->verdict);
		counted += verdict_count((enum verdict)i);
	}
	assert_int_equal(counted, 1);
}

static void check_frame(const struct frame *is, const struct frame *expected)
{
	assert_int_equal(is->length, expected->length);
	assert_memory_equal(is->bytes, expected->bytes, expected->length);
}

static void check_at_backend(const struct scapy_case *test, const struct outcome *outcome)
{
	struct frame expected = test->in;
	uint32_t backend;
	uint8_t mac[6];

	for (backend = BACKENDS; backend; backend--) {
		mac_parse(backend_mac(backend), mac);
		if (!memcmp(mac, outcome->frame.bytes, sizeof(mac)))
			break;
	}
	assert_int_not_equal(backend, 0);
	memcpy(expected.bytes, mac, sizeof(mac));
	mac_parse(interface_mac(backend_interface(backend)), &expected.bytes[AT_MAC_FROM]);
	assert_int_equal(outcome->action,
			 backend_interface(backend) == world.lan ? XDP_TX : XDP_REDIRECT);
	check_frame(&outcome->frame, &expected);
}

static void test_case(void **state)
{
	const struct scapy_case *test = *state;
	struct before before = state_before(test->state);
	struct outcome outcome;
	struct frame expected;

	world_reset(&before);
	world_run(world.lan, &test->in, &outcome);
	check_verdict(test);
	if (!strcmp(test->out, "drop")) {
		assert_int_equal(outcome.action, XDP_DROP);
	} else if (!strcmp(test->out, "same")) {
		assert_int_equal(outcome.action, XDP_PASS);
		check_frame(&outcome.frame, &test->in);
	} else if (!strcmp(test->out, "backend")) {
		check_at_backend(test, &outcome);
	} else {
		parse_hex(test->out, &expected);
		assert_int_equal(outcome.action, XDP_TX);
		check_frame(&outcome.frame, &expected);
	}
}

static bool read_case(char *line, struct scapy_case *test)
{
	char *field[5];

	line[strcspn(line, "\n")] = '\0';
	for (size_t i = 0; i < 5; i++) {
		field[i] = strsep(&line, "\t");
		if (!field[i])
			return false;
	}
	test->name = strdup(field[0]);
	test->state = strdup(field[1]);
	parse_hex(field[2], &test->in);
	test->verdict = strdup(field[3]);
	test->out = strdup(field[4]);
	return test->name && test->state && test->verdict && test->out;
}

/* Returns how many; 0 if they could not be made or understood. */
static size_t read_cases(void)
{
	FILE *generator = popen(GENERATOR, "r");
	char *line = NULL;
	size_t size = 0, count = 0;
	bool understood = true;

	while (generator && understood && count < CASES_MAX &&
	       getline(&line, &size, generator) > 0) {
		understood = read_case(line, &cases[count]);
		tests[count] = (struct CMUnitTest){
			.name = cases[count].name,
			.test_func = test_case,
			.initial_state = &cases[count],
		};
		count++;
	}
	free(line);
	return generator && !pclose(generator) && understood ? count : 0;
}

static void free_cases(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(cases[i].name);
		free(cases[i].state);
		free(cases[i].verdict);
		free(cases[i].out);
	}
}

int main(void)
{
	size_t count;
	int failed;

	harness_require_root();
	count = read_cases();
	if (!count) {
		fprintf(stderr, "test: no cases from: %s\n", GENERATOR);
		return EXIT_FAILURE;
	}
	if (world_create())
		return EXIT_FAILURE;
	/* As many as there are: the macro would take the array's size. */
	failed = _cmocka_run_group_tests("cases built by scapy", tests, count, NULL, NULL);
	world_destroy();
	free_cases(count);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
