/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Outer headers: which the server takes off, what is left, and what SYN-ACKs offer from then on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../count.h"
#include "server_world.h"
#include "shape.h"

#define CLIENT_IPV6 "2001:db8:9::50"
#define STRANGER "10.1.0.77"

struct tunnel_case {
	const char *name;
	bool inner_ipv6;
	struct outer outer;
	const char *destination; /* of the inner packet; NULL = the VIP */
	struct patch patches[2];
	bool twice; /* the outer header, and that of a second one around it */
	uint16_t cut;
	bool refused;
	bool unseen; /* not even that is counted: no tunnel at all */
};

/* Where the headers of an outer packet of IPv4 and of one of IPv6 are. */
#define BEHIND_IPV4 (AT_IP + 20)
#define BEHIND_IPV6 (AT_IP + 40)

static const struct tunnel_case cases[] = {
	{.name = "IPv4 in IPv4", .outer = {BALANCER, SERVER}},
	{.name = "IPv6 in IPv6", .inner_ipv6 = true, .outer = {BALANCER_IPV6, SERVER_IPV6}},
	{.name = "IPv4 in IPv6", .outer = {BALANCER_IPV6, SERVER_IPV6}},
	{.name = "IPv6 in IPv4", .inner_ipv6 = true, .outer = {BALANCER, SERVER}},
	{.name = "a source that varies", .outer = {"198.19.171.2", SERVER}},
	{.name = "a source that varies, in IPv6",
	 .inner_ipv6 = true,
	 .outer = {"2001:db8:1:0:dead:beef:0:2", SERVER_IPV6}},
	{.name = "one of IPv6 that varies, around IPv4",
	 .outer = {"2001:db8:1:0:0:1:0:2", SERVER_IPV6}},

	{.name = "from a stranger", .outer = {STRANGER, SERVER}, .refused = true},
	{.name = "from a varying source of another balancer",
	 .outer = {"198.19.171.3", SERVER},
	 .refused = true},
	{.name = "from beside the varying sources",
	 .outer = {"198.20.0.2", SERVER},
	 .refused = true},
	{.name = "from a stranger of IPv6",
	 .inner_ipv6 = true,
	 .outer = {"2001:db8:1::3", SERVER_IPV6},
	 .refused = true},
	{.name = "from another network of IPv6",
	 .outer = {"2001:db8:2::2", SERVER_IPV6},
	 .refused = true},
	{.name = "to no VIP",
	 .destination = STRANGER,
	 .outer = {BALANCER, SERVER},
	 .refused = true},
	{.name = "to no VIP of IPv6",
	 .inner_ipv6 = true,
	 .destination = "2001:db8:1::101",
	 .outer = {BALANCER, SERVER},
	 .refused = true},
	{.name = "in two outer headers", .twice = true, .outer = {BALANCER, VIP}, .refused = true},
	{.name = "IPv4 said to be IPv6",
	 .outer = {BALANCER, SERVER, .protocol = 41},
	 .refused = true},
	{.name = "IPv6 said to be IPv4",
	 .inner_ipv6 = true,
	 .outer = {BALANCER, SERVER, .protocol = 4},
	 .refused = true},
	{.name = "an inner header shorter than a header",
	 .outer = {BALANCER, SERVER},
	 .patches = {{BEHIND_IPV4, 0x44}},
	 .refused = true},
	{.name = "an inner packet longer than the outer one",
	 .outer = {BALANCER, SERVER},
	 .patches = {{BEHIND_IPV4 + 2, 1}},
	 .refused = true},
	{.name = "an inner packet of IPv6 longer than the outer one",
	 .inner_ipv6 = true,
	 .outer = {BALANCER_IPV6, SERVER_IPV6},
	 .patches = {{BEHIND_IPV6 + 4, 1}},
	 .refused = true},
	{.name = "an outer packet longer than the frame",
	 .outer = {BALANCER, SERVER},
	 .patches = {{AT_TOTAL_LENGTH, 8}},
	 .refused = true},
	{.name = "an outer fragment",
	 .outer = {BALANCER, SERVER},
	 .patches = {{AT_FRAGMENT, 0x20}},
	 .refused = true,
	 .unseen = true},
	{.name = "an outer header shorter than a header",
	 .outer = {BALANCER, SERVER},
	 .patches = {{AT_IP, 0x44}},
	 .refused = true,
	 .unseen = true},
};

static struct shape shape_usual(bool ipv6)
{
	return (struct shape){
		.mac_to = SERVER_MAC,
		.mac_from = ROUTER_MAC,
		.source = ipv6 ? CLIENT_IPV6 : CLIENT,
		.destination = ipv6 ? VIP_IPV6 : VIP,
		.source_port = CLIENT_PORT,
		.destination_port = VIP_PORT,
		.flags = TCP_ACK | TCP_PSH,
		.payload = 100,
	};
}

static void build(const struct tunnel_case *test, struct frame *inner, struct frame *frame)
{
	struct shape shape = shape_usual(test->inner_ipv6);
	size_t i;

	if (test->destination)
		shape.destination = test->destination;
	shape_build(inner, &shape);
	*frame = *inner;
	outer_put(frame, &test->outer);
	if (test->twice)
		outer_put(frame, &(struct outer){BALANCER, SERVER, .protocol = 0});
	for (i = 0; i < COUNT(test->patches) && test->patches[i].at; i++)
		frame->bytes[test->patches[i].at] = test->patches[i].is;
}

static void expect_same(const struct frame *frame, const struct frame *expected)
{
	assert_int_equal(frame->length, expected->length);
	assert_memory_equal(frame->bytes, expected->bytes, expected->length);
}

static void run_case(void **state)
{
	const struct tunnel_case *test = *state;
	struct frame inner, in;
	struct outcome outcome;
	struct server_stats stats;

	server_reset(&(struct server_before){.heard_ms = 10000});
	build(test, &inner, &in);
	server_run(FROM_CLIENT, &in, &outcome);
	stats = server_stats_sum();
	expect_same(&outcome.frame, test->refused ? &in : &inner);
	assert_int_equal(stats.tunnel_packets, !test->refused);
	assert_int_equal(stats.tunnel_refused, test->refused && !test->unseen);
	assert_int_equal(stats.request_packets, !test->refused);
	assert_int_equal(server.metrics->in_flight, !test->refused);
	/* Of whose header it was, the balancer has been heard. */
	assert_int_equal(server.peers[0].heard_tick != 0, !test->refused);
}

/*
 * Truncated at every byte behind the outer header, without which the kernel runs no program: taken for
 * no service's, left as it is.
 */
static void run_cuts(void **state)
{
	const struct tunnel_case *test = *state;
	struct frame inner, in;
	struct outcome outcome;
	size_t length, outer;

	build(test, &inner, &in);
	outer = strchr(test->outer.source, ':') ? BEHIND_IPV6 : BEHIND_IPV4;
	for (length = in.length - 1; length >= outer; length--) {
		in.length = length;
		server_reset(&(struct server_before){0});
		server_run(FROM_CLIENT, &in, &outcome);
		expect_same(&outcome.frame, &in);
		assert_int_equal(server_stats_sum().tunnel_packets, 0);
		assert_int_equal(server_stats_sum().request_packets, 0);
	}
}

/* RFC 6040: what a router has marked outside is marked inside, where the sender understands it. */
static void congestion_outside_is_told_inside(void **state)
{
	static const struct {
		bool inner_ipv6, outer_ipv6;
		uint8_t inner, outer, after;
	} marks[] = {
		{false, false, 0x02, 0x03, 0x03}, {false, true, 0x01, 0x03, 0x03},
		{true, false, 0x02, 0x03, 0x03},  {true, true, 0x02, 0x03, 0x03},
		{false, false, 0x00, 0x03, 0x00}, {false, false, 0x02, 0x02, 0x02},
		{false, true, 0xb9, 0xbb, 0xbb},  {true, true, 0xba, 0xbb, 0xbb},
	};
	struct frame in, expected;
	struct outcome outcome;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(marks); i++) {
		struct shape shape = shape_usual(marks[i].inner_ipv6);
		struct outer outer = {marks[i].outer_ipv6 ? BALANCER_IPV6 : BALANCER,
				      marks[i].outer_ipv6 ? SERVER_IPV6 : SERVER,
				      .traffic_class = marks[i].outer};

		server_reset(&(struct server_before){0});
		shape.traffic_class = marks[i].inner;
		shape_build(&in, &shape);
		outer_put(&in, &outer);
		shape.traffic_class = marks[i].after;
		shape_build(&expected, &shape);
		server_run(FROM_CLIENT, &in, &outcome);
		expect_same(&outcome.frame, &expected);
	}
}

struct clamp_case {
	const char *name;
	bool ipv6, outer_ipv6;
	uint16_t mtu;
	uint8_t options[12], after[12];
	uint8_t length;
};

#define MSS(value) 2, 4, (value) >> 8, (value)&0xff

static const struct clamp_case clamps[] = {
	{"1460 with an outer header of IPv4", false, false, 1500, {MSS(1460)}, {MSS(1440)}, 4},
	{"1460 with an outer header of IPv6", false, true, 1500, {MSS(1460)}, {MSS(1420)}, 4},
	{"1440 of IPv6 in IPv4", true, false, 1500, {MSS(1440)}, {MSS(1420)}, 4},
	{"1440 of IPv6 in IPv6", true, true, 1500, {MSS(1440)}, {MSS(1400)}, 4},
	{"just as much as fits", false, false, 1500, {MSS(1440)}, {MSS(1440)}, 4},
	{"less is not made more", false, false, 1500, {MSS(536)}, {MSS(536)}, 4},
	{"a large MTU", false, false, 9000, {MSS(8960)}, {MSS(8940)}, 4},
	{"behind others",
	 false,
	 false,
	 1500,
	 {4, 2, 1, 3, 3, 7, 1, 1, MSS(1460)},
	 {4, 2, 1, 3, 3, 7, 1, 1, MSS(1440)},
	 12},
	{"at an odd place",
	 false,
	 false,
	 1500,
	 {1, MSS(1460), 1, 1, 1},
	 {1, MSS(1440), 1, 1, 1},
	 8},
	{"at an odd place, in IPv6",
	 true,
	 true,
	 1500,
	 {3, 3, 7, MSS(1440), 0},
	 {3, 3, 7, MSS(1400), 0},
	 8},
	{"behind the end", false, false, 1500, {0, 1, 1, 1, MSS(1460)}, {0, 1, 1, 1, MSS(1460)}, 8},
	{"behind an option of length 0",
	 false,
	 false,
	 1500,
	 {3, 0, 1, 1, MSS(1460)},
	 {3, 0, 1, 1, MSS(1460)},
	 8},
	{"behind an option of length 1",
	 false,
	 false,
	 1500,
	 {3, 1, 1, 1, MSS(1460)},
	 {3, 1, 1, 1, MSS(1460)},
	 8},
	{"behind an option of length 255",
	 false,
	 false,
	 1500,
	 {3, 255, 1, 1, MSS(1460)},
	 {3, 255, 1, 1, MSS(1460)},
	 8},
	{"of another length",
	 false,
	 false,
	 1500,
	 {2, 3, 5, 180, 1, 1, 1, 1},
	 {2, 3, 5, 180, 1, 1, 1, 1},
	 8},
	{"none", false, false, 1500, {1, 1, 1, 1}, {1, 1, 1, 1}, 4},
	{"cut off by the header's end", false, false, 1500, {1, 1, 2, 4}, {1, 1, 2, 4}, 4},
};

static struct shape syn_ack(const struct clamp_case *test, const uint8_t *options)
{
	return (struct shape){
		.mac_to = ROUTER_MAC,
		.mac_from = SERVER_MAC,
		.source = test->ipv6 ? VIP_IPV6 : VIP,
		.destination = test->ipv6 ? CLIENT_IPV6 : CLIENT,
		.source_port = VIP_PORT,
		.destination_port = CLIENT_PORT,
		.flags = TCP_SYN | TCP_ACK,
		.tcp_options = options,
		.tcp_options_length = test->length,
	};
}

static void run_clamp(void **state)
{
	const struct clamp_case *test = *state;
	struct shape before = syn_ack(test, test->options), after = syn_ack(test, test->after);
	struct shape syn = shape_usual(test->ipv6);
	struct outer outer = {test->outer_ipv6 ? BALANCER_IPV6 : BALANCER,
			      test->outer_ipv6 ? SERVER_IPV6 : SERVER, .protocol = 0};
	struct frame in, opening, expected;
	struct outcome outcome;

	server_reset(&(struct server_before){.no_balancer = true, .mtu = test->mtu});
	shape_build(&in, &before);
	/* As long as nothing has come in an outer header, nothing has to be left room for. */
	server_run(TO_CLIENT, &in, &outcome);
	expect_same(&outcome.frame, &in);
	syn.flags = TCP_SYN;
	syn.payload = 0;
	shape_build(&opening, &syn);
	outer_put(&opening, &outer);
	server_run(FROM_CLIENT, &opening, &outcome);
	server_run(TO_CLIENT, &in, &outcome);
	shape_build(&expected, &after);
	expect_same(&outcome.frame, &expected);
	assert_int_equal(shape_checksum(&outcome.frame), 0);
}

static int run_all(void)
{
	struct CMUnitTest tests[COUNT(cases)], cuts[7], clamped[COUNT(clamps)];
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name,
					       .test_func = run_case,
					       .initial_state = (void *)&cases[i]};
	for (i = 0; i < COUNT(cuts); i++)
		cuts[i] = (struct CMUnitTest){.name = cases[i].name,
					      .test_func = run_cuts,
					      .initial_state = (void *)&cases[i]};
	for (i = 0; i < COUNT(clamps); i++)
		clamped[i] = (struct CMUnitTest){.name = clamps[i].name,
						 .test_func = run_clamp,
						 .initial_state = (void *)&clamps[i]};
	return _cmocka_run_group_tests("tunnel: cases", tests, COUNT(cases), NULL, NULL) +
	       _cmocka_run_group_tests("tunnel: cut at every byte", cuts, COUNT(cuts), NULL, NULL) +
	       _cmocka_run_group_tests("tunnel: segment sizes", clamped, COUNT(clamps), NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(congestion_outside_is_told_inside),
	};
	int failed;

	harness_require_root();
	if (server_create())
		return EXIT_FAILURE;
	failed = run_all() + cmocka_run_group_tests_name("tunnel: marks", tests, NULL, NULL);
	server_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
