// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a client is told whose packet does not fit: byte for byte by RFC 792, 1191, 1812 and 4443. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "balancer.skel.h"
#include "balancer_world.h"
#include "families.h"
#include "layers.h"
#include "run_each.h"

#include "shared.h"

#define BURST 50 /* as in bpf/too_big.h */

struct told {
	const char *name;
	uint16_t payload; /* of TCP */
	uint32_t mtu;
	uint8_t options_length;
	uint8_t tags;
	uint16_t padding;
	bool six;
	bool may_be_fragmented;
};

static const struct told told[] = {
	{.name = "1500 bytes", .payload = 1460, .mtu = 1480},
	{.name = "1500 bytes, by IPv6 to the backend", .payload = 1460, .mtu = 1460},
	{.name = "no more than is quoted", .payload = 508, .mtu = 500},
	{.name = "IP options", .payload = 1400, .mtu = 1480, .options_length = 12},
	{.name = "in a VLAN", .payload = 1460, .mtu = 1480, .tags = 1},
	{.name = "in a VLAN of a VLAN", .payload = 1460, .mtu = 1480, .tags = 2},
	{.name = "padding is not quoted", .payload = 508, .mtu = 500, .padding = 30},
	{.name = "without don't fragment", .payload = 1460, .mtu = 1480, .may_be_fragmented = true},
	{.name = "IPv6, 1500 bytes", .payload = 1440, .mtu = 1460, .six = true},
	{.name = "IPv6, in a VLAN", .payload = 1440, .mtu = 1460, .six = true, .tags = 1},
	{.name = "IPv6, in a VLAN of a VLAN", .payload = 1440, .mtu = 1460, .six = true, .tags = 2},
	{.name = "IPv6, no more than is quoted", .payload = 1172, .mtu = 1200, .six = true},
	{.name = "too short to be believed", .payload = 507, .mtu = 500},
	{.name = "IPv6, too short to be believed", .payload = 1171, .mtu = 1200, .six = true},
};

static size_t least(const struct told *test)
{
	return test->six ? 1280 - 48 : 576 - 28;
}

static void lay_link(struct frame *frame, const struct told *test, const char *to, const char *from)
{
	uint16_t type = test->six ? 0x86dd : 0x0800;

	lay_ethernet(frame, to, from, test->tags == 2 ? 0x88a8 : test->tags ? 0x8100 : type);
	if (test->tags == 2)
		lay_vlan(frame, 0x2007, 0x8100);
	if (test->tags)
		lay_vlan(frame, 9, type);
}

static void build_packet(const struct told *test, struct frame *frame)
{
	static const uint8_t nops[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct ip_fields ip = {
		.source = test->six ? CLIENT6 : CLIENT,
		.destination = test->six ? VIP6 : VIP,
		.protocol = TCP,
		.identification = 99,
		.fragment = test->may_be_fragmented ? 0 : DONT_FRAGMENT,
		.ttl = 57,
		.options = nops,
		.options_length = test->options_length,
	};
	size_t at;

	lay_link(frame, test, LAN_MAC, ROUTER_MAC);
	at = frame->length;
	lay_ip(frame, &ip);
	lay_tcp(frame, 40000, VIP_PORT, TCP_ACK);
	lay_bytes(frame, test->payload);
	settle(frame, at);
	lay_bytes(frame, test->padding);
}

static void build_error(const struct told *test, const struct frame *packet, struct frame *frame)
{
	size_t link = 14 + 4 * test->tags;
	struct ip_fields ip = {
		.source = test->six ? VIP6 : VIP,
		.destination = test->six ? CLIENT6 : CLIENT,
		.protocol = test->six ? ICMP6 : ICMP4,
		.fragment = DONT_FRAGMENT,
		.tos = 0xc0,
	};
	size_t at;

	lay_link(frame, test, ROUTER_MAC, LAN_MAC);
	at = frame->length;
	lay_ip(frame, &ip);
	lay_icmp(frame, test->six ? 2 : 3, test->six ? 0 : 4, test->mtu);
	lay_copy(frame, &packet->bytes[link], least(test));
	settle(frame, at);
}

static void run_too_big(uint32_t mtu, const struct frame *in, struct outcome *outcome)
{
	world_set_too_big(mtu);
	assert_int_equal(
		run_xdp(bpf_program__fd(world.skeleton->progs.too_big_way), world.lan, in, outcome),
		0);
}

static void test_told(void **state)
{
	const struct told *test = *state;
	struct outcome outcome;
	struct frame in, expected;

	world_reset(&(struct before){0});
	build_packet(test, &in);
	run_too_big(test->mtu, &in, &outcome);
	if (in.length - test->padding - 14 - 4 * test->tags < least(test)) {
		assert_int_equal(verdict_count(VERDICT_TOO_BIG), 1);
		assert_int_equal(outcome.action, XDP_DROP);
		return;
	}
	build_error(test, &in, &expected);
	assert_int_equal(verdict_count(VERDICT_TOO_BIG_TOLD), 1);
	assert_int_equal(outcome.action, XDP_TX);
	assert_int_equal(outcome.frame.length, expected.length);
	assert_memory_equal(outcome.frame.bytes, expected.bytes, expected.length);
}

/* A burst, and then one for each thousandth of a second: a second of running may bring 1,000 more. */
static void test_not_without_limit(void **state)
{
	const struct told usual = {.payload = 1460};
	uint64_t begin, sent, elapsed_ms;
	struct outcome outcome;
	struct frame in;

	(void)state;
	world_reset(&(struct before){0});
	build_packet(&usual, &in);
	begin = monotonic_ns();
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(run_xdp(bpf_program__fd(world.skeleton->progs.too_big_way),
					 world.lan, &in, &outcome),
				 0);
		assert_true(outcome.action == XDP_TX || outcome.action == XDP_DROP);
	}
	elapsed_ms = (monotonic_ns() - begin) / 1000000;
	sent = verdict_count(VERDICT_TOO_BIG_TOLD);
	assert_int_equal(sent + verdict_count(VERDICT_TOO_BIG), 3000);
	assert_true(sent >= BURST);
	assert_true(sent <= (uint64_t)libbpf_num_possible_cpus() * (BURST + 1 + elapsed_ms));
}

/* A packet to the service of so many bytes, IP header and all. */
static void run_of_length(bool six, uint16_t length, uint16_t fragment, struct outcome *outcome)
{
	struct ip_fields ip = {
		.source = six ? CLIENT6 : CLIENT,
		.destination = six ? VIP6 : VIP,
		.protocol = TCP,
		.fragment = six ? 0 : fragment,
	};
	struct frame in;

	lay_ethernet(&in, LAN_MAC, ROUTER_MAC, six ? 0x86dd : 0x0800);
	lay_ip(&in, &ip);
	lay_tcp(&in, 40000, VIP_PORT, TCP_ACK);
	lay_bytes(&in, length - 20 - (six ? 40 : 20));
	settle(&in, 14);
	world_run(world.lan, &in, outcome);
}

/* By way of each outer header: what just fits its link of 1500 bytes goes, a byte more does not. */
static void test_what_fits(void **state)
{
	const struct before before = {0};
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < ways_count; i++) {
		uint16_t fits = strchr(ways[i].backend, ':') ? 1460 : 1480;

		for (int six = 0; six < 2 && ways[i].inside; six++) {
			size_t mtu_at = 14 + (six ? 40 : 20) + 6;

			families_reset(&before, &ways[i]);
			world_set_too_big(0);
			run_of_length(six, fits, DONT_FRAGMENT, &outcome);
			assert_int_equal(verdict_count(VERDICT_FORWARDED), 1);
			run_of_length(six, fits + 1, DONT_FRAGMENT, &outcome);
			assert_int_equal(verdict_count(VERDICT_TOO_BIG_TOLD), 1);
			assert_int_equal(outcome.action, XDP_TX);
			assert_int_equal(outcome.frame.bytes[mtu_at] << 8 |
						 outcome.frame.bytes[mtu_at + 1],
					 fits);
		}
	}
}

/* A piece that is not the first one is not told of. */
static void test_later_piece(void **state)
{
	const struct before before = {0};
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < ways_count; i++) {
		if (!ways[i].inside)
			continue;
		families_reset(&before, &ways[i]);
		world_set_too_big(0);
		run_of_length(false, 1400, MORE_FRAGMENTS, &outcome);
		assert_int_equal(verdict_count(VERDICT_FORWARDED), 1);
		run_of_length(false, 1500, MORE_FRAGMENTS | 1000, &outcome);
		assert_int_equal(verdict_count(VERDICT_TOO_BIG), 1);
		assert_int_equal(outcome.action, XDP_DROP);
		run_of_length(false, 1500, MORE_FRAGMENTS, &outcome);
		assert_int_equal(verdict_count(VERDICT_TOO_BIG_TOLD), 1);
	}
}

int main(void)
{
	const struct CMUnitTest others[] = {cmocka_unit_test(test_not_without_limit),
					    cmocka_unit_test(test_what_fits),
					    cmocka_unit_test(test_later_piece)};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = RUN_EACH("too big: told", test_told, told);
	failed += cmocka_run_group_tests(others, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
