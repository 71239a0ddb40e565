/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Backends that do not answer: how that is seen, who is spared for it, and how they come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>

#include "balancer.skel.h"
#include "balancer_case.h"

#include "hash.h"
#include "health.h"
#include "load_report.h"
#include "shared.h"

#define MS 1000000ULL
/* What clients' packets have: packet.c. */
#define CLIENT_SEQUENCE 0x01020304
#define CLIENT_ACKNOWLEDGES 0x05060708

/* Behind a report in IPv4. */
#define AT_REPORTED_SEQUENCE (AT_IP_OPTIONS + LOAD_REPORT_LENGTH + 4)

#define MANY 200 /* flows */
#define FEW 40 /* the flow table has room for them */

static const struct before idle = {0};
static const struct before first_is_least = {.in_flight = {0, 60000, 60000}};

static uint32_t send_from_port(uint16_t port, uint8_t flags)
{
	struct segment segment = segment_to_service();

	if (port)
		segment.source_port = port;
	segment.flags = flags;
	return world_send(&segment);
}

/* A packet of the usual client's. */
static uint32_t send_flags(uint8_t flags)
{
	return send_from_port(0, flags);
}

static struct health health_of(uint32_t backend)
{
	struct health health;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.healths), &backend, &health),
		0);
	return health;
}

static void set_health(uint32_t backend, const struct health *health)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.healths), &backend,
					     health, BPF_ANY),
			 0);
}

static struct backend entry_of(uint32_t backend)
{
	struct backend entry;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.backends), &backend, &entry),
		0);
	return entry;
}

static void set_entry(uint32_t backend, const struct backend *entry)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.backends), &backend,
					     entry, BPF_ANY),
			 0);
}

static void set_vip(uint32_t backend, uint32_t vip)
{
	struct backend entry = entry_of(backend);

	entry.vip = vip;
	set_entry(backend, &entry);
}

static void set_suspect(uint32_t backend, int64_t trial_in_ms)
{
	struct health health = {.suspect_ns = 1, .trial_ns = monotonic_ns() + trial_in_ms * MS};
	struct backend entry = entry_of(backend);

	entry.suspect = 1;
	set_entry(backend, &entry);
	set_health(backend, &health);
}

static void set_down(uint32_t backend)
{
	struct backend entry = entry_of(backend);

	entry.down = 1;
	set_entry(backend, &entry);
}

/* So many were sent to it, the first of them so long ago, and none has been answered. */
static void set_unanswered(uint32_t backend, uint32_t count, uint64_t since_ms)
{
	const struct health health = {
		.unanswered = count,
		.unanswered_ns = monotonic_ns() - since_ms * MS,
		.handshake_us = 1000,
	};

	set_health(backend, &health);
}

static void test_one_too_many_goes_elsewhere(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 3, 500);
	assert_int_not_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(entry_of(1).suspect, 1);
	assert_int_equal(entry_of(2).suspect, 0);
	assert_int_equal(entry_of(3).suspect, 0);
	/* It was not sent to the first at all. */
	assert_int_equal(health_of(1).unanswered, 3);
	assert_int_not_equal(health_of(1).suspect_ns, 0);
}

/* By load it would get none: until it answers, or has had enough, the next ones go there. */
static void test_one_in_doubt_is_sent_the_next(void **state)
{
	const struct before last_is_least = {.in_flight = {60000, 60000, 0}};
	int map = bpf_map__fd(world.skeleton->maps.doubted);
	const uint64_t doubt = 1;
	uint32_t id;

	(void)state;
	world_reset(&last_is_least);
	id = entry_of(1).service;
	assert_int_equal(bpf_map_update_elem(map, &id, &doubt, BPF_ANY), 0);
	set_unanswered(1, 1, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(health_of(1).unanswered, 2);
	/* That one is waited for. */
	set_unanswered(1, 2, 40);
	assert_int_equal(send_from_port(1234, TCP_SYN), 3);
	set_unanswered(1, 2, 90);
	assert_int_equal(send_from_port(1235, TCP_SYN), 1);
	/* Three are enough: the next one finds it silent. */
	set_unanswered(1, 3, 90);
	assert_int_equal(send_from_port(1236, TCP_SYN), 3);
	set_unanswered(1, 3, 150);
	assert_int_equal(send_from_port(1237, TCP_SYN), 3);
	assert_int_equal(entry_of(1).suspect, 1);
	/* It has answered: nobody doubts it. */
	world_reset(&last_is_least);
	assert_int_equal(bpf_map_update_elem(map, &id, &doubt, BPF_ANY), 0);
	assert_int_equal(send_flags(TCP_SYN), 3);
	/* Down: it is not asked. */
	set_unanswered(1, 1, 50);
	set_down(1);
	assert_int_equal(send_from_port(1234, TCP_SYN), 3);
}

static void test_silence_of_a_moment_is_none(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 100, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(entry_of(1).suspect, 0);
	assert_int_equal(health_of(1).unanswered, 101);
}

static void test_a_connection_that_goes_on_is_an_answer(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 2, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(health_of(1).unanswered, 3);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(health_of(1).unanswered, 0);
	assert_int_equal(health_of(1).unanswered_ns, 0);
	assert_true(monotonic_ns() - health_of(1).answered_ns < 1000 * MS);
}

/* What follows in a connection may be repeated to nobody. */
static void test_only_its_beginning_is_one(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	set_unanswered(1, 5, 50);
	assert_int_equal(send_flags(TCP_ACK | TCP_PSH), 1);
	assert_int_equal(send_flags(TCP_FIN | TCP_ACK), 1);
	assert_int_equal(health_of(1).unanswered, 5);
	/* Nor is a packet out of the middle of a connection that is not known. */
	assert_int_not_equal(send_from_port(1234, TCP_ACK), 0);
	assert_int_equal(health_of(1).unanswered, 5);
}

/* The client's kernel resets what it has not asked for: it has had an answer, too. */
static void test_a_reset_instead_is_one(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	set_unanswered(1, 2, 50);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_RST), 1);
	assert_int_equal(health_of(1).unanswered, 0);
}

static void test_an_answer_ends_the_suspicion(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_suspect(1, 10000);
	assert_int_not_equal(send_from_port(1234, TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(entry_of(1).suspect, 0);
	assert_int_equal(health_of(1).suspect_ns, 0);
	assert_int_equal(send_from_port(1235, TCP_SYN), 1);
}

/* A reset of a backend's to the usual client, with a report. */
static struct segment refusal_of(uint32_t backend, uint8_t *bytes, uint32_t sequence)
{
	const struct load_report report = {
		.server_id = server_id(backend), .sequence = sequence, .in_flight = 1};
	struct load_report_option option;

	load_report_encode(&option, &report);
	memcpy(bytes, &option, LOAD_REPORT_LENGTH);
	return (struct segment){
		.mac_to = LAN_MAC,
		.mac_from = backend_mac(backend),
		.source = VIP,
		.destination = CLIENT,
		.source_port = VIP_PORT,
		.destination_port = world.client_port,
		.flags = TCP_RST | TCP_ACK,
		.options = bytes,
		.options_length = LOAD_REPORT_LENGTH,
		/* The sequence number: 0. */
		.patches = {{AT_REPORTED_SEQUENCE, 0},
			    {AT_REPORTED_SEQUENCE + 1, 0},
			    {AT_REPORTED_SEQUENCE + 2, 0},
			    {AT_REPORTED_SEQUENCE + 3, 0}},
	};
}

static void send_refusal(const struct segment *segment)
{
	struct outcome outcome;
	struct frame frame;

	frame_build(&frame, segment);
	world_run(world.lan, &frame, &outcome);
	assert_int_equal(verdict_count(VERDICT_REPORT_TAKEN), 1);
}

static void test_a_refusal_is_believed_at_once(void **state)
{
	uint8_t option[LOAD_REPORT_LENGTH];
	struct segment refusal;

	(void)state;
	world_reset(&first_is_least);
	refusal = refusal_of(1, option, 1);
	assert_int_equal(send_flags(TCP_SYN), 1);
	world_clear_verdicts();
	send_refusal(&refusal);
	assert_int_equal(entry_of(1).suspect, 1);
	assert_int_equal(health_of(1).refused, 1);
	assert_true(health_of(1).trial_ns > monotonic_ns());
	assert_int_not_equal(send_from_port(1234, TCP_SYN), 1);
	/* The client's port may be used again: a SYN that comes again goes elsewhere. */
	assert_int_not_equal(send_flags(TCP_SYN), 1);
}

/* Resets that bear a report, and refuse no connection of that backend's; each is taken all the same. */
static void test_other_resets_are_no_refusals(void **state)
{
	uint8_t option[LOAD_REPORT_LENGTH];
	struct segment refusal;

	(void)state;
	/* The connection goes on: then its end is no refusal. */
	world_reset(&first_is_least);
	refusal = refusal_of(1, option, 1);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	world_clear_verdicts();
	send_refusal(&refusal);
	assert_int_equal(entry_of(1).suspect, 0);

	/* Another server's, which has not got the connection. */
	world_reset(&first_is_least);
	refusal = refusal_of(2, option, 1);
	assert_int_equal(send_flags(TCP_SYN), 1);
	world_clear_verdicts();
	send_refusal(&refusal);
	assert_int_equal(entry_of(1).suspect, 0);
	assert_int_equal(entry_of(2).suspect, 0);

	/* An application's, in the middle of its stream. */
	world_reset(&first_is_least);
	refusal = refusal_of(1, option, 1);
	refusal.patches[0].is = 7;
	assert_int_equal(send_flags(TCP_SYN), 1);
	world_clear_verdicts();
	send_refusal(&refusal);
	assert_int_equal(entry_of(1).suspect, 0);

	/* A SYN-ACK. */
	world_reset(&first_is_least);
	refusal = refusal_of(1, option, 1);
	refusal.flags = TCP_SYN | TCP_ACK;
	assert_int_equal(send_flags(TCP_SYN), 1);
	world_clear_verdicts();
	send_refusal(&refusal);
	assert_int_equal(entry_of(1).suspect, 0);

	/* A port of a service of every port where nobody listens. */
	world_reset(&first_is_least);
	refusal = refusal_of(1, option, 1);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_vip(1, hash_vip(&(struct ip_address){0}, 0, 0));
	world_clear_verdicts();
	send_refusal(&refusal);
	assert_int_equal(entry_of(1).suspect, 0);
}

static void test_its_connections_stay(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	set_suspect(1, 10000);
	set_down(1);
	assert_int_equal(send_flags(TCP_ACK | TCP_PSH), 1);
	assert_int_equal(send_flags(TCP_FIN | TCP_ACK), 1);
}

static void test_on_trial_it_gets_one(void **state)
{
	uint16_t port;

	(void)state;
	world_reset(&first_is_least);
	set_suspect(1, -10); /* the data path's clock goes by jiffies */
	assert_int_equal(send_flags(TCP_SYN), 1);
	for (port = 1; port < FEW; port++)
		assert_int_not_equal(send_from_port(port, TCP_SYN), 1);
	assert_int_equal(entry_of(1).suspect, 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(entry_of(1).suspect, 0);
	for (port = 1; port < MANY; port++)
		if (send_from_port(port, TCP_SYN) == 1)
			return;
	fail_msg("it gets no connection any more");
}

static void test_a_repeated_syn_goes_elsewhere(void **state)
{
	uint32_t other;

	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_suspect(1, 10000);
	other = send_flags(TCP_SYN);
	assert_in_range(other, 2, 3);
	assert_int_equal(health_of(1).moved, 1);
	/* And there it stays. */
	assert_int_equal(send_flags(TCP_SYN), other);
	assert_int_equal(send_flags(TCP_ACK), other);
}

/* Too few connections for a suspicion, but this client has waited in vain. */
static void test_a_repeated_syn_leaves_who_is_silent(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_unanswered(1, 1, 1000);
	assert_in_range(send_flags(TCP_SYN), 2, 3);
	assert_int_equal(entry_of(1).suspect, 0);
}

static void test_a_repeated_syn_stays_with_who_answers_others(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_unanswered(1, 1, 500);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(health_of(1).unanswered, 2);
}

/* When all are alike, a client is still not sent to the same again. */
static void test_a_repeated_syn_goes_elsewhere_even_if_all_are_suspect(void **state)
{
	uint32_t backend, first, other;

	(void)state;
	world_reset(&idle);
	first = send_flags(TCP_SYN);
	for (backend = 1; backend <= BACKENDS; backend++)
		set_suspect(backend, 10000);
	other = send_flags(TCP_SYN);
	assert_int_not_equal(other, 0);
	assert_int_not_equal(other, first);
}

static void test_a_down_backend_is_left_by_a_repeated_syn(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_down(1);
	assert_in_range(send_flags(TCP_SYN), 2, 3);
}

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

/* By every policy, with feedback and without, with loads known and not. */
static const struct policy_case {
	const char *name;
	struct before before;
} policy_cases[] = {
	{"power-of-choices", {.policy = POLICY_POWER_OF_CHOICES}},
	{"power-of-choices, with one choice", {.choices = 1}},
	{"power-of-choices, nothing known", {.age_ms = {NEVER, NEVER, NEVER}}},
	{"power-of-choices, no feedback", {.no_feedback = true}},
	{"least-loaded", {.policy = POLICY_LEAST_LOADED}},
	{"least-loaded, nothing known",
	 {.policy = POLICY_LEAST_LOADED, .age_ms = {NEVER, NEVER, NEVER}}},
	{"least-loaded, no feedback", {.policy = POLICY_LEAST_LOADED, .no_feedback = true}},
	{"prequal", {.policy = POLICY_PREQUAL}},
	{"weighted-random", {.policy = POLICY_WEIGHTED_RANDOM}},
	{"round-robin", {.policy = POLICY_ROUND_ROBIN}},
	{"round-robin, no feedback", {.policy = POLICY_ROUND_ROBIN, .no_feedback = true}},
	{"random", {.policy = POLICY_RANDOM}},
	{"random, no feedback", {.policy = POLICY_RANDOM, .no_feedback = true}},
	{"maglev", {.policy = POLICY_MAGLEV}},
	{"maglev, no feedback", {.policy = POLICY_MAGLEV, .no_feedback = true}},
};

static void test_the_only_good_one_gets_all(void **state)
{
	const struct policy_case *test = *state;
	uint32_t good, other;
	uint16_t port;

	for (good = 1; good <= BACKENDS; good++) {
		world_reset(&test->before);
		other = good % BACKENDS + 1;
		set_suspect(other, 10000);
		set_down(other % BACKENDS + 1);
		for (port = 1; port <= MANY; port++)
			assert_int_equal(send_from_port(port, TCP_SYN), good);
	}
}

/* If nobody is any better, it is as if nobody was suspect. */
static void test_all_alike_are_all_tried(void **state)
{
	const struct policy_case *test = *state;
	uint32_t backend, counts[BACKENDS + 1] = {0};
	uint16_t port;

	world_reset(&test->before);
	for (backend = 1; backend <= BACKENDS; backend++)
		set_suspect(backend, 100000);
	for (port = 1; port <= MANY; port++)
		counts[send_from_port(port, TCP_SYN)]++;
	assert_int_equal(counts[0], 0);
	for (backend = 1; backend <= BACKENDS; backend++)
		assert_true(counts[backend] > MANY / BACKENDS / 4);
}

static int run_all_down(void)
{
	struct CMUnitTest tests[sizeof(all_down_cases) / sizeof(*all_down_cases)];
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tests[i] = (struct CMUnitTest){
			.name = all_down_cases[i].name,
			.test_func = test_all_down,
			.initial_state = (void *)&all_down_cases[i],
		};
	return _cmocka_run_group_tests("all down", tests, sizeof(tests) / sizeof(*tests), NULL,
				       NULL);
}

static int run_policies(const char *group, void (*test)(void **state))
{
	struct CMUnitTest tests[sizeof(policy_cases) / sizeof(*policy_cases)];
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tests[i] = (struct CMUnitTest){
			.name = policy_cases[i].name,
			.test_func = test,
			.initial_state = (void *)&policy_cases[i],
		};
	return _cmocka_run_group_tests(group, tests, sizeof(tests) / sizeof(*tests), NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_too_many_goes_elsewhere),
		cmocka_unit_test(test_one_in_doubt_is_sent_the_next),
		cmocka_unit_test(test_silence_of_a_moment_is_none),
		cmocka_unit_test(test_a_connection_that_goes_on_is_an_answer),
		cmocka_unit_test(test_only_its_beginning_is_one),
		cmocka_unit_test(test_a_reset_instead_is_one),
		cmocka_unit_test(test_an_answer_ends_the_suspicion),
		cmocka_unit_test(test_a_refusal_is_believed_at_once),
		cmocka_unit_test(test_other_resets_are_no_refusals),
		cmocka_unit_test(test_its_connections_stay),
		cmocka_unit_test(test_on_trial_it_gets_one),
		cmocka_unit_test(test_a_repeated_syn_goes_elsewhere),
		cmocka_unit_test(test_a_repeated_syn_leaves_who_is_silent),
		cmocka_unit_test(test_a_repeated_syn_stays_with_who_answers_others),
		cmocka_unit_test(test_a_repeated_syn_goes_elsewhere_even_if_all_are_suspect),
		cmocka_unit_test(test_a_down_backend_is_left_by_a_repeated_syn),
		cmocka_unit_test(test_flows_of_the_dead_are_reset_if_wanted),
		cmocka_unit_test(test_a_syn_leaves_the_dead),
		cmocka_unit_test(test_resets_in_ipv6),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL) + run_all_down() +
		 run_policies("the only good one", test_the_only_good_one_gets_all) +
		 run_policies("all alike", test_all_alike_are_all_tried);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
