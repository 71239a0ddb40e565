/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's reports: which responses bear one, and every byte of those that do. What needs the
 * response's own socket, which a test run has not, is left to test/net.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/if_ether.h>

#include "server_socket.h"
#include "server_world.h"

#include "../count.h"
#include "clock.h"
#include "load_report.h"

#define SYN_ACK (TCP_SYN | TCP_ACK)

struct report_case {
	const char *name;
	struct server_before before;
	struct segment in; /* what differs from a first SYN-ACK */
	bool handshake_known; /* a SYN has been metered; always so for the usual SYN-ACK */
	bool handshake_unknown;
	enum skip skip;

	uint8_t flags; /* of the report, beside K */
	uint16_t in_flight, utilisation, accept_queue; /* utilisation: 0 = the usual */
	bool to_other; /* the second balancer gets it */
	bool listened_to; /* there is somebody who would take connections */
	bool decays; /* in_flight is what it is at first, and halves in every 101 ms from then on */
};

static const struct report_case cases[] = {
	{.name = "a SYN-ACK", .skip = SKIP_STAMPED},
	{.name = "a SYN-ACK with a key", .before = {.keyed = true}, .skip = SKIP_STAMPED},
	{.name = "a SYN-ACK of a service that has found no place of its own",
	 .before = {.unplaced = true},
	 .skip = SKIP_STAMPED},
	{.name = "as many in flight as fit",
	 .before = {.in_flight = 65535},
	 .in_flight = 65535,
	 .skip = SKIP_STAMPED},
	{.name = "more in flight than fit",
	 .before = {.in_flight = 70000, .keyed = true},
	 .in_flight = 65535,
	 .skip = SKIP_STAMPED},
	{.name = "a count that has gone wrong",
	 .before = {.in_flight = -5},
	 .in_flight = 0,
	 .skip = SKIP_STAMPED},
	{.name = "after a restart",
	 .before = {.restarted = true},
	 .flags = LOAD_REPORT_RESTARTED,
	 .skip = SKIP_STAMPED},
	{.name = "with the application's own load",
	 .before = {.application = true, .restarted = true, .keyed = true},
	 .flags = LOAD_REPORT_APPLICATION | LOAD_REPORT_RESTARTED,
	 .utilisation = 0x4321,
	 .skip = SKIP_STAMPED},
	{.name = "with a penalty for resets",
	 .before = {.penalty = true, .in_flight = 7},
	 .in_flight = 8,
	 .skip = SKIP_STAMPED},
	{.name = "with a penalty that is more than what is in flight",
	 .before = {.penalty = true},
	 .in_flight = 1,
	 .accept_queue = 65535,
	 .skip = SKIP_STAMPED},
	{.name = "a refusal",
	 .in = {.flags = TCP_RST | TCP_ACK},
	 .handshake_known = true,
	 .in_flight = 64, /* it has never answered anything: the penalty is as high as it gets */
	 .accept_queue = 65535,
	 .decays = true,
	 .skip = SKIP_STAMPED},
	{.name = "a refusal although somebody listens: a firewall's",
	 .in = {.flags = TCP_RST | TCP_ACK},
	 .handshake_known = true,
	 .listened_to = true,
	 .skip = SKIP_NO_SOCKET},
	{.name = "to the second balancer if the first has had its own",
	 .before = {.reported_us = 500, .other_balancer = true},
	 .to_other = true,
	 .skip = SKIP_STAMPED},
	{.name = "just as long as the MTU",
	 .before = {.mtu = 40 + LOAD_REPORT_LENGTH},
	 .skip = SKIP_STAMPED},
	{.name = "just as long as the MTU, with a key",
	 .before = {.mtu = 40 + LOAD_REPORT_LENGTH_KEYED, .keyed = true},
	 .skip = SKIP_STAMPED},
	{.name = "nothing changed, but it is time",
	 .before = {.unchanged = true, .reported_us = 100000},
	 .skip = SKIP_STAMPED},
	{.name = "the balancer was heard a moment ago",
	 .before = {.heard_ms = 40},
	 .skip = SKIP_STAMPED},
	{.name = "no budget, but reports that are free",
	 .before = {.reported_us = 25000},
	 .skip = SKIP_STAMPED},
	{.name = "none free, but a budget",
	 .before = {.reported_us = 25000, .free_spent = true, .max_share = 1 << 16},
	 .skip = SKIP_STAMPED},
	{.name = "the balancer expects what has come, but it is time",
	 .before = {.in_flight = 3, .expected = true, .reported_us = 100000},
	 .in_flight = 3,
	 .skip = SKIP_STAMPED},

	{.name = "too soon", .before = {.reported_us = 900}, .skip = SKIP_NOT_DUE},
	{.name = "nothing changed",
	 .before = {.unchanged = true, .reported_us = 50000},
	 .skip = SKIP_NOT_DUE},
	{.name = "only what the balancer has sent has come",
	 .before = {.in_flight = 3, .expected = true, .reported_us = 50000},
	 .skip = SKIP_NOT_DUE},
	{.name = "no budget, and none free",
	 .before = {.reported_us = 25000, .free_spent = true},
	 .skip = SKIP_BUDGET},
	{.name = "not enough of a budget",
	 .before = {.reported_us = 25000, .free_spent = true, .max_share = (1 << 16) - 1},
	 .skip = SKIP_BUDGET},
	{.name = "a silent balancer", .before = {.heard_ms = 51}, .skip = SKIP_SILENT_BALANCER},
	{.name = "a balancer that does not answer ARP",
	 .before = {.no_neighbour = true},
	 .skip = SKIP_NO_NEIGHBOUR},
	{.name = "a byte more than the MTU",
	 .before = {.mtu = 40 + LOAD_REPORT_LENGTH - 1},
	 .skip = SKIP_MTU},
	{.name = "a byte more than the MTU, with a key",
	 .before = {.mtu = 40 + LOAD_REPORT_LENGTH_KEYED - 1, .keyed = true},
	 .skip = SKIP_MTU},
	{.name = "IP options already",
	 .in = {.options = (const uint8_t[]){1, 1, 1, 0}, .options_length = 4},
	 .skip = SKIP_OPTIONS},
	{.name = "a SYN-ACK again", .handshake_unknown = true, .skip = SKIP_RETRANSMISSION},
	{.name = "a SYN-ACK, so soon that a packet that can wait may come",
	 .before = {.reported_us = 15000, .max_share = 1 << 16},
	 .skip = SKIP_HANDSHAKE},
	{.name = "data, so soon that a packet without may come",
	 .before = {.reported_us = 15000, .max_share = 1 << 16},
	 .in = {.flags = TCP_ACK | TCP_PSH, .payload = 100},
	 .skip = SKIP_PAYLOAD},
	{.name = "an acknowledgement of no socket",
	 .in = {.flags = TCP_ACK},
	 .skip = SKIP_NO_SOCKET},
	{.name = "a reset of no known connection",
	 .in = {.flags = TCP_RST},
	 .handshake_unknown = true,
	 .skip = SKIP_NO_SOCKET},
};

static void put_16(uint8_t *to, uint16_t value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static void put_32(uint8_t *to, uint32_t value)
{
	put_16(to, value >> 16);
	put_16(&to[2], value);
}

/* The option byte by byte, from the picture in load_report.h; for the tag its own function. */
static uint8_t expected_option(const struct report_case *test, uint16_t in_flight, uint8_t *bytes)
{
	struct load_report_key key = {{server_key[0], server_key[1]}};
	struct load_report_option option;
	uint8_t length = test->before.keyed ? 32 : 24;
	uint32_t id = address_bytes(SERVER);
	uint64_t tag;

	bytes[0] = 0x5e;
	bytes[1] = length;
	bytes[2] = 0xb7;
	bytes[3] = 1 << 4 | (test->before.keyed ? 8 : 0) | test->flags;
	memcpy(&bytes[4], &id, 4);
	put_32(&bytes[8], 0x01020305); /* the sequence after the peer's */
	put_16(&bytes[12], in_flight);
	put_16(&bytes[14], test->utilisation ? test->utilisation : 0x8001);
	put_16(&bytes[16], 0); /* nothing was ever answered */
	put_16(&bytes[18], test->accept_queue);
	put_32(&bytes[20], 0x0a0b0c0d);
	if (!test->before.keyed)
		return length;
	memcpy(&option, bytes, 24);
	tag = load_report_tag_ipv4(&option, &key, address_bytes(VIP), address_bytes(CLIENT));
	memcpy(&bytes[24], &tag, 8);
	return length;
}

static struct segment segment_of(const struct report_case *test)
{
	struct segment segment = segment_usual(TO_CLIENT);

	segment.flags = test->in.flags ? test->in.flags : SYN_ACK;
	segment.payload = test->in.payload;
	segment.options = test->in.options;
	segment.options_length = test->in.options_length;
	return segment;
}

/* The frame that is to come out. */
static void expect(const struct report_case *test, uint16_t in_flight, struct frame *expected)
{
	struct segment segment = segment_of(test);
	uint8_t option[40];

	if (test->skip == SKIP_STAMPED) {
		segment.mac_to = test->to_other ? OTHER_BALANCER_MAC : BALANCER_MAC;
		segment.options = option;
		segment.options_length = expected_option(test, in_flight, option);
	}
	frame_build(expected, &segment);
}

static void meter_handshake(const struct report_case *test)
{
	struct segment syn = segment_usual(FROM_CLIENT);
	uint32_t seen = server.peers[0].connections_seen;

	if (test->handshake_unknown || (test->in.flags && !test->handshake_known))
		return;
	syn.flags = TCP_SYN;
	syn.mac_from = ROUTER_MAC; /* so that it counts for no balancer */
	server_pass(FROM_CLIENT, &syn);
	assert_int_equal(server.peers[0].connections_seen, seen);
}

/* One packet, one count. */
static void check_counted(enum skip skip)
{
	uint32_t i;

	for (i = 0; i < SKIP_COUNT; i++)
		assert_int_equal(skip_count(i), i == skip);
}

/* What the report has to say: of what decays, all that it may say after no longer than that. */
static uint16_t in_flight_due(const struct report_case *test, const struct peer *peer,
			      uint64_t took_ns)
{
	uint64_t took_us = took_ns / 1000 + 2 * (1 << PENALTY_TIME_SHIFT) / 1000;
	uint64_t lost = (test->in_flight * took_us + PENALTY_MEAN_US - 1) / PENALTY_MEAN_US + 1;

	if (!test->decays)
		return test->in_flight;
	assert_int_equal((uint32_t)server.metrics->penalty,
			 (uint32_t)test->in_flight << PENALTY_ONE_SHIFT);
	assert_in_range(peer->reported_in_flight,
			lost < test->in_flight ? test->in_flight - lost : 0, test->in_flight);
	return (uint16_t)peer->reported_in_flight;
}

static void run_case(void **state)
{
	const struct report_case *test = *state;
	struct segment segment = segment_of(test);
	struct peer before, *peer = &server.peers[test->to_other];
	struct frame in, expected;
	struct outcome outcome;
	uint64_t began_ns;
	uint16_t in_flight;

	server_reset(&test->before);
	if (test->listened_to)
		server_socket_open(LISTENING);
	meter_handshake(test);
	before = *peer;
	frame_build(&in, &segment);
	began_ns = now_ns();
	server_run(TO_CLIENT, &in, &outcome);
	in_flight = in_flight_due(test, peer, now_ns() - began_ns);
	server_socket_close();
	expect(test, in_flight, &expected);
	assert_int_equal(outcome.frame.length, expected.length);
	assert_memory_equal(outcome.frame.bytes, expected.bytes, expected.length);
	check_counted(test->skip);
	assert_int_equal(peer->reports, test->skip == SKIP_STAMPED);
	if (test->skip != SKIP_STAMPED) {
		assert_memory_equal(peer, &before, sizeof(before));
		return;
	}
	assert_int_equal(peer->report_bytes, expected.length);
	assert_int_equal(peer->reported_seen, 0x0a0b0c0d);
	assert_int_equal(peer->reported_in_flight, in_flight);
	assert_in_range(peer->reported_ns, before.reported_ns + 1, ~0ULL >> 1);
}

static int run_cases(void)
{
	struct CMUnitTest tests[COUNT(cases)];
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name,
					       .test_func = run_case,
					       .initial_state = (void *)&cases[i]};
	return _cmocka_run_group_tests("server: reports", tests, COUNT(cases), NULL, NULL);
}

/* What is no response of a service passes as it is, and counts nowhere. */
static void nothing_else_is_touched(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t is;
	} changes[] = {
		{AT_ETHERTYPE, 0x86},	 {AT_IP, 0x65},
		{AT_IP, 0x44},		 {AT_FRAGMENT, 0x20},
		{AT_FRAGMENT + 1, 1},	 {AT_PROTOCOL, 17},
		{AT_TOTAL_LENGTH, 0xff}, {AT_TOTAL_LENGTH + 1, 39},
		{AT_IP + 12, 11},	 {AT_IP + 20, 1},
		{AT_IP + 20 + 12, 0x40}, {AT_IP + 20 + 12, 0xf0},
	};
	struct segment segment;
	size_t i, cut;
	uint32_t skip;

	(void)state;
	server_reset(&(struct server_before){0});
	for (i = 0; i < COUNT(changes); i++) {
		segment = segment_usual(TO_CLIENT);
		segment.flags = SYN_ACK;
		segment.patches[0] = (struct patch){changes[i].at, changes[i].is};
		server_pass(TO_CLIENT, &segment);
	}
	/* A test run takes no less than an IP header. */
	for (cut = 14 + 20; cut < 14 + 40; cut++) {
		segment = segment_usual(TO_CLIENT);
		segment.cut = cut;
		server_pass(TO_CLIENT, &segment);
	}
	for (skip = 0; skip < SKIP_COUNT; skip++)
		assert_int_equal(skip_count(skip), 0);
}

static void a_client_on_another_port(void **state)
{
	struct segment segment = segment_usual(TO_CLIENT);

	(void)state;
	server_reset(&(struct server_before){0});
	segment.source_port = 8080;
	segment.flags = SYN_ACK;
	server_pass(TO_CLIENT, &segment);
	assert_int_equal(server.peers[0].reports, 0);
}

/* Beyond the budget some reports are free, as many as have been saved up; then no more for a while. */
static void free_reports_are_saved_up(void **state)
{
	const struct report_case test = {.name = "a SYN-ACK"};
	struct segment segment = segment_of(&test);
	struct outcome outcome;
	struct frame in;
	int i;

	(void)state;
	server_reset(&(struct server_before){0});
	frame_build(&in, &segment);
	for (i = 0; i < 20; i++) {
		memset(server.bucket, 0, sizeof(*server.bucket)); /* a new connection each time */
		meter_handshake(&test);
		server.peers[0].reported_ns = 0;
		server.peers[0].reported_in_flight = 7; /* is not so */
		server_run(TO_CLIENT, &in, &outcome);
	}
	/* With one more if the runs took so long. */
	assert_in_range(skip_count(SKIP_STAMPED), 9, 15);
	assert_int_equal(skip_count(SKIP_STAMPED) + skip_count(SKIP_BUDGET), 20);
	assert_int_equal(server.peers[0].reports, skip_count(SKIP_STAMPED));
}

/* What is free is so for all balancers together: of two, each gets half as much. */
static void what_is_free_is_shared(void **state)
{
	const struct report_case test = {.name = "a SYN-ACK"};
	struct segment segment = segment_of(&test);
	uint64_t free_ns[2];
	struct outcome outcome;
	struct frame in;
	int two;

	(void)state;
	frame_build(&in, &segment);
	for (two = 0; two < 2; two++) {
		server_reset(&(struct server_before){.other_balancer = two});
		server.peers[0].free_ns = 1; /* long ago */
		meter_handshake(&test);
		server_run(TO_CLIENT, &in, &outcome);
		assert_int_equal(skip_count(SKIP_STAMPED), 1);
		free_ns[two] = server.peers[0].reported_ns - server.peers[0].free_ns;
	}
	assert_int_equal(free_ns[1], 2 * free_ns[0]);
}

/*
 * Its connections are counted for the balancer that sent them, once they make a request or end; that it
 * lives, is noted.
 */
static void a_balancer_is_heard(void **state)
{
	struct segment segment = segment_usual(FROM_CLIENT);
	uint32_t seen;
	uint64_t heard;

	(void)state;
	server_reset(&(struct server_before){.heard_ms = 1000, .other_balancer = true});
	seen = server.peers[0].connections_seen;
	heard = server.peers[0].heard_ns;
	segment.flags = TCP_SYN;
	server_pass(FROM_CLIENT, &segment);
	assert_int_equal(server.peers[0].connections_seen, seen);
	assert_in_range(server.peers[0].heard_ns, heard + 900000000, ~0ULL >> 1);
	segment.flags = TCP_ACK | TCP_PSH;
	segment.payload = 100;
	server_pass(FROM_CLIENT, &segment);
	assert_int_equal(server.peers[0].connections_seen, seen + 1);
	server_pass(FROM_CLIENT, &segment); /* once more */
	assert_int_equal(server.peers[0].connections_seen, seen + 1);
	segment.mac_from = OTHER_BALANCER_MAC;
	segment.source_port++;
	segment.payload = 0;
	segment.flags = TCP_SYN;
	server_pass(FROM_CLIENT, &segment);
	assert_int_equal(server.peers[1].connections_seen, seen);
	segment.flags = TCP_FIN | TCP_ACK;
	server_pass(FROM_CLIENT, &segment);
	assert_int_equal(server.peers[0].connections_seen, seen + 1);
	assert_int_equal(server.peers[1].connections_seen, seen + 1);
}

/* From what a report says of a listener to what `ss -ltn` does, is in test/net/meter.bats. */
static void a_queue_that_is_empty(void **state)
{
	const struct report_case test = {.skip = SKIP_STAMPED, .name = "listening"};
	void *context = (void *)&test;

	(void)state;
	server_socket_open(LISTENING);
	run_case(&context);
	server_socket_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_else_is_touched),
		cmocka_unit_test(a_client_on_another_port),
		cmocka_unit_test(free_reports_are_saved_up),
		cmocka_unit_test(what_is_free_is_shared),
		cmocka_unit_test(a_balancer_is_heard),
		cmocka_unit_test(a_queue_that_is_empty),
	};
	int failed;

	harness_require_root();
	if (server_create())
		return EXIT_FAILURE;
	failed = run_cases() + cmocka_run_group_tests_name("server: around", tests, NULL, NULL);
	server_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
