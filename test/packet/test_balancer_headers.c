// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What clients may put into their IP headers: options, extension headers, any TTL. It is the server's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "balancer_world.h"
#include "layers.h"

#include "../count.h"
#include "shared.h"

#define VIP6 "2001:db8::100"
#define CLIENT6 "2001:db8::50"

struct header_case {
	const char *name;
	uint8_t options[40], options_length;
	uint8_t extensions[64],
		extensions_length; /* IPv6: behind the header; what follows them is TCP */
	uint8_t first; /* the protocol of the first of them */
	uint8_t ttl;
	bool six;
	enum verdict verdict; /* NONE = FORWARDED */
};

#define MALFORMED .verdict = VERDICT_MALFORMED

static const struct header_case cases[] = {
	{.name = "TTL 1", .ttl = 1},
	{.name = "TTL 0", .ttl = IS_ZERO},
	{.name = "hop limit 1", .six = true, .ttl = 1},
	{.name = "hop limit 0", .six = true, .ttl = IS_ZERO},

	{.name = "NOP", .options = {1, 1, 1, 1}, .options_length = 4},
	{.name = "the end at once, then anything", .options = {0, 7, 1, 0}, .options_length = 4},
	{.name = "router alert", .options = {0x94, 4, 0, 0}, .options_length = 4},
	{.name = "record route",
	 .options = {7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	 .options_length = 12},
	{.name = "timestamp",
	 .options = {1, 1, 68, 10, 5, 0, 0, 0, 0, 0, 0, 0},
	 .options_length = 12},
	{.name = "one of 40 bytes", .options = {7, 40, 4}, .options_length = 40},
	{.name = "one of two bytes, 20 times",
	 .options = {130, 2, 130, 2, 130, 2, 130, 2, 130, 2, 130, 2, 130, 2,
		     130, 2, 130, 2, 130, 2, 130, 2, 130, 2, 130, 2, 130, 2,
		     130, 2, 130, 2, 130, 2, 130, 2, 130, 2, 130, 2},
	 .options_length = 40},
	{.name = "40 NOPs",
	 .options = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
	 .options_length = 40},
	{.name = "a load report",
	 .options = {0x5e, 24, 0xb7, 0x10, 10, 1, 0, 11, 0, 0, 0, 9},
	 .options_length = 24},
	{.name = "length 0", .options = {7, 0, 1, 1}, .options_length = 4, MALFORMED},
	{.name = "length 1", .options = {7, 1, 1, 1}, .options_length = 4, MALFORMED},
	{.name = "length 255", .options = {7, 255, 1, 1}, .options_length = 4, MALFORMED},
	{.name = "one byte longer than there is",
	 .options = {7, 5, 4, 0},
	 .options_length = 4,
	 MALFORMED},
	{.name = "a type in the last byte, no length",
	 .options = {1, 1, 1, 7},
	 .options_length = 4,
	 MALFORMED},
	{.name = "length 0 in the last of 40",
	 .options = {7, 38, 4, [38] = 7, [39] = 0},
	 .options_length = 40,
	 MALFORMED},
	{.name = "length 3 in the last two of 40",
	 .options = {7, 38, 4, [38] = 7, [39] = 3},
	 .options_length = 40,
	 MALFORMED},

	{.name = "hop-by-hop options",
	 .six = true,
	 .first = HOP_BY_HOP,
	 .extensions = {TCP, 0, 1, 4},
	 .extensions_length = 8},
	{.name = "destination options",
	 .six = true,
	 .first = DESTINATION_OPTIONS,
	 .extensions = {TCP, 0, 1, 4},
	 .extensions_length = 8},
	{.name = "a load report in IPv6",
	 .six = true,
	 .first = DESTINATION_OPTIONS,
	 .extensions = {TCP, 3, 0x1e, 22, 0xb7, 0x10, 10, 1, 0, 11, 0, 0, 0, 9, [26] = 1, [27] = 4},
	 .extensions_length = 32},
	{.name = "a routing header that is through",
	 .six = true,
	 .first = ROUTING,
	 .extensions = {TCP, 0, 4, 0},
	 .extensions_length = 8},
	{.name = "three of them",
	 .six = true,
	 .first = HOP_BY_HOP,
	 .extensions = {DESTINATION_OPTIONS,
			0,
			1,
			4,
			0,
			0,
			0,
			0,
			ROUTING,
			0,
			1,
			4,
			0,
			0,
			0,
			0,
			TCP,
			0,
			4,
			0},
	 .extensions_length = 24},
	{.name = "its own only fragment",
	 .six = true,
	 .first = FRAGMENT,
	 .extensions = {TCP, 0, 0, 0, 0, 0, 0, 7},
	 .extensions_length = 8},
	{.name = "an extension longer than the packet",
	 .six = true,
	 .first = DESTINATION_OPTIONS,
	 .extensions = {TCP, 255, 1, 4},
	 .extensions_length = 8,
	 MALFORMED},
};

static void build(const struct header_case *test, struct frame *frame)
{
	struct ip_fields ip = {
		.source = test->six ? CLIENT6 : CLIENT,
		.destination = test->six ? VIP6 : VIP,
		.protocol = test->extensions_length ? test->first : TCP,
		.ttl = test->ttl,
		.options = test->options,
		.options_length = test->options_length,
	};

	lay_ethernet(frame, LAN_MAC, ROUTER_MAC, test->six ? 0x86dd : 0x0800);
	lay_ip(frame, &ip);
	lay_copy(frame, test->extensions, test->extensions_length);
	lay_tcp(frame, world.client_port, VIP_PORT, TCP_SYN);
	settle(frame, 14);
}

static void expect_loads_unchanged(void)
{
	struct load load;

	for (uint32_t i = 1; i <= BACKENDS; i++) {
		load_read(i, &load);
		assert_int_equal(load.reports, 0);
		assert_int_equal(load.in_flight, 0);
	}
}

static void test_header(void **state)
{
	const struct header_case *test = *state;
	enum verdict verdict = test->verdict ?: VERDICT_FORWARDED;
	struct outcome outcome;
	struct frame in;

	world_reset(&(struct before){0});
	world_add_service(VIP6, TCP, VIP_PORT);
	build(test, &in);
	world_run(world.lan, &in, &outcome);
	assert_int_equal(verdict_count(verdict), 1);
	expect_loads_unchanged();
	if (verdict == VERDICT_MALFORMED) {
		assert_int_equal(outcome.action, XDP_DROP);
		return;
	}
	assert_true(outcome.action == XDP_TX || outcome.action == XDP_REDIRECT);
	assert_int_equal(outcome.frame.length, in.length);
	assert_memory_equal(&outcome.frame.bytes[12], &in.bytes[12], in.length - 12);
}

/* To a VIP, but to none of its services: what its options say is the host's to judge. */
static void test_options_to_no_service(void **state)
{
	static const uint8_t broken[] = {7, 0, 1, 1};
	const struct before before = {0};
	struct outcome outcome;
	struct segment segment;
	struct frame frame;

	(void)state;
	world_reset(&before);
	segment = segment_to_service();
	segment.destination_port = VIP_PORT + 1;
	segment.options = broken;
	segment.options_length = sizeof(broken);
	frame_build(&frame, &segment);
	world_run(world.lan, &frame, &outcome);
	assert_int_equal(verdict_count(VERDICT_NOT_OURS), 1);
	assert_int_equal(outcome.action, XDP_PASS);
}

int main(void)
{
	struct CMUnitTest tests[COUNT(cases) + 1];
	int failed;

	for (size_t i = 0; i < COUNT(cases); i++)
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name,
			.test_func = test_header,
			.initial_state = (void *)&cases[i],
		};
	tests[COUNT(cases)] = (struct CMUnitTest)cmocka_unit_test(test_options_to_no_service);
	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests_name("headers of clients", tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
