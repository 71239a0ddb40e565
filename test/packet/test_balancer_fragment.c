// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fragments to a service: the first one is steered by its ports, the later ones by the first. */
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
#define FIRST_BYTES 1448 /* of a first fragment: a multiple of 8 */

struct piece {
	const char *source, *destination; /* NULL for the usual ones of the case's family */
	uint32_t identification; /* 0 = 0x1d2e */
	uint16_t offset; /* in bytes; 0 = the first */
	uint16_t bytes; /* 0 = FIRST_BYTES */
	uint16_t port; /* 0 = VIP_PORT */
	uint8_t protocol; /* 0 = UDP */
	uint8_t next; /* IPv6: what the fragment header says of a later one; 0 = protocol */
	uint8_t tags;
	uint8_t options_length;
	bool extension; /* IPv6: before the fragment header */
	bool extension_behind; /* and behind it, in the first */
	bool last;
	bool six;
};

static void lay_fragmentable(struct frame *frame, const struct piece *piece)
{
	size_t header = frame->length, bytes = piece->bytes ?: FIRST_BYTES;
	uint16_t port = piece->port ?: VIP_PORT;

	if (!piece->offset) {
		if (piece->extension_behind)
			lay_extension(frame, piece->protocol ?: UDP);
		if (piece->protocol == TCP)
			lay_tcp(frame, world.client_port, port, TCP_SYN);
		else
			lay_udp(frame, world.client_port, port);
		frame->bytes[frame->length - 3] = 200; /* UDP's length, or TCP's urgent pointer */
	}
	if (frame->length < header + bytes)
		lay_bytes(frame, header + bytes - frame->length);
	frame->length = header + bytes;
}

static void build(const struct piece *piece, struct frame *frame)
{
	static const uint8_t nops[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	uint8_t protocol = piece->protocol ?: UDP;
	uint32_t identification = piece->identification ?: 0x1d2e;
	struct ip_fields ip = {
		.source = piece->source ?: (piece->six ? CLIENT6 : CLIENT),
		.destination = piece->destination ?: (piece->six ? VIP6 : VIP),
		.protocol = !piece->six	     ? protocol :
			    piece->extension ? HOP_BY_HOP :
					       FRAGMENT,
		.identification = identification,
		.fragment = piece->offset / 8 | (piece->last ? 0 : MORE_FRAGMENTS),
		.options = nops,
		.options_length = piece->options_length,
	};
	uint16_t type = piece->six ? 0x86dd : 0x0800;
	size_t at;

	lay_ethernet(frame, LAN_MAC, ROUTER_MAC, piece->tags ? 0x8100 : type);
	if (piece->tags)
		lay_vlan(frame, 9, type);
	at = frame->length;
	lay_ip(frame, &ip);
	if (piece->extension)
		lay_extension(frame, FRAGMENT);
	if (piece->six)
		lay_fragment(frame,
			     piece->next		     ?:
				     piece->extension_behind ? DESTINATION_OPTIONS :
							       protocol,
			     identification, piece->offset, !piece->last);
	lay_fragmentable(frame, piece);
	settle(frame, at);
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

/* Sends it; says to which backend, having seen that nothing else than the MAC addresses has changed. */
static uint32_t send_piece(const struct piece *piece, enum verdict verdict)
{
	struct outcome outcome;
	struct frame in;
	uint32_t backend;

	build(piece, &in);
	world_clear_verdicts();
	world_run(world.lan, &in, &outcome);
	assert_int_equal(verdict_count(verdict), 1);
	if (verdict != VERDICT_FORWARDED) {
		assert_int_equal(outcome.action, verdict == VERDICT_NOT_OURS ? XDP_PASS : XDP_DROP);
		return 0;
	}
	backend = backend_of(&outcome.frame);
	assert_in_range(backend, 1, BACKENDS);
	assert_int_equal(outcome.frame.length, in.length);
	assert_memory_equal(&outcome.frame.bytes[12], &in.bytes[12], in.length - 12);
	return backend;
}

/* All new flows go to that backend. */
static void prepare(uint32_t backend)
{
	struct before before = {0};

	for (uint32_t i = 0; i < BACKENDS; i++)
		before.in_flight[i] = i + 1 == backend ? 0 : 1000;
	world_reset(&before);
	world_add_service(VIP, UDP, VIP_PORT);
	world_add_service(VIP6, TCP, VIP_PORT);
	world_add_service(VIP6, UDP, VIP_PORT);
}

/* A first fragment, and one that may belong to it. */
struct pair {
	const char *name;
	struct piece first, later;
	enum verdict verdict; /* of the later one; NONE = FORWARDED */
};

#define UNKNOWN .verdict = VERDICT_FRAGMENT_UNKNOWN
#define LEFT .verdict = VERDICT_NOT_OURS

static const struct pair pairs[] = {
	{.name = "the last", .later = {.offset = FIRST_BYTES, .last = true, .bytes = 3}},
	{.name = "the next", .later = {.offset = FIRST_BYTES}},
	{.name = "at the end of what there can be",
	 .later = {.offset = 65528, .last = true, .bytes = 7}},
	{.name = "TCP", .first = {.protocol = TCP}, .later = {.protocol = TCP, .offset = 1448}},
	{.name = "the smallest first one", .first = {.bytes = 8}, .later = {.offset = 8}},
	{.name = "IP options", .first = {.options_length = 12}, .later = {.offset = 1448}},
	{.name = "in a VLAN", .first = {.tags = 1}, .later = {.offset = 1448, .tags = 1}},
	{.name = "another identification", .later = {.offset = 1448, .identification = 7}, UNKNOWN},
	{.name = "another client", .later = {.offset = 1448, .source = OTHER}, UNKNOWN},
	{.name = "another protocol", .later = {.offset = 1448, .protocol = TCP}, UNKNOWN},
	{.name = "of ICMP", .later = {.offset = 1448, .protocol = ICMP4}, LEFT},
	{.name = "to another address", .later = {.offset = 1448, .destination = OTHER}, LEFT},
	{.name = "IPv6, the last",
	 .first = {.six = true},
	 .later = {.six = true, .offset = FIRST_BYTES, .last = true, .bytes = 3}},
	{.name = "IPv6, the next", .first = {.six = true}, .later = {.six = true, .offset = 1448}},
	{.name = "IPv6, TCP",
	 .first = {.six = true, .protocol = TCP},
	 .later = {.six = true, .protocol = TCP, .offset = 1448}},
	{.name = "IPv6, an extension before",
	 .first = {.six = true, .extension = true},
	 .later = {.six = true, .extension = true, .offset = 1448}},
	{.name = "IPv6, an extension behind",
	 .first = {.six = true, .extension_behind = true},
	 .later = {.six = true, .next = DESTINATION_OPTIONS, .offset = 1448}},
	{.name = "IPv6, the next header of a later one says nothing",
	 .first = {.six = true},
	 .later = {.six = true, .next = TCP, .offset = 1448}},
	{.name = "IPv6, in a VLAN",
	 .first = {.six = true, .tags = 1},
	 .later = {.six = true, .offset = 1448, .tags = 1}},
	{.name = "IPv6, another identification",
	 .first = {.six = true, .identification = 0x11d2e},
	 .later = {.six = true, .offset = 1448},
	 UNKNOWN},
	{.name = "IPv6, another client",
	 .first = {.six = true},
	 .later = {.six = true, .offset = 1448, .source = OTHER6},
	 UNKNOWN},
	{.name = "IPv6, of ICMP",
	 .first = {.six = true},
	 .later = {.six = true, .offset = 1448, .protocol = ICMP6, .identification = 9},
	 LEFT},
};

static void test_later_follows_first(void **state)
{
	const struct pair *pair = *state;
	enum verdict verdict = pair->verdict ?: VERDICT_FORWARDED;

	for (uint32_t backend = 1; backend <= BACKENDS; backend++) {
		prepare(backend);
		assert_int_equal(send_piece(&pair->first, VERDICT_FORWARDED), backend);
		assert_int_equal(send_piece(&pair->later, verdict),
				 verdict == VERDICT_FORWARDED ? backend : 0);
	}
}

/* Whoever comes before the first one is lost, and so is a datagram of which the first one is. */
static void test_without_a_first(void **state)
{
	const struct piece later[] = {{.offset = 1448}, {.offset = 1448, .six = true}};

	(void)state;
	for (size_t i = 0; i < COUNT(later); i++) {
		struct piece first = {.six = later[i].six};

		prepare(1);
		send_piece(&later[i], VERDICT_FRAGMENT_UNKNOWN);
		send_piece(&first, VERDICT_FORWARDED);
		send_piece(&later[i], VERDICT_FORWARDED);
	}
}

/* To a port of the host's own: all of them are left to it. */
static void test_of_the_host(void **state)
{
	const struct piece first[] = {{.port = 53}, {.port = 53, .six = true}};

	(void)state;
	for (size_t i = 0; i < COUNT(first); i++) {
		struct piece later = {.offset = 1448, .six = first[i].six};

		prepare(1);
		send_piece(&first[i], VERDICT_NOT_OURS);
		send_piece(&later, VERDICT_NOT_OURS);
	}
}

/* The identification is used again: what counts is the latest first one. */
static void test_identification_comes_again(void **state)
{
	const struct piece first = {0}, later = {.offset = 1448}, of_tcp = {.protocol = TCP};

	(void)state;
	prepare(1);
	send_piece(&first, VERDICT_FORWARDED);
	world_forget_flows();
	world_spare(1);
	assert_int_not_equal(send_piece(&first, VERDICT_FORWARDED), 1);
	assert_int_not_equal(send_piece(&later, VERDICT_FORWARDED), 1);
	send_piece(&of_tcp, VERDICT_FORWARDED); /* has its own place */
	assert_int_not_equal(send_piece(&later, VERDICT_FORWARDED), 1);
}

static void test_forgotten_in_time(void **state)
{
	const struct piece first = {0}, later = {.offset = 1448};

	(void)state;
	prepare(2);
	send_piece(&first, VERDICT_FORWARDED);
	world_age_fragments(14000);
	assert_int_equal(send_piece(&later, VERDICT_FORWARDED), 2);
	world_age_fragments(2000);
	send_piece(&later, VERDICT_FRAGMENT_UNKNOWN);
	send_piece(&first, VERDICT_FORWARDED);
	assert_int_equal(send_piece(&later, VERDICT_FORWARDED), 2);
}

/* More packets in pieces than the table has places for: the latest ones are known. */
static void test_table_full(void **state)
{
	uint32_t known = 0, most = 2 * FRAGMENT_BUCKETS * BUCKET_SLOTS;
	struct piece first = {.six = true, .bytes = 8},
		     later = {.six = true, .offset = 8, .bytes = 8};
	struct outcome outcome;
	struct frame in;

	(void)state;
	prepare(1);
	for (first.identification = 1; first.identification <= most; first.identification++) {
		build(&first, &in);
		world_run(world.lan, &in, &outcome);
	}
	world_clear_verdicts();
	for (later.identification = most; later.identification > most - 1000;
	     later.identification--) {
		build(&later, &in);
		world_run(world.lan, &in, &outcome);
	}
	known = verdict_count(VERDICT_FORWARDED);
	assert_int_equal(known + verdict_count(VERDICT_FRAGMENT_UNKNOWN), 1000);
	assert_true(known > 990);
}

/* Too little for the transport's header, lengths that lie. */
struct broken {
	const char *name;
	struct piece piece;
	uint16_t at; /* a byte that is another one then */
	uint8_t is;
	uint16_t cut;
	enum verdict verdict;
};

static const struct broken broken[] = {
	{.name = "TCP, 8 bytes of its header", .piece = {.protocol = TCP, .bytes = 8}},
	{.name = "TCP, 16 bytes", .piece = {.protocol = TCP, .bytes = 16}},
	{.name = "a later one without a byte",
	 .piece = {.offset = 1448, .last = true, .bytes = 8},
	 .cut = 34,
	 .at = 17,
	 .is = 20},
	{.name = "total length one more than there is", .piece = {.bytes = 8}, .at = 17, .is = 29},
	{.name = "total length below the header", .piece = {.bytes = 8}, .at = 17, .is = 19},
	{.name = "cut in UDP's header", .piece = {.bytes = 8}, .cut = 14 + 20 + 7},
	{.name = "cut behind the IP header", .piece = {.bytes = 8}, .cut = 14 + 20},
	{.name = "a broken option", .piece = {.options_length = 12}, .at = 35, .is = 7},
	{.name = "IPv6, TCP, 8 bytes", .piece = {.six = true, .protocol = TCP, .bytes = 8}},
	{.name = "IPv6, an extension, and then nothing",
	 .piece = {.six = true, .extension_behind = true, .bytes = 8}},
	{.name = "IPv6, cut in UDP's header",
	 .piece = {.six = true, .bytes = 8},
	 .cut = 14 + 48 + 7},
	{.name = "IPv6, cut behind the fragment header",
	 .piece = {.six = true, .bytes = 8},
	 .cut = 14 + 48},
	{.name = "IPv6, cut in the fragment header",
	 .piece = {.six = true, .bytes = 8},
	 .cut = 14 + 47},
	{.name = "IPv6, payload length one more",
	 .piece = {.six = true, .bytes = 8},
	 .at = 19,
	 .is = 17},
};

static void test_broken(void **state)
{
	const struct broken *test = *state;
	struct outcome outcome;
	struct frame in;

	prepare(1);
	build(&test->piece, &in);
	if (test->cut)
		in.length = test->cut;
	if (test->at)
		in.bytes[test->at] = test->is;
	world_run(world.lan, &in, &outcome);
	assert_int_equal(verdict_count(VERDICT_MALFORMED), 1);
	assert_int_equal(outcome.action, XDP_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_first),
		cmocka_unit_test(test_of_the_host),
		cmocka_unit_test(test_identification_comes_again),
		cmocka_unit_test(test_forgotten_in_time),
		cmocka_unit_test(test_table_full),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = RUN_EACH("fragments: pairs", test_later_follows_first, pairs);
	failed += RUN_EACH("fragments: broken", test_broken, broken);
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
