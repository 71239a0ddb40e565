/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Backends that are down: what becomes of their flows, and of new ones when none is up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>

#include "balancer.skel.h"
#include "hash.h"
#include "health_world.h"
#include "layers.h"
#include "run_each.h"

static const struct before idle = {0};

/* What is to become of a packet when no backend is up. */
static const struct all_down_case {
	const char *name;
	uint8_t all_down;
	uint8_t flags; /* of the client's packet, which has 10 bytes of payload */
	enum verdict verdict;
	uint8_t reset; /* flags of the answer; 0: there is none */
	uint32_t sequence, acknowledged; /* of the answer */
} all_down_cases[] = {
	{"tried, where none has ever been reached", ALL_DOWN_TRY_ALL, TCP_SYN, VERDICT_NO_BACKEND,
	 0, 0, 0},
	{"dropped", ALL_DOWN_DROP, TCP_SYN, VERDICT_ALL_DOWN, 0, 0, 0},
	{"a SYN is reset", ALL_DOWN_RESET, TCP_SYN, VERDICT_REFUSED, TCP_RST | TCP_ACK, 0,
	 CLIENT_SEQUENCE + 11},
	{"what acknowledges is reset at what it acknowledges", ALL_DOWN_RESET, TCP_ACK,
	 VERDICT_REFUSED, TCP_RST, CLIENT_ACKNOWLEDGES, 0},
	{"a FIN counts", ALL_DOWN_RESET, TCP_FIN, VERDICT_REFUSED, TCP_RST | TCP_ACK, 0,
	 CLIENT_SEQUENCE + 11},
	{"a reset is not", ALL_DOWN_RESET, TCP_RST, VERDICT_ALL_DOWN, 0, 0, 0},
};

static uint32_t word_at(const struct frame *frame, size_t at)
{
	return (uint32_t)frame->bytes[at] << 24 | (uint32_t)frame->bytes[at + 1] << 16 |
	       (uint32_t)frame->bytes[at + 2] << 8 | frame->bytes[at + 3];
}

/* Everything in it that could be wrong. */
static void check_reset(const struct frame *in, const struct frame *reset, uint8_t flags,
			uint32_t sequence, uint32_t acknowledged)
{
	/* The pseudo-header: the addresses are summed up where they are. */
	const uint32_t pseudo = 20 + 6;
	size_t tcp = AT_IP + 20;

	assert_int_equal(reset->length, 60);
	assert_memory_equal(reset->bytes + AT_MAC_TO, in->bytes + AT_MAC_FROM, 6);
	assert_memory_equal(reset->bytes + AT_MAC_FROM, in->bytes + AT_MAC_TO, 6);
	assert_int_equal(reset->bytes[AT_IP], 0x45);
	assert_int_equal(word_at(reset, AT_IP) & 0xFFFF, 40);
	assert_int_equal(internet_checksum(reset->bytes + AT_IP, 20, 0), 0);
	assert_int_equal(word_at(reset, AT_IP + 12), word_at(in, AT_IP + 16));
	assert_int_equal(word_at(reset, AT_IP + 16), word_at(in, AT_IP + 12));
	assert_int_equal(internet_checksum(reset->bytes + AT_IP + 12, 28, pseudo), 0);
	assert_int_equal(word_at(reset, tcp) >> 16, VIP_PORT);
	assert_int_equal(word_at(reset, tcp) & 0xFFFF, world.client_port);
	assert_int_equal(word_at(reset, tcp + 4), sequence);
	assert_int_equal(word_at(reset, tcp + 8), acknowledged);
	assert_int_equal(reset->bytes[tcp + 12], 0x50);
	assert_int_equal(reset->bytes[tcp + 13], flags);
}

static void test_all_down(void **state)
{
	const struct all_down_case *test = *state;
	const struct before before = {.empty_ring = true, .all_down = test->all_down};
	static const uint8_t options[4] = {1, 1, 1, 1};
	struct segment segment = segment_to_service();
	struct outcome outcome;
	struct frame in;
	size_t i;

	segment.flags = test->flags;
	segment.payload = 10;
	/* They are not in the answer. */
	for (i = 0; i < 2; i++) {
		segment.options = options;
		segment.options_length = i ? sizeof(options) : 0;
		world_reset(&before);
		frame_build(&in, &segment);
		world_run(world.lan, &in, &outcome);
		assert_int_equal(verdict_count(test->verdict), 1);
		assert_int_equal(outcome.action, test->reset ? XDP_TX : XDP_DROP);
		if (test->reset)
			check_reset(&in, &outcome.frame, test->reset, test->sequence,
				    test->acknowledged);
	}
}

#define VIP6 "2001:db8::100"
#define CLIENT6 "2001:db8::50"

/* A SYN in IPv6, with a VLAN tag and a hop-by-hop header. */
static size_t build_ipv6(uint8_t *bytes)
{
	static const uint8_t link[] = {0x81, 0, 0, 7, 0x86, 0xdd};
	static const uint8_t ip[] = {0x60, 0, 0, 0, 0, 28, 0, 9};
	static const uint8_t hop_by_hop[] = {6, 0, 1, 4, 0, 0, 0, 0};
	static const uint8_t tcp[] = {0x9c, 0x40, 0, 80, 1, 2, 3, 4};
	struct ip_address vip = ip_address(VIP6), client = ip_address(CLIENT6);

	mac_parse(LAN_MAC, bytes);
	mac_parse(ROUTER_MAC, bytes + 6);
	memcpy(bytes + 12, link, sizeof(link));
	memcpy(bytes + 18, ip, sizeof(ip));
	memcpy(bytes + 26, &client, sizeof(client));
	memcpy(bytes + 42, &vip, sizeof(vip));
	memcpy(bytes + 58, hop_by_hop, sizeof(hop_by_hop));
	memset(bytes + 66, 0, 20);
	memcpy(bytes + 66, tcp, sizeof(tcp));
	bytes[66 + 12] = 0x50;
	bytes[66 + 13] = TCP_SYN;
	return 86;
}

static void test_resets_in_ipv6(void **state)
{
	struct service_key key = {
		.address = ip_address(VIP6), .port = __builtin_bswap16(80), .protocol = 6};
	struct service service = {.id = 3, .all_down = ALL_DOWN_RESET};
	struct ip_address vip = ip_address(VIP6), client = ip_address(CLIENT6);
	struct frame in = {0};
	struct outcome outcome;
	uint8_t *out = outcome.frame.bytes;

	(void)state;
	world_reset(&idle);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.services), &key,
					     &service, BPF_ANY),
			 0);
	in.length = build_ipv6(in.bytes);
	world_run(world.lan, &in, &outcome);
	assert_int_equal(verdict_count(VERDICT_REFUSED), 1);
	assert_int_equal(outcome.action, XDP_TX);
	assert_int_equal(outcome.frame.length, 18 + 40 + 20);
	assert_memory_equal(out, in.bytes + 6, 6);
	assert_memory_equal(out + 12, in.bytes + 12, 6);
	assert_int_equal(out[18], 0x60);
	assert_int_equal(out[18 + 5], 20);
	assert_int_equal(out[18 + 6], 6);
	assert_memory_equal(out + 26, &vip, sizeof(vip));
	assert_memory_equal(out + 42, &client, sizeof(client));
	assert_int_equal(out[58 + 13], TCP_RST | TCP_ACK);
	assert_int_equal(word_at(&outcome.frame, 58 + 8), CLIENT_SEQUENCE + 1);
	assert_int_equal(internet_checksum(out + 26, 52, 20 + 6), 0);
}

static void test_flows_of_the_dead_are_reset_if_wanted(void **state)
{
	struct before before = first_is_least;
	struct segment segment;
	struct outcome outcome;
	struct frame in;

	(void)state;
	before.dead_flows = DEAD_FLOWS_RESET;
	world_reset(&before);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	set_suspect(1, 10000);
	assert_int_equal(send_flags(TCP_ACK | TCP_PSH), 1);
	set_down(1);
	segment = segment_to_service();
	segment.flags = TCP_ACK | TCP_PSH;
	segment.payload = 10;
	frame_build(&in, &segment);
	world_run(world.lan, &in, &outcome);
	assert_int_equal(verdict_count(VERDICT_FLOW_RESET), 1);
	assert_int_equal(outcome.action, XDP_TX);
	check_reset(&in, &outcome.frame, TCP_RST, CLIENT_ACKNOWLEDGES, 0);
	/* The client's own reset is for the server. */
	assert_int_equal(send_flags(TCP_RST), 1);
}

/* A client that uses its port again has given the old connection up. */
static void test_a_syn_leaves_the_dead(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	set_down(1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_in_range(send_flags(TCP_SYN), 2, 3);
	assert_in_range(send_flags(TCP_ACK), 2, 3);
}

static uint32_t send_datagram(void)
{
	struct ip_fields ip = {.source = CLIENT, .destination = VIP, .protocol = UDP};
	struct frame frame;

	lay_ethernet(&frame, LAN_MAC, ROUTER_MAC, 0x0800);
	lay_ip(&frame, &ip);
	lay_udp(&frame, world.client_port, VIP_PORT);
	lay_bytes(&frame, 20);
	settle(&frame, AT_IP);
	return world_send_frame(&frame);
}

/* The service's backends are of UDP. */
static void reset_to_datagrams(const struct before *before)
{
	struct ip_address vip = ip_address(VIP);
	struct backend entry;

	world_reset(before);
	world_add_service(VIP, UDP, VIP_PORT);
	for (uint32_t backend = 1; backend <= BACKENDS; backend++) {
		entry = entry_of(backend);
		entry.vip = hash_vip(&vip, __builtin_bswap16(VIP_PORT), UDP);
		set_entry(backend, &entry);
	}
}

/* With the next datagram, whatever becomes of connections; and it does not come back. */
static void test_datagrams_leave_the_dead(void **state)
{
	struct before before = first_is_least;
	struct backend entry;
	uint32_t other;

	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		before.dead_flows = reset ? DEAD_FLOWS_RESET : DEAD_FLOWS_LEAVE;
		reset_to_datagrams(&before);
		assert_int_equal(send_datagram(), 1);
		/* As long as it is only suspect, it may be a moment. */
		set_suspect(1, 10000);
		assert_int_equal(send_datagram(), 1);
		set_down(1);
		other = send_datagram();
		assert_in_range(other, 2, 3);
		entry = entry_of(1);
		entry.down = entry.suspect = 0;
		set_entry(1, &entry);
		assert_int_equal(send_datagram(), other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flows_of_the_dead_are_reset_if_wanted),
		cmocka_unit_test(test_a_syn_leaves_the_dead),
		cmocka_unit_test(test_datagrams_leave_the_dead),
		cmocka_unit_test(test_resets_in_ipv6),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL) +
		 RUN_EACH("all down", test_all_down, all_down_cases);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
