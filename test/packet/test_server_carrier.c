/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Carriers in both families, to balancers on the segment and behind a router: every byte, from the
 * pictures in doc/wire-format.md. When there is one at all, test_server.c asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server_world.h"
#include "shape.h"

#include "../count.h"
#include "load_report.h"

#define CLIENT_IPV6 "2001:db8:9::50"

enum reach {
	ON_SEGMENT,
	BY_IPV4,
	BY_IPV6,
	REACHES,
};

struct carrier_case {
	char name[64];
	bool ipv6, keyed;
	enum reach reach;
	bool too_long; /* by one byte for the MTU */
};

static void put_16(uint8_t *to, uint16_t value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static uint64_t tag_of(const struct carrier_case *test, const uint8_t *bytes)
{
	const struct load_report_key key = {{server_key[0], server_key[1]}};
	struct ip_address vip = ip_address(VIP_IPV6), client = ip_address(CLIENT_IPV6);
	struct load_report_option option;

	memcpy(&option, bytes, LOAD_REPORT_LENGTH);
	if (test->ipv6)
		return load_report_tag_ipv6(&option, &key, &vip, &client);
	return load_report_tag_ipv4(&option, &key, address_bytes(VIP), address_bytes(CLIENT));
}

/* The option; of a server that has nothing to do. */
static size_t put_option(const struct carrier_case *test, uint8_t *bytes)
{
	uint32_t id = address_bytes(SERVER);
	size_t length = test->keyed ? 32 : 24;
	uint64_t tag;

	bytes[0] = test->ipv6 ? 0x1e : 0x5e;
	bytes[1] = test->ipv6 ? length - 2 : length;
	bytes[2] = 0xb7;
	bytes[3] = test->keyed ? 0x18 : 0x10;
	memcpy(&bytes[4], &id, 4);
	memcpy(&bytes[8], (const uint8_t[]){1, 2, 3, 5}, 4); /* the sequence after the peer's */
	put_16(&bytes[12], 0);
	put_16(&bytes[14], 0x8001);
	put_16(&bytes[16], 0);
	put_16(&bytes[18], 0);
	memcpy(&bytes[20], (const uint8_t[]){0x0a, 0x0b, 0x0c, 0x0d}, 4);
	tag = tag_of(test, bytes);
	if (test->keyed)
		memcpy(&bytes[24], &tag, 8);
	return length;
}

/* Of IPv6, without the first byte, which is the builder's: length, PadN of 6 bytes, option. */
static size_t put_between(const struct carrier_case *test, uint8_t *bytes)
{
	if (!test->ipv6)
		return put_option(test, bytes);
	memcpy(bytes, (const uint8_t[]){test->keyed ? 4 : 3, 1, 4, 0, 0, 0, 0}, 7);
	return 7 + put_option(test, bytes + 7);
}

static struct shape syn_ack(const struct carrier_case *test)
{
	return (struct shape){
		.mac_to = ROUTER_MAC,
		.mac_from = SERVER_MAC,
		.source = test->ipv6 ? VIP_IPV6 : VIP,
		.destination = test->ipv6 ? CLIENT_IPV6 : CLIENT,
		.source_port = VIP_PORT,
		.destination_port = CLIENT_PORT,
		.flags = TCP_SYN | TCP_ACK,
	};
}

static void meter_syn(const struct carrier_case *test)
{
	struct shape shape = syn_ack(test);
	struct outcome outcome;
	struct frame syn;

	shape.source = test->ipv6 ? CLIENT_IPV6 : CLIENT;
	shape.destination = test->ipv6 ? VIP_IPV6 : VIP;
	shape.source_port = CLIENT_PORT;
	shape.destination_port = VIP_PORT;
	shape.flags = TCP_SYN;
	shape.mac_to = SERVER_MAC;
	shape.mac_from = ROUTER_MAC;
	shape_build(&syn, &shape);
	server_run(FROM_CLIENT, &syn, &outcome);
}

static void expect(const struct carrier_case *test, struct frame *expected)
{
	struct outer outer = {SERVER, BALANCER, .protocol = 0};
	struct shape shape = syn_ack(test);
	uint8_t between[64];

	shape.mac_to = BALANCER_MAC;
	shape.between = between;
	shape.between_length = put_between(test, between);
	shape_build(expected, &shape);
	if (test->reach == BY_IPV6)
		outer = (struct outer){SERVER_IPV6, BALANCER_IPV6, .protocol = 0};
	if (test->reach != ON_SEGMENT)
		outer_put(expected, &outer);
}

static void run_case(void **state)
{
	const struct carrier_case *test = *state;
	struct shape shape = syn_ack(test);
	struct frame in, expected;
	struct outcome outcome;

	expect(test, &expected);
	server_reset(&(struct server_before){
		.keyed = test->keyed,
		.far = test->reach == BY_IPV4,
		.far_by_ipv6 = test->reach == BY_IPV6,
		.mtu = expected.length - 14 - test->too_long,
	});
	meter_syn(test);
	shape_build(&in, &shape);
	server_run(TO_CLIENT, &in, &outcome);
	if (test->too_long)
		expected = in;
	assert_int_equal(outcome.frame.length, expected.length);
	assert_memory_equal(outcome.frame.bytes, expected.bytes, expected.length);
	assert_int_equal(skip_count(test->too_long ? SKIP_MTU : SKIP_STAMPED), 1);
}

static int run_cases(void)
{
	static const char *const ways[] = {"on the segment", "over a router, in IPv4",
					   "over a router, in IPv6"};
	struct carrier_case cases[2 * 2 * REACHES * 2];
	struct CMUnitTest tests[COUNT(cases)];
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		cases[i] = (struct carrier_case){.ipv6 = i & 1,
						 .keyed = i >> 1 & 1,
						 .too_long = i >> 2 & 1,
						 .reach = i >> 3};
		snprintf(cases[i].name, sizeof(cases[i].name), "%s%s, %s%s",
			 cases[i].ipv6 ? "IPv6" : "IPv4", cases[i].keyed ? ", keyed" : "",
			 ways[cases[i].reach], cases[i].too_long ? ": a byte too long" : "");
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name, .test_func = run_case, .initial_state = &cases[i]};
	}
	return _cmocka_run_group_tests("server: carriers", tests, COUNT(cases), NULL, NULL);
}

int main(void)
{
	int failed;

	harness_require_root();
	if (server_create())
		return EXIT_FAILURE;
	failed = run_cases();
	server_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
