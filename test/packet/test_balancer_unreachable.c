// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Datagrams that no backend is up for: what their clients are told, byte for byte by RFC 792, 1812 and 4443. */
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
#include "layers.h"
#include "run_each.h"

#include "hash.h"
#include "shared.h"

#define VIP6 "2001:db8::100"
#define CLIENT6 "2001:db8::50"
#define PORT 53

struct datagram {
	const char *name;
	const char *source; /* NULL: the usual client */
	uint16_t payload;
	uint16_t padding;
	uint8_t options_length;
	uint8_t tags;
	uint16_t fragment;
	uint8_t all_down;
	bool six;
	enum verdict verdict;
};

#define TOLD .all_down = ALL_DOWN_RESET, .verdict = VERDICT_UNREACHABLE
#define DROPPED .all_down = ALL_DOWN_RESET, .verdict = VERDICT_ALL_DOWN

static const struct datagram datagrams[] = {
	{.name = "40 bytes", .payload = 40, TOLD},
	{.name = "no byte, and padding", .padding = 18, TOLD},
	{.name = "one byte", .payload = 1, .padding = 17, TOLD},
	{.name = "two bytes", .payload = 2, .padding = 16, TOLD},
	{.name = "three bytes", .payload = 3, .padding = 15, TOLD},
	{.name = "one byte less than is quoted", .payload = 576 - 28 - 28 - 1, TOLD},
	{.name = "just what is quoted", .payload = 576 - 28 - 28, TOLD},
	{.name = "one byte more than is quoted", .payload = 576 - 28 - 28 + 1, TOLD},
	{.name = "1500 bytes", .payload = 1472, TOLD},
	{.name = "with IP options", .payload = 33, .options_length = 12, TOLD},
	{.name = "in a VLAN", .payload = 31, .tags = 1, TOLD},
	{.name = "in a VLAN of a VLAN", .payload = 30, .tags = 2, TOLD},
	{.name = "the first piece", .payload = 64, .fragment = MORE_FRAGMENTS, TOLD},
	{.name = "IPv6, no byte", .six = true, TOLD},
	{.name = "IPv6, 29 bytes", .payload = 29, .six = true, TOLD},
	{.name = "IPv6, one byte less than is quoted",
	 .payload = 1280 - 48 - 48 - 1,
	 .six = true,
	 TOLD},
	{.name = "IPv6, just what is quoted", .payload = 1280 - 48 - 48, .six = true, TOLD},
	{.name = "IPv6, 1500 bytes, in a VLAN", .payload = 1452, .tags = 1, .six = true, TOLD},
	{.name = "from a multicast address", .source = "224.0.0.1", .payload = 40, DROPPED},
	{.name = "from nobody", .source = "0.0.0.0", .payload = 40, DROPPED},
	{.name = "from everybody", .source = "255.255.255.255", .payload = 40, DROPPED},
	{.name = "from itself", .source = "127.0.0.1", .payload = 40, DROPPED},
	{.name = "IPv6, from a multicast address",
	 .source = "ff02::1",
	 .payload = 40,
	 .six = true,
	 DROPPED},
	{.name = "IPv6, from nobody", .source = "::", .payload = 40, .six = true, DROPPED},
	{.name = "where they are to be dropped",
	 .payload = 40,
	 .all_down = ALL_DOWN_DROP,
	 .verdict = VERDICT_ALL_DOWN},
	{.name = "where all are tried, and there is none",
	 .payload = 40,
	 .all_down = ALL_DOWN_TRY_ALL,
	 .verdict = VERDICT_NO_BACKEND},
};

static void add_service(const struct datagram *test)
{
	const struct service_key key = {.address = ip_address(test->six ? VIP6 : VIP),
					.port = __builtin_bswap16(PORT),
					.protocol = UDP};
	const struct service service = {.id = 3, .all_down = test->all_down};
	const struct service_key vip = {.address = key.address};

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.services), &key,
					     &service, BPF_ANY),
			 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.services), &vip,
					     &(struct service){.protocols = VIP_UDP}, BPF_ANY),
			 0);
}

static void lay_link(struct frame *frame, const struct datagram *test, const char *to,
		     const char *from)
{
	uint16_t type = test->six ? 0x86dd : 0x0800;

	lay_ethernet(frame, to, from, test->tags == 2 ? 0x88a8 : test->tags ? 0x8100 : type);
	if (test->tags == 2)
		lay_vlan(frame, 0x2007, 0x8100);
	if (test->tags)
		lay_vlan(frame, 9, type);
}

static const char *source_of(const struct datagram *test)
{
	return test->source ? test->source : test->six ? CLIENT6 : CLIENT;
}

static void build_datagram(const struct datagram *test, struct frame *frame)
{
	static const uint8_t nops[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	const struct ip_fields ip = {
		.source = source_of(test),
		.destination = test->six ? VIP6 : VIP,
		.protocol = UDP,
		.identification = 99,
		.ttl = 57,
		.fragment = test->fragment,
		.options = nops,
		.options_length = test->options_length,
	};
	size_t at;

	lay_link(frame, test, LAN_MAC, ROUTER_MAC);
	at = frame->length;
	lay_ip(frame, &ip);
	lay_udp(frame, 40000, PORT);
	lay_bytes(frame, test->payload);
	settle(frame, at);
	lay_bytes(frame, test->padding);
}

static void build_error(const struct datagram *test, const struct frame *datagram,
			struct frame *frame)
{
	size_t link = 14 + 4 * test->tags, quoted = datagram->length - link - test->padding;
	size_t most = test->six ? 1280 - 48 : 576 - 28;
	const struct ip_fields ip = {
		.source = test->six ? VIP6 : VIP,
		.destination = source_of(test),
		.protocol = test->six ? ICMP6 : ICMP4,
		.fragment = DONT_FRAGMENT,
		.tos = 0xc0,
	};
	size_t at;

	lay_link(frame, test, ROUTER_MAC, LAN_MAC);
	at = frame->length;
	lay_ip(frame, &ip);
	lay_icmp(frame, test->six ? 1 : 3, test->six ? 4 : 3, 0);
	lay_copy(frame, &datagram->bytes[link], quoted < most ? quoted : most);
	settle(frame, at);
}

static void test_datagram(void **state)
{
	const struct datagram *test = *state;
	struct frame in, expected;
	struct outcome outcome;

	world_reset(&(struct before){0});
	world_set_too_big(0);
	add_service(test);
	build_datagram(test, &in);
	world_run(world.lan, &in, &outcome);
	assert_int_equal(verdict_count(test->verdict), 1);
	if (test->verdict != VERDICT_UNREACHABLE) {
		assert_int_equal(outcome.action, XDP_DROP);
		return;
	}
	build_error(test, &in, &expected);
	assert_int_equal(outcome.action, XDP_TX);
	assert_int_equal(outcome.frame.length, expected.length);
	assert_memory_equal(outcome.frame.bytes, expected.bytes, expected.length);
}

/* A burst, and then one for each thousandth of a second; the rest is dropped, and counted so. */
static void test_not_without_limit(void **state)
{
	const struct datagram usual = {.payload = 40, .all_down = ALL_DOWN_RESET};
	uint64_t begin, elapsed_ms, told;
	struct outcome outcome;
	struct frame in;

	(void)state;
	world_reset(&(struct before){0});
	world_set_too_big(0);
	add_service(&usual);
	build_datagram(&usual, &in);
	begin = monotonic_ns();
	for (int i = 0; i < 3000; i++)
		world_run(world.lan, &in, &outcome);
	elapsed_ms = (monotonic_ns() - begin) / 1000000;
	told = verdict_count(VERDICT_UNREACHABLE);
	assert_int_equal(told + verdict_count(VERDICT_ALL_DOWN), 3000);
	assert_true(told >= 50);
	assert_true(told <= (uint64_t)libbpf_num_possible_cpus() * (50 + 1 + elapsed_ms));
}

/* Which backend a frame of the LAN's has gone to. */
static uint32_t backend_of(const struct outcome *outcome)
{
	uint8_t mac[6];

	for (uint32_t backend = 1; backend <= BACKENDS; backend++) {
		mac_parse(backend_mac(backend), mac);
		if (!memcmp(outcome->frame.bytes, mac, sizeof(mac)))
			return backend;
	}
	fail_msg("it has gone to no backend");
	return 0;
}

static void set_entry(uint32_t backend, bool down)
{
	int backends = bpf_map__fd(world.skeleton->maps.backends);
	struct ip_address vip = ip_address(VIP);
	struct backend entry;

	assert_int_equal(bpf_map_lookup_elem(backends, &backend, &entry), 0);
	entry.down = down;
	entry.vip = hash_vip(&vip, __builtin_bswap16(PORT), UDP);
	assert_int_equal(bpf_map_update_elem(backends, &backend, &entry, BPF_ANY), 0);
}

/* The flow's backend goes down: its next datagram goes to another, and so do those that follow. */
static void test_flows_leave_the_dead(void **state)
{
	const struct datagram usual = {.payload = 40};
	uint32_t first, second;
	struct outcome outcome;
	struct frame in;

	(void)state;
	world_reset(&(struct before){0});
	world_add_service(VIP, UDP, PORT);
	for (uint32_t backend = 1; backend <= BACKENDS; backend++)
		set_entry(backend, false);
	build_datagram(&usual, &in);
	world_run(world.lan, &in, &outcome);
	first = backend_of(&outcome);
	/* There it stays, whatever the load. */
	world_spare(first);
	world_run(world.lan, &in, &outcome);
	assert_int_equal(backend_of(&outcome), first);
	set_entry(first, true);
	world_run(world.lan, &in, &outcome);
	second = backend_of(&outcome);
	assert_int_not_equal(second, first);
	world_spare(second);
	world_run(world.lan, &in, &outcome);
	assert_int_equal(backend_of(&outcome), second);
	assert_int_equal(verdict_count(VERDICT_FORWARDED), 4);
}

int main(void)
{
	const struct CMUnitTest others[] = {cmocka_unit_test(test_not_without_limit),
					    cmocka_unit_test(test_flows_leave_the_dead)};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = RUN_EACH("unreachable: told or not", test_datagram, datagrams);
	failed += cmocka_run_group_tests(others, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
