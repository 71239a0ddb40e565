/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services of both families, to backends of both, by L2 and inside packets of ours, TCP and UDP, with
 * VLAN tags and without: each combination, byte for byte; cut short at each byte; and with lengths that lie.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>

#include "../count.h"
#include "balancer_world.h"
#include "families.h"

static const struct before idle;

static void assert_same(const struct frame *is, const struct frame *expected, const char *what)
{
	for (size_t i = 0; i < expected->length || i < is->length; i++)
		if (is->length != expected->length || is->bytes[i] != expected->bytes[i])
			fail_msg("%s: %zu bytes, expected %zu; byte %zu is %02x, expected %02x",
				 what, is->length, expected->length, i, is->bytes[i],
				 expected->bytes[i]);
}

/* What the balancer cannot be foretold of: the flow's label and what varies in the source. */
static void take_over(struct layers *expected, const struct frame *is)
{
	const uint8_t *outer = &is->bytes[14 + 4 * expected->vlans];

	if (outer[0] >> 4 == 6)
		expected->outer.flow_label = (outer[1] & 0xfU) << 16 | outer[2] << 8 | outer[3];
}

static void describe(char *text, size_t size, const struct layers *in, const struct way *way)
{
	snprintf(text, size, "%s to %s by %s, protocol %u, %u tags", in->ip.source,
		 in->ip.destination, way->name, in->transport, in->vlans);
}

static void check_way(const struct layers *in, const struct way *way)
{
	struct layers expected = *in;
	struct outcome outcome;
	struct frame frame;
	char what[160];

	describe(what, sizeof(what), in, way);
	families_reset(&idle, way);
	layers_build(&frame, in);
	world_run(world.lan, &frame, &outcome);
	if (verdict_count(VERDICT_FORWARDED) != 1)
		fail_msg("%s: not forwarded", what);
	expected.mac_to = backend_mac(1);
	expected.mac_from = LAN_MAC;
	way_around(way, in, &expected);
	if (expected.outer.source)
		take_over(&expected, &outcome.frame);
	layers_build(&frame, &expected);
	assert_same(&outcome.frame, &frame, what);
	assert_int_equal(outcome.action, XDP_TX);
}

static void test_every_combination(void **state)
{
	(void)state;
	for (size_t family = 0; family < 2; family++)
		for (size_t w = 0; w < ways_count; w++)
			for (uint8_t vlans = 0; vlans <= 2; vlans++)
				for (int udp = 0; udp < 2; udp++) {
					struct layers in = request(family, udp, vlans);

					if (ways[w].l2_of_other_family == (family ? 6 : 4))
						continue;
					check_way(&in, &ways[w]);
					in.ip.traffic_class = 0xb9; /* DSCP EF, ECT(1) */
					in.ip.ttl = 3;
					in.ip.may_fragment = true;
					in.payload = 1;
					check_way(&in, &ways[w]);
				}
}

/* The flow label and the varied source: of the flow, and of nothing else. */
static void test_sources_vary_with_the_flow(void **state)
{
	struct way way = {"varied", true, "10.1.0.11", "198.18.0.2", true, 0};
	uint32_t seen[64] = {0}, different = 0;
	struct outcome outcome;
	struct frame frame;

	(void)state;
	for (size_t i = 0; i < COUNT(seen); i++) {
		struct layers in = request(0, 0, 0);
		bool again = false;

		in.source_port = (uint16_t)(10000 + i);
		for (int twice = 0; twice < 2; twice++) {
			uint32_t before = seen[i];

			families_reset(&idle, &way);
			layers_build(&frame, &in);
			world_run(world.lan, &frame, &outcome);
			memcpy(&seen[i], &outcome.frame.bytes[26], 4);
			seen[i] = ntohl(seen[i]);
			if (twice)
				assert_int_equal(seen[i], before);
		}
		/* 198.18.0.0/15, and our own last octet. */
		assert_int_equal(seen[i] & 0xfffe00ff, 0xc6120002);
		for (size_t j = 0; j < i; j++)
			again |= seen[j] == seen[i];
		different += !again;
	}
	assert_true(different > 40);
}

static void test_sources_of_ipv6_vary_in_one_word(void **state)
{
	struct way way = {"varied", true, "2001:db8::b", "2001:db8:1:2:0:0:0:2", true, 0};
	struct ip_address own = ip_address(way.outer_source), source;
	struct layers in = request(0, 0, 0);
	struct outcome outcome;
	struct frame frame;

	(void)state;
	families_reset(&idle, &way);
	layers_build(&frame, &in);
	world_run(world.lan, &frame, &outcome);
	memcpy(&source, &outcome.frame.bytes[22], sizeof(source));
	assert_int_equal(source.word[0], own.word[0]);
	assert_int_equal(source.word[1], own.word[1]);
	assert_int_not_equal(source.word[2], own.word[2]);
	assert_int_equal(source.word[3], own.word[3]);
}

/* What is too short to say where it goes is the host's; the rest is dropped. */
static void test_cut_short_at_every_byte(void **state)
{
	struct outcome outcome;
	struct frame whole, cut;

	(void)state;
	for (int family = 0; family < 2; family++)
		for (uint8_t vlans = 0; vlans <= 2; vlans++)
			for (int udp = 0; udp < 2; udp++) {
				struct layers in = request(family, udp, vlans);
				size_t address_ends = layers_before_transport(&in);

				layers_build(&whole, &in);
				for (size_t length = 14; length < whole.length; length++) {
					cut = whole;
					cut.length = length;
					families_reset(&idle, &ways[0]);
					world_run(world.lan, &cut, &outcome);
					if (verdict_count(length < address_ends ?
								  VERDICT_NOT_OURS :
								  VERDICT_MALFORMED) != 1)
						fail_msg(
							"IPv%d, %s, %u tags, cut to %zu bytes: wrong verdict",
							family ? 6 : 4, udp ? "UDP" : "TCP", vlans,
							length);
				}
			}
}

static enum verdict verdict_of(const struct frame *frame, uint8_t family)
{
	struct outcome outcome;

	families_reset(&idle, &ways[family ? 1 : 0]);
	world_run(world.lan, frame, &outcome);
	for (int verdict = 0; verdict < VERDICT_COUNT; verdict++)
		if (verdict_count(verdict))
			return verdict;
	return VERDICT_NONE;
}

static const struct lie {
	const char *what;
	uint8_t family, udp;
	uint8_t at; /* behind the beginning of the IP header */
	uint8_t bytes[2];
	enum verdict verdict;
} lies[] = {
	{"ihl 4", 0, 0, 0, {0x44, 0}, VERDICT_NOT_OURS},
	{"ihl 15 in a packet of 40 bytes", 0, 0, 0, {0x4f, 0}, VERDICT_MALFORMED},
	{"version 6 where IPv4 is said", 0, 0, 0, {0x65, 0}, VERDICT_NOT_OURS},
	{"total length 0", 0, 0, 2, {0, 0}, VERDICT_MALFORMED},
	{"total length 39", 0, 0, 2, {0, 39}, VERDICT_MALFORMED},
	{"total length beyond the frame", 0, 0, 2, {0, 57}, VERDICT_MALFORMED},
	{"total length 27 of UDP", 0, 1, 2, {0, 27}, VERDICT_MALFORMED},
	{"doff 4", 0, 0, 32, {0x40, 2}, VERDICT_MALFORMED},
	{"doff 15", 0, 0, 32, {0xf0, 2}, VERDICT_MALFORMED},
	{"UDP length 0", 0, 1, 24, {0, 0}, VERDICT_MALFORMED},
	{"UDP length 7", 0, 1, 24, {0, 7}, VERDICT_MALFORMED},
	{"UDP length beyond the packet", 0, 1, 24, {0, 25}, VERDICT_MALFORMED},
	{"UDP length short of the packet", 0, 1, 24, {0, 8}, VERDICT_FORWARDED},
	{"version 4 where IPv6 is said", 1, 0, 0, {0x40, 0}, VERDICT_NOT_OURS},
	{"payload length 0", 1, 0, 4, {0, 0}, VERDICT_MALFORMED},
	{"payload length 19", 1, 0, 4, {0, 19}, VERDICT_MALFORMED},
	{"payload length beyond the frame", 1, 0, 4, {0, 37}, VERDICT_MALFORMED},
	{"payload length 7 of UDP", 1, 1, 4, {0, 7}, VERDICT_MALFORMED},
	{"IPv6's doff 15", 1, 0, 52, {0xf0, 2}, VERDICT_MALFORMED},
	{"IPv6's UDP length 7", 1, 1, 44, {0, 7}, VERDICT_MALFORMED},
	{"a hop-by-hop header that is TCP's", 1, 0, 6, {0, 64}, VERDICT_NOT_OURS},
	{"SCTP", 0, 0, 9, {132, 0}, VERDICT_NOT_OURS},
	{"SCTP in IPv6", 1, 0, 6, {132, 64}, VERDICT_NOT_OURS},
	{"ESP in IPv6", 1, 0, 6, {50, 64}, VERDICT_NOT_OURS},
	{"nothing behind the header", 1, 0, 6, {59, 64}, VERDICT_NOT_OURS},
};

static void test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct layers in = request(lies[i].family, lies[i].udp, 0);
		struct frame frame;

		in.payload = 16;
		layers_build(&frame, &in);
		memcpy(&frame.bytes[14 + lies[i].at], lies[i].bytes,
		       lies[i].bytes[1] || lies[i].at ? 2 : 1);
		if (verdict_of(&frame, lies[i].family) != lies[i].verdict)
			fail_msg("%s: verdict %d", lies[i].what,
				 verdict_of(&frame, lies[i].family));
	}
}

static const struct chain {
	const char *what;
	uint8_t first;
	uint8_t bytes[80];
	uint16_t length;
	enum verdict verdict;
} chains[] = {
	{"hop-by-hop", 0, {6, 0, 1, 4}, 8, VERDICT_FORWARDED},
	{"destination options of 16 bytes", 60, {6, 1, 1, 12}, 16, VERDICT_FORWARDED},
	{"routing", 43, {6, 0, 4}, 8, VERDICT_FORWARDED},
	{"authentication of 12 bytes", 51, {6, 1}, 12, VERDICT_FORWARDED},
	{"its own only fragment", 44, {6, 0, 0, 0}, 8, VERDICT_FORWARDED},
	{"hop-by-hop, then destination options",
	 0,
	 {60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4},
	 16,
	 VERDICT_FORWARDED},
	{"the first fragment", 44, {6, 0, 0, 1, 0, 0, 0, 7}, 8, VERDICT_FORWARDED},
	{"a later fragment of another packet",
	 44,
	 {6, 0, 0, 8, 0, 0, 0, 8},
	 8,
	 VERDICT_FRAGMENT_UNKNOWN},
	{"a fragment of SCTP", 44, {132, 0, 0, 1}, 8, VERDICT_NOT_OURS},
	{"SCTP behind a header", 60, {132, 0, 1, 4}, 8, VERDICT_NOT_OURS},
	{"a header longer than the packet", 60, {6, 255, 1, 4}, 8, VERDICT_MALFORMED},
	{"eight headers",
	 60,
	 {60, 0, 1,  4, 0,  0, 0, 0, 60, 0, 1,	4, 0, 0, 0, 0, 60, 0, 1,  4, 0, 0,
	  0,  0, 60, 0, 1,  4, 0, 0, 0,	 0, 60, 0, 1, 4, 0, 0, 0,  0, 60, 0, 1, 4,
	  0,  0, 0,  0, 60, 0, 1, 4, 0,	 0, 0,	0, 6, 0, 1, 4, 0,  0, 0,  0},
	 64,
	 VERDICT_FORWARDED},
	{"nine headers",
	 60,
	 {60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0,
	  60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0,
	  60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 6,	0, 1, 4, 0, 0, 0, 0},
	 72,
	 VERDICT_MALFORMED},
};

static void test_extension_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(chains); i++) {
		struct layers in = request(1, 0, 0);
		struct frame frame;

		in.ip.between = chains[i].bytes;
		in.ip.between_length = chains[i].length;
		in.ip.first = chains[i].first;
		layers_build(&frame, &in);
		if (verdict_of(&frame, 1) != chains[i].verdict)
			fail_msg("%s: verdict %d", chains[i].what, verdict_of(&frame, 1));
	}
}

/* Three tags are more than anybody understands: the host may try. */
static void test_three_tags(void **state)
{
	struct layers in = request(0, 0, 2);
	struct frame frame;

	(void)state;
	layers_build(&frame, &in);
	memmove(&frame.bytes[16], &frame.bytes[12], frame.length - 12);
	frame.length += 4;
	assert_int_equal(verdict_of(&frame, 0), VERDICT_NOT_OURS);
}

static void test_any_port(void **state)
{
	struct layers in = request(0, 0, 0);
	struct outcome outcome;
	struct frame frame;

	(void)state;
	families_reset(&idle, &ways[0]);
	families_any_port(IPPROTO_TCP);
	in.destination_port = 8080;
	layers_build(&frame, &in);
	world_run(world.lan, &frame, &outcome);
	assert_int_equal(verdict_count(VERDICT_FORWARDED), 1);
	/* A service of that very port is another one, here without a ring. */
	families_empty_port(IPPROTO_TCP, 8081);
	in.destination_port = 8081;
	layers_build(&frame, &in);
	world_run(world.lan, &frame, &outcome);
	assert_int_equal(verdict_count(VERDICT_NO_BACKEND), 1);
	in = request(0, 1, 0);
	in.destination_port = 8080;
	layers_build(&frame, &in);
	world_run(world.lan, &frame, &outcome);
	assert_int_equal(verdict_count(VERDICT_NOT_OURS), 1);
}

/* A datagram's flow stays where it is, and tells nothing of how servers answer. */
static void test_datagrams(void **state)
{
	const struct before second = {.in_flight = {9, 9, 9}};
	struct layers in = request(1, 1, 0);
	struct load before, after;
	struct outcome outcome;
	struct frame frame;

	(void)state;
	families_reset(&second, &ways[1]);
	load_read(1, &before);
	layers_build(&frame, &in);
	for (int i = 0; i < 10; i++)
		world_run(world.lan, &frame, &outcome);
	load_read(1, &after);
	assert_int_equal(verdict_count(VERDICT_FORWARDED), 10);
	assert_int_equal(after.connections_sent, before.connections_sent);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_sources_vary_with_the_flow),
		cmocka_unit_test(test_sources_of_ipv6_vary_in_one_word),
		cmocka_unit_test(test_cut_short_at_every_byte),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_extension_headers),
		cmocka_unit_test(test_three_tags),
		cmocka_unit_test(test_any_port),
		cmocka_unit_test(test_datagrams),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests_name("balancer: families", tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
