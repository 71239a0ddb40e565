/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load_report.h"

#include "shared.h"

#define CASES_MAX 128
#define OPTIONS_MAX 40
#define NOP 1

/* What every report says. */
#define IN_FLIGHT 7
#define UTILISATION 0x8001
#define LATENCY_US 1500
#define ACCEPT_QUEUE 0x0203
#define CONNECTIONS_SEEN 4

struct state {
	struct load loads[BACKENDS];
	uint64_t verdicts[VERDICT_COUNT];
};

static void state_read(struct state *state)
{
	int i;

	for (i = 0; i < BACKENDS; i++)
		load_read(i + 1, &state->loads[i]);
	for (i = 0; i < VERDICT_COUNT; i++)
		state->verdicts[i] = verdict_count(i);
}

static uint32_t arrival_interface(enum arrival arrival)
{
	return arrival == BY_LAN ? world.lan : arrival == BY_WAN ? world.wan : world.idle;
}

/* The usual packet of the case's direction, with what the case says in its place. */
static struct segment case_segment(const struct balancer_case *test)
{
	int to_service = test->direction == TO_SERVICE;
	struct segment segment = test->in, usual = segment_to_service();

	if (!segment.mac_to)
		segment.mac_to = interface_mac(arrival_interface(test->arrival));
	if (!segment.mac_from)
		segment.mac_from = to_service ? ROUTER_MAC : backend_mac(test->report.backend ?: 1);
	if (!segment.source)
		segment.source = to_service ? CLIENT : VIP;
	if (!segment.destination)
		segment.destination = to_service ? VIP : CLIENT;
	if (!segment.source_port)
		segment.source_port = to_service ? usual.source_port : VIP_PORT;
	if (!segment.destination_port)
		segment.destination_port = to_service ? VIP_PORT : usual.source_port;
	if (!segment.flags)
		segment.flags = to_service ? TCP_SYN : TCP_ACK;
	return segment;
}

/* The wire header's own code makes the option: test/unit holds it against bytes and OpenSSL. */
static size_t report_put(uint8_t *bytes, const struct report_in *in, const struct segment *segment)
{
	const uint64_t *words = in->by_old_key ? world_old_key : world_key;
	struct load_report_key key = {{words[0], words[1]}};
	struct load_report report = {
		.server_id = server_id(in->backend),
		.sequence = in->sequence,
		.connections_seen = CONNECTIONS_SEEN,
		.in_flight = IN_FLIGHT,
		.utilisation = UTILISATION,
		.accept_queue = ACCEPT_QUEUE,
		.latency = load_report_float_encode(LATENCY_US),
		.flags = in->flags,
	};
	struct load_report_option option;

	load_report_encode(&option, &report);
	if (in->flags & LOAD_REPORT_KEYED)
		option.tag = load_report_tag_ipv4(&option, &key, address_bytes(segment->source),
						  address_bytes(segment->destination));
	memcpy(bytes, &option, option.length);
	return option.length;
}

static size_t options_put(uint8_t *bytes, const struct report_in *in, const struct segment *segment)
{
	size_t length = in->nops_before;

	memset(bytes, NOP, OPTIONS_MAX);
	if (in->backend)
		length += report_put(&bytes[length], in, segment);
	return length + in->nops_after;
}

void case_frame(const struct balancer_case *test, struct frame *frame)
{
	struct segment segment = case_segment(test);
	uint8_t options[OPTIONS_MAX];

	if (!segment.options) {
		segment.options_length = options_put(options, &test->report, &segment);
		segment.options = options;
	}
	frame_build(frame, &segment);
}

/* The frame that goes to a client: the same packet, built without the option. */
static void expect_without_option(const struct balancer_case *test, struct frame *expected)
{
	struct segment segment = case_segment(test);
	int on_wan = !strcmp(segment.destination, CLIENT_ON_WAN);

	segment.options_length = 0;
	if (test->output == TO_CLIENT) {
		segment.mac_to = on_wan ? CLIENT_ON_WAN_MAC : CLIENT_MAC;
		segment.mac_from = on_wan ? WAN_MAC : LAN_MAC;
	}
	frame_build(expected, &segment);
}

static void expect_at_backend(const struct frame *in, uint32_t backend, struct frame *expected)
{
	*expected = *in;
	mac_parse(backend_mac(backend), &expected->bytes[AT_MAC_TO]);
	mac_parse(interface_mac(backend_interface(backend)), &expected->bytes[AT_MAC_FROM]);
}

static void assert_frame(const struct frame *is, const struct frame *expected)
{
	assert_int_equal(is->length, expected->length);
	assert_memory_equal(is->bytes, expected->bytes, expected->length);
}

static void assert_note(const struct outcome *outcome, uint32_t ifindex)
{
	struct resolve_note note;

	assert_int_equal(outcome->note_length, sizeof(note));
	memcpy(&note, outcome->note, sizeof(note));
	assert_int_equal(note.magic, RESOLVE_MAGIC);
	assert_int_equal(note.ifindex, ifindex);
}

static uint32_t client_interface(const struct segment *segment)
{
	return strncmp(segment->destination, "10.9.", 5) ? world.lan : world.wan;
}

/* Which backend the frame has been sent to; 0 = none. */
static uint32_t frame_backend(const struct frame *frame)
{
	uint32_t backend;
	uint8_t mac[6];

	for (backend = 1; backend <= BACKENDS; backend++) {
		mac_parse(backend_mac(backend), mac);
		if (!memcmp(&frame->bytes[AT_MAC_TO], mac, sizeof(mac)))
			return backend;
	}
	return 0;
}

static void check_backend(const struct balancer_case *test, uint32_t backend)
{
	assert_in_range(backend, 1, BACKENDS);
	if (test->backends)
		assert_true(test->backends & BACKEND(backend));
}

static void check_output(const struct balancer_case *test, const struct frame *in,
			 const struct outcome *outcome)
{
	struct segment segment = case_segment(test);
	uint32_t backend = frame_backend(&outcome->frame);
	struct frame expected = *in;

	if (test->output == TO_BACKEND) {
		check_backend(test, backend);
		expect_at_backend(in, backend, &expected);
	}
	if (test->output == TO_CLIENT || test->output == TO_HOST || test->output == TO_US)
		expect_without_option(test, &expected);
	if (test->output == TO_HOST)
		assert_note(outcome, client_interface(&segment));
	else
		assert_int_equal(outcome->note_length, 0);
	if (test->action != XDP_DROP)
		assert_frame(&outcome->frame, &expected);
}

static const char *verdict_name(int verdict)
{
	static const char *const names[] = {
#define VERDICT_NAME(symbol, name, action, sentence) name,
		VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
	};

	return names[verdict];
}

/* One verdict, once. */
static void check_verdict(const struct balancer_case *test, const struct state *after)
{
	int i, counted = 0;

	for (i = 0; i < VERDICT_COUNT; i++) {
		counted += after->verdicts[i];
		if (after->verdicts[i])
			assert_string_equal(verdict_name(i), verdict_name(test->verdict));
	}
	assert_int_equal(counted, 1);
}

/* Is the report believed, whatever becomes of the packet afterwards? */
static bool is_believed(const struct balancer_case *test)
{
	if (test->verdict == VERDICT_REPORT_CHECK)
		return test->report.sequence > test->before.sequence[test->report.backend - 1];
	return test->verdict == VERDICT_REPORT_TAKEN || test->verdict == VERDICT_REPORT_RESOLVING ||
	       test->verdict == VERDICT_REPORT_NO_ROUTE;
}

static void check_believed(const struct balancer_case *test, const struct load *before,
			   const struct load *after)
{
	assert_int_equal(after->in_flight, IN_FLIGHT);
	assert_int_equal(after->utilisation, UTILISATION);
	assert_int_equal(after->latency, LATENCY_US);
	assert_int_equal(after->accept_queue, ACCEPT_QUEUE);
	assert_int_equal(after->connections_seen, CONNECTIONS_SEEN);
	assert_int_equal(after->sequence, test->report.sequence);
	assert_int_equal(after->flags, test->report.flags);
	assert_int_equal(after->reports, before->reports + 1);
	assert_int_equal(after->connections_sent, before->connections_sent);
	assert_true(monotonic_ns() - after->received_ns < 1000000000);
}

/* What is known of the servers changes by nothing but a report or a new connection. */
static void check_loads(const struct balancer_case *test, const struct state *before,
			const struct state *after, uint32_t sent_to)
{
	struct load expected;
	uint32_t backend;

	for (backend = 1; backend <= BACKENDS; backend++) {
		expected = before->loads[backend - 1];
		if (is_believed(test) && backend == test->report.backend) {
			check_believed(test, &expected, &after->loads[backend - 1]);
			continue;
		}
		expected.connections_sent += backend == sent_to;
		assert_memory_equal(&after->loads[backend - 1], &expected, sizeof(expected));
	}
}

static void run_case(void **cmocka_state)
{
	const struct balancer_case *test = *cmocka_state;
	struct segment segment = case_segment(test);
	struct state before, after;
	struct outcome outcome;
	struct frame in;
	uint32_t sent_to = 0;

	world_reset(&test->before);
	state_read(&before);
	case_frame(test, &in);
	world_run(arrival_interface(test->arrival), &in, &outcome);
	state_read(&after);

	check_verdict(test, &after);
	assert_int_equal(outcome.action, test->action);
	check_output(test, &in, &outcome);
	if (test->output == TO_BACKEND && segment.flags == TCP_SYN)
		sent_to = frame_backend(&outcome.frame);
	if (test->verdict != VERDICT_NO_NEIGHBOUR)
		check_loads(test, &before, &after, sent_to);
}

int run_cases(const char *group, const struct balancer_case *cases, size_t count)
{
	struct CMUnitTest tests[CASES_MAX];
	size_t i;

	if (count > CASES_MAX)
		abort();
	for (i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name,
			.test_func = run_case,
			.initial_state = (void *)&cases[i],
		};
	return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}
