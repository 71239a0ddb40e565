// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP to a VIP: echoes, and errors about packets that servers have sent in its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "balancer_world.h"
#include "layers.h"
#include "run_each.h"

#include "shared.h"

#define VIP6 "2001:db8::100"
#define CLIENT6 "2001:db8::50"
#define OTHER "10.1.0.77"
#define OTHER6 "2001:db8::77"

/* A VIP of each family, with a service in TCP and one in UDP. */
static void prepare(const struct before *before)
{
	world_reset(before);
	world_add_service(VIP, UDP, VIP_PORT);
	world_add_service(VIP6, TCP, VIP_PORT);
	world_add_service(VIP6, UDP, VIP_PORT);
}

static void run(const struct frame *in, struct outcome *outcome)
{
	world_run(world.lan, in, outcome);
}

static void expect_verdict(const struct outcome *outcome, enum verdict verdict, uint32_t action)
{
	uint64_t others = 0;

	for (int i = 0; i < VERDICT_COUNT; i++)
		others += i == (int)verdict ? 0 : verdict_count(i);
	assert_int_equal(others, 0);
	assert_int_equal(verdict_count(verdict), 1);
	assert_int_equal(outcome->action, action);
}

static void expect_frame(const struct outcome *outcome, const struct frame *expected)
{
	assert_int_equal(outcome->frame.length, expected->length);
	assert_memory_equal(outcome->frame.bytes, expected->bytes, expected->length);
}

static void expect_left_alone(const struct frame *in, const struct outcome *outcome)
{
	expect_verdict(outcome, VERDICT_NOT_OURS, XDP_PASS);
	expect_frame(outcome, in);
}

/* ---------------------------------------------------------------------- echo */

struct echo {
	const char *name;
	const char *source, *destination; /* NULL: CLIENT and VIP */
	uint8_t ttl, tos;
	uint16_t payload;
	uint8_t tags; /* of VLANs */
	bool answer; /* the answer to it instead */
};

static const struct echo echoes[] = {
	{.name = "56 bytes", .payload = 56},
	{.name = "none", .payload = 0},
	{.name = "an odd number", .payload = 57},
	{.name = "all that fits", .payload = 1472},
	{.name = "TTL 1", .payload = 8, .ttl = 1},
	{.name = "TTL 0", .payload = 8, .ttl = IS_ZERO},
	{.name = "TTL 255", .payload = 8, .ttl = 255},
	{.name = "a type of service", .payload = 8, .tos = 0x28},
	{.name = "in a VLAN", .payload = 56, .tags = 1},
	{.name = "in a VLAN of a VLAN", .payload = 56, .tags = 2},
	{.name = "IPv6, 56 bytes", .source = CLIENT6, .destination = VIP6, .payload = 56},
	{.name = "IPv6, none", .source = CLIENT6, .destination = VIP6},
	{.name = "IPv6, an odd number", .source = CLIENT6, .destination = VIP6, .payload = 1},
	{.name = "IPv6, hop limit 1", .source = CLIENT6, .destination = VIP6, .ttl = 1},
	{.name = "IPv6, hop limit 0", .source = CLIENT6, .destination = VIP6, .ttl = IS_ZERO},
	{.name = "IPv6, in a VLAN",
	 .source = CLIENT6,
	 .destination = VIP6,
	 .payload = 9,
	 .tags = 1},
	{.name = "IPv6, in two", .source = CLIENT6, .destination = VIP6, .payload = 9, .tags = 2},
};

static bool is_ipv6(const char *address)
{
	return address && strchr(address, ':');
}

static void lay_link(struct frame *frame, const char *to, const char *from, uint8_t tags,
		     uint16_t type)
{
	lay_ethernet(frame, to, from, tags == 2 ? 0x88a8 : tags ? 0x8100 : type);
	if (tags == 2)
		lay_vlan(frame, 0x2007, 0x8100);
	if (tags)
		lay_vlan(frame, 0x0009, type);
}

static void build_echo(const struct echo *echo, bool answer, struct frame *frame)
{
	const char *source = echo->source ?: CLIENT, *destination = echo->destination ?: VIP;
	bool six = is_ipv6(echo->source);
	struct ip_fields ip = {
		.source = answer ? destination : source,
		.destination = answer ? source : destination,
		.protocol = six ? ICMP6 : ICMP4,
		.identification = 0x1234,
		.ttl = answer ? 64 : echo->ttl,
		.tos = echo->tos,
	};
	size_t at;

	lay_link(frame, answer ? ROUTER_MAC : LAN_MAC, answer ? LAN_MAC : ROUTER_MAC, echo->tags,
		 six ? 0x86dd : 0x0800);
	at = frame->length;
	lay_ip(frame, &ip);
	lay_icmp(frame, answer ? (six ? 129 : 0) : (six ? 128 : 8), 0, 0x00070001);
	lay_bytes(frame, echo->payload);
	settle(frame, at);
}

static void test_answered(void **state)
{
	const struct before before = {.answers_echo = true};
	struct frame in, expected;
	struct outcome outcome;

	prepare(&before);
	build_echo(*state, false, &in);
	build_echo(*state, true, &expected);
	run(&in, &outcome);
	expect_verdict(&outcome, VERDICT_ECHO_ANSWERED, XDP_TX);
	expect_frame(&outcome, &expected);
}

static void test_left_to_the_host(void **state)
{
	struct frame in;
	struct outcome outcome;

	prepare(&(struct before){0});
	build_echo(*state, false, &in);
	run(&in, &outcome);
	expect_left_alone(&in, &outcome);
}

static void test_echo_cut(void **state)
{
	const struct echo *echo = *state;
	const struct before before = {.answers_echo = true};
	size_t header = 14 + 4 * echo->tags + (is_ipv6(echo->source) ? 40 : 20);
	struct frame in, cut;
	struct outcome outcome;

	build_echo(echo, false, &in);
	for (cut = in, cut.length = 14; cut.length < in.length; cut.length++) {
		prepare(&before);
		run(&cut, &outcome);
		if (cut.length < header)
			expect_left_alone(&cut, &outcome);
		else
			expect_verdict(&outcome, VERDICT_MALFORMED, XDP_DROP);
	}
}

/* What was wrong stays wrong: it is not made good by being answered. */
static void test_echo_with_a_wrong_checksum(void **state)
{
	const struct before before = {.answers_echo = true};
	static const struct echo four = {.payload = 56},
				 six = {.source = CLIENT6, .destination = VIP6, .payload = 56};
	const struct echo *both[] = {&four, &six};
	struct frame in, right;
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < COUNT(both); i++) {
		size_t checksum = 14 + (i ? 40 : 20) + 2;

		prepare(&before);
		build_echo(both[i], false, &in);
		build_echo(both[i], true, &right);
		in.bytes[checksum] ^= 0x40;
		run(&in, &outcome);
		expect_verdict(&outcome, VERDICT_ECHO_ANSWERED, XDP_TX);
		assert_memory_not_equal(&outcome.frame.bytes[checksum], &right.bytes[checksum], 2);
		memcpy(&outcome.frame.bytes[checksum], &right.bytes[checksum], 2);
		expect_frame(&outcome, &right);
	}
}

/* Requests that are not ours to answer, even where we do answer. */
static void test_echoes_of_others(void **state)
{
	const struct before before = {.answers_echo = true};
	static const uint8_t record_route[8] = {7, 7, 4};
	struct ip_fields with_options = {.source = CLIENT,
					 .destination = VIP,
					 .protocol = ICMP4,
					 .options = record_route,
					 .options_length = 8};
	struct ip_fields with_extension = {
		.source = CLIENT6, .destination = VIP6, .protocol = DESTINATION_OPTIONS};
	struct echo to_other = {.destination = OTHER, .payload = 8};
	struct echo to_other6 = {.source = CLIENT6, .destination = OTHER6, .payload = 8};
	struct echo usual = {.payload = 8};
	struct outcome outcome;
	struct frame frames[6];

	(void)state;
	build_echo(&to_other, false, &frames[0]);
	build_echo(&to_other6, false, &frames[1]);
	lay_link(&frames[2], LAN_MAC, ROUTER_MAC, 0, 0x0800);
	lay_ip(&frames[2], &with_options);
	lay_icmp(&frames[2], 8, 0, 1);
	settle(&frames[2], 14);
	lay_link(&frames[3], LAN_MAC, ROUTER_MAC, 0, 0x86dd);
	lay_ip(&frames[3], &with_extension);
	lay_extension(&frames[3], ICMP6);
	lay_icmp(&frames[3], 128, 0, 1);
	settle(&frames[3], 14);
	build_echo(&usual, false, &frames[4]);
	frames[4].bytes[14 + 20 + 1] = 1; /* code */
	settle(&frames[4], 14);
	build_echo(&usual, false, &frames[5]);
	frames[5].bytes[5] ^= 1; /* to another machine */
	for (size_t i = 0; i < COUNT(frames); i++) {
		prepare(&before);
		run(&frames[i], &outcome);
		expect_left_alone(&frames[i], &outcome);
	}
}

/* -------------------------------------------------------------------- errors */

struct error {
	const char *name;
	uint8_t type, code;
	bool six;
	/* Of the quotation; 0 and NULL for the usual. */
	const char *source;
	uint16_t source_port;
	uint8_t protocol;
	uint16_t fragment;
	uint8_t options_length;
	bool extension; /* IPv6: before the transport */
	uint8_t transport; /* bytes of it; 0 = 20 */
	uint8_t tags;
	struct before before;

	enum verdict verdict;
	uint32_t action;
};

#define STEERED .verdict = VERDICT_ICMP_STEERED, .action = XDP_TX
#define LEFT .verdict = VERDICT_NOT_OURS, .action = XDP_PASS
#define DROPPED(why) .verdict = VERDICT_##why, .action = XDP_DROP

static const struct error errors[] = {
	{.name = "fragmentation needed", .type = 3, .code = 4, STEERED},
	{.name = "host unreachable", .type = 3, .code = 1, STEERED},
	{.name = "port unreachable", .type = 3, .code = 3, STEERED},
	{.name = "administratively prohibited", .type = 3, .code = 13, STEERED},
	{.name = "time exceeded", .type = 11, .code = 0, STEERED},
	{.name = "parameter problem", .type = 12, .code = 0, STEERED},
	{.name = "eight bytes of the transport", .type = 3, .code = 4, .transport = 8, STEERED},
	{.name = "about UDP", .type = 3, .code = 3, .protocol = UDP, .transport = 8, STEERED},
	{.name = "with options in the quotation",
	 .type = 3,
	 .code = 4,
	 .options_length = 8,
	 STEERED},
	{.name = "with as many as there can be",
	 .type = 11,
	 .options_length = 40,
	 .transport = 8,
	 STEERED},
	{.name = "about a first fragment", .type = 11, .fragment = MORE_FRAGMENTS, STEERED},
	{.name = "in a VLAN", .type = 3, .code = 4, .tags = 1, STEERED},
	{.name = "in a VLAN of a VLAN", .type = 3, .code = 4, .tags = 2, STEERED},
	{.name = "seven bytes of the transport", .type = 3, .transport = 7, DROPPED(MALFORMED)},
	{.name = "about a later fragment", .type = 11, .fragment = 1, LEFT},
	{.name = "about a packet of somebody else's", .type = 3, .source = OTHER, LEFT},
	{.name = "about a port without a service", .type = 3, .source_port = 81, LEFT},
	{.name = "about a protocol without ports", .type = 3, .protocol = ESP, LEFT},
	{.name = "source quench", .type = 4, LEFT},
	{.name = "redirect", .type = 5, .code = 1, LEFT},
	{.name = "a timestamp's reply", .type = 14, LEFT},
	{.name = "no backend", .type = 3, .before = {.empty_ring = true}, DROPPED(NO_BACKEND)},
	{.name = "no neighbour",
	 .type = 3,
	 .before = {.no_neighbours = true},
	 DROPPED(NO_NEIGHBOUR)},
	{.name = "IPv6, packet too big", .six = true, .type = 2, STEERED},
	{.name = "IPv6, no route", .six = true, .type = 1, .code = 0, STEERED},
	{.name = "IPv6, port unreachable", .six = true, .type = 1, .code = 4, STEERED},
	{.name = "IPv6, time exceeded", .six = true, .type = 3, STEERED},
	{.name = "IPv6, parameter problem", .six = true, .type = 4, .code = 1, STEERED},
	{.name = "IPv6, eight bytes of the transport",
	 .six = true,
	 .type = 2,
	 .transport = 8,
	 STEERED},
	{.name = "IPv6, about UDP",
	 .six = true,
	 .type = 1,
	 .protocol = UDP,
	 .transport = 8,
	 STEERED},
	{.name = "IPv6, an extension in the quotation",
	 .six = true,
	 .type = 2,
	 .extension = true,
	 STEERED},
	{.name = "IPv6, in a VLAN", .six = true, .type = 2, .tags = 1, STEERED},
	{.name = "IPv6, seven bytes", .six = true, .type = 2, .transport = 7, DROPPED(MALFORMED)},
	{.name = "IPv6, somebody else's", .six = true, .type = 2, .source = OTHER6, LEFT},
	{.name = "IPv6, no service", .six = true, .type = 2, .source_port = 81, LEFT},
	{.name = "IPv6, no ports", .six = true, .type = 2, .protocol = ESP, LEFT},
	{.name = "IPv6, neighbour solicitation", .six = true, .type = 135, LEFT},
	{.name = "IPv6, router advertisement", .six = true, .type = 134, LEFT},
	{.name = "IPv6, a reserved error", .six = true, .type = 127, LEFT},
};

#define ROUTER "10.1.0.1"
#define ROUTER6 "2001:db8::1"

/* The packet that a server has sent to the client, and a router has not liked. */
static void lay_quotation(struct frame *frame, const struct error *error)
{
	static const uint8_t nops[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	uint8_t protocol = error->protocol ?: TCP;
	uint16_t port = error->source_port ?: VIP_PORT;
	struct ip_fields ip = {
		.source = error->source ?: (error->six ? VIP6 : VIP),
		.destination = error->six ? CLIENT6 : CLIENT,
		.protocol = error->extension ? DESTINATION_OPTIONS : protocol,
		.fragment = error->fragment,
		.options = nops,
		.options_length = error->options_length,
	};
	size_t at = frame->length, transport;

	lay_ip(frame, &ip);
	if (error->extension)
		lay_extension(frame, protocol);
	transport = frame->length;
	if (protocol == UDP)
		lay_udp(frame, port, world.client_port);
	else
		lay_tcp(frame, port, world.client_port, TCP_ACK);
	lay_bytes(frame, 100);
	settle(frame, at);
	frame->length = transport + (error->transport ?: 20);
}

static void build_error(const struct error *error, struct frame *frame)
{
	struct ip_fields ip = {
		.source = error->six ? ROUTER6 : ROUTER,
		.destination = error->six ? VIP6 : VIP,
		.protocol = error->six ? ICMP6 : ICMP4,
		.ttl = 63,
	};
	size_t at;

	lay_link(frame, LAN_MAC, ROUTER_MAC, error->tags, error->six ? 0x86dd : 0x0800);
	at = frame->length;
	lay_ip(frame, &ip);
	lay_icmp(frame, error->type, error->code, 1400);
	lay_quotation(frame, error);
	settle(frame, at);
}

/* The flow's own packet, from its client. */
static void build_packet_of_flow(const struct error *error, struct frame *frame)
{
	uint8_t protocol = error->protocol ?: TCP;
	struct ip_fields ip = {
		.source = error->six ? CLIENT6 : CLIENT,
		.destination = error->six ? VIP6 : VIP,
		.protocol = protocol,
	};

	lay_link(frame, LAN_MAC, ROUTER_MAC, 0, error->six ? 0x86dd : 0x0800);
	lay_ip(frame, &ip);
	if (protocol == UDP)
		lay_udp(frame, world.client_port, VIP_PORT);
	else
		lay_tcp(frame, world.client_port, VIP_PORT, TCP_SYN);
	settle(frame, 14);
}

static uint32_t backend_of(const struct frame *frame)
{
	uint8_t mac[6];

	for (uint32_t backend = 1; backend <= BACKENDS; backend++) {
		mac_parse(backend_mac(backend), mac);
		if (!memcmp(frame->bytes, mac, sizeof(mac)))
			return backend;
	}
	return 0;
}

static void expect_error(const struct error *error, const struct frame *in,
			 const struct outcome *outcome, uint32_t backend)
{
	struct frame expected = *in;
	uint32_t action = error->action;

	if (error->verdict == VERDICT_ICMP_STEERED) {
		mac_parse(backend_mac(backend), &expected.bytes[0]);
		mac_parse(interface_mac(backend_interface(backend)), &expected.bytes[6]);
		if (backend_interface(backend) != world.lan)
			action = XDP_REDIRECT;
	}
	expect_verdict(outcome, error->verdict, action);
	if (action != XDP_DROP)
		expect_frame(outcome, &expected);
}

/* Nobody knows the flow: what any balancer would choose is the first candidate, and nothing is remembered. */
static void test_error_by_the_ring(void **state)
{
	const struct error *error = *state;
	struct outcome outcome, again;
	struct frame in, other;
	uint32_t first;

	build_error(error, &in);
	build_packet_of_flow(error, &other);
	prepare(&error->before);
	other.bytes[14 + (error->six ? 40 : 20) + 13] = TCP_ACK;
	run(&other, &again); /* in the middle of a connection it is the first candidate, too */
	first = backend_of(&again.frame);
	prepare(&error->before);
	run(&in, &outcome);
	expect_error(error, &in, &outcome, first);
	assert_int_equal(world_flows(), 0);
}

/* The flow is known, and has another backend than the ring's first. */
static void test_error_by_the_flow(void **state)
{
	const struct error *error = *state;
	struct before before = error->before;
	struct outcome outcome, first;
	struct frame in, opening;

	for (uint32_t backend = 1; backend <= BACKENDS; backend++) {
		for (uint32_t i = 0; i < BACKENDS; i++)
			before.in_flight[i] = i + 1 == backend ? 0 : 1000;
		prepare(&before);
		build_packet_of_flow(error, &opening);
		run(&opening, &first);
		world_clear_verdicts();
		build_error(error, &in);
		run(&in, &outcome);
		expect_error(error, &in, &outcome, backend_of(&first.frame));
		if (error->verdict == VERDICT_ICMP_STEERED)
			assert_int_equal(backend_of(&first.frame), backend);
	}
}

/* Cut on the way, or shorter by its own header: both are malformed up to the eighth byte of the transport. */
static void test_error_cut(void **state)
{
	const struct error *error = *state;
	size_t network = 14 + (error->six ? 40 : 20);
	struct frame in, cut;
	struct outcome outcome;

	build_error(error, &in);
	for (cut = in, cut.length = network; cut.length < in.length; cut.length++) {
		prepare(&error->before);
		run(&cut, &outcome);
		expect_verdict(&outcome, VERDICT_MALFORMED, XDP_DROP);
	}
	for (cut = in, cut.length = network; cut.length < in.length; cut.length++) {
		cut = (struct frame){.length = cut.length};
		memcpy(cut.bytes, in.bytes, cut.length);
		settle(&cut, 14);
		prepare(&error->before);
		run(&cut, &outcome);
		expect_verdict(&outcome, VERDICT_MALFORMED, XDP_DROP);
	}
}

static const struct echo echoes_cut[] = {
	{.name = "IPv4", .payload = 16},
	{.name = "IPv4, in a VLAN", .payload = 16, .tags = 1},
	{.name = "IPv6", .source = CLIENT6, .destination = VIP6, .payload = 16},
};
static const struct error errors_cut[] = {
	{.name = "IPv4", .type = 3, .code = 4, .transport = 8},
	{.name = "IPv4, options quoted",
	 .type = 3,
	 .code = 4,
	 .transport = 8,
	 .options_length = 12},
	{.name = "IPv6", .six = true, .type = 2, .transport = 8},
	{.name = "IPv6, an extension quoted",
	 .six = true,
	 .type = 2,
	 .transport = 8,
	 .extension = true},
};

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_with_a_wrong_checksum),
		cmocka_unit_test(test_echoes_of_others),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = RUN_EACH("echo: answered", test_answered, echoes);
	failed += RUN_EACH("echo: left to the host", test_left_to_the_host, echoes);
	failed += RUN_EACH("echo: cut", test_echo_cut, echoes_cut);
	failed += RUN_EACH("errors: by the ring", test_error_by_the_ring, errors);
	failed += RUN_EACH("errors: by the flow", test_error_by_the_flow, errors);
	failed += RUN_EACH("errors: cut", test_error_cut, errors_cut);
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
