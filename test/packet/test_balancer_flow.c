/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What takes several packets: flows that stay with their backend, and what is counted of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer.skel.h"
#include "balancer_case.h"

#include "flow_slot.h"
#include "load_report.h"

#include "shared.h"

static const struct before idle = {0};
static const struct before first_is_least = {.in_flight = {0, 60000, 60000}};
static const struct before second_is_least = {.in_flight = {60000, 0, 60000}};

/* A packet of the usual client's. */
static uint32_t send_flags(uint8_t flags)
{
	struct segment segment = segment_to_service();

	segment.flags = flags;
	return world_send(&segment);
}

static uint32_t send_from_port(uint16_t port, uint8_t flags)
{
	struct segment segment = segment_to_service();

	segment.source_port = port;
	segment.flags = flags;
	return world_send(&segment);
}

/* Changes what the reports say, and nothing else. */
static void set_in_flight(const struct before *before)
{
	struct load load;
	uint32_t backend;

	for (backend = 1; backend <= BACKENDS; backend++) {
		load_read(backend, &load);
		load.in_flight = before->in_flight[backend - 1];
		load.received_ns = monotonic_ns();
		load_write(backend, &load);
	}
}

static uint32_t connections_sent(uint32_t backend)
{
	struct load load;

	load_read(backend, &load);
	return load.connections_sent;
}

static void test_packets_follow_their_flow(void **state)
{
	static const uint8_t flags[] = {TCP_ACK, TCP_ACK | TCP_PSH, TCP_FIN | TCP_ACK, TCP_ACK,
					TCP_RST | TCP_ACK};
	size_t i;

	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_in_flight(&second_is_least);
	for (i = 0; i < sizeof(flags); i++)
		assert_int_equal(send_flags(flags[i]), 1);
	assert_int_equal(connections_sent(1), 1);
}

static void test_a_retransmitted_syn_stays_and_counts_once(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	set_in_flight(&second_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(connections_sent(1), 1);
	assert_int_equal(connections_sent(2), 0);
}

static void test_a_port_used_again_after_fin_is_a_new_flow(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(send_flags(TCP_FIN | TCP_ACK), 1);
	set_in_flight(&second_is_least);
	assert_int_equal(send_flags(TCP_SYN), 2);
	assert_int_equal(send_flags(TCP_ACK), 2);
	assert_int_equal(connections_sent(2), 1);
}

static void test_a_port_used_again_after_reset_is_a_new_flow(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_RST), 1);
	set_in_flight(&second_is_least);
	assert_int_equal(send_flags(TCP_SYN), 2);
}

static size_t flows_remembered(void)
{
	uint32_t i, slot, remembered = 0;

	for (i = 0; i < bpf_map__max_entries(world.skeleton->maps.flows); i++)
		for (slot = 0; slot < BUCKET_SLOTS; slot++)
			remembered += world.flows[i].slot[slot] != 0;
	return remembered;
}

static void flows_forget(void)
{
	memset(world.flows, 0,
	       bpf_map__max_entries(world.skeleton->maps.flows) * sizeof(*world.flows));
}

static void test_a_reset_of_an_unknown_flow_is_not_remembered(void **state)
{
	(void)state;
	world_reset(&idle);
	assert_int_not_equal(send_flags(TCP_RST), 0);
	assert_int_equal(flows_remembered(), 0);
	assert_int_not_equal(send_flags(TCP_ACK), 0);
	assert_int_equal(flows_remembered(), 1);
}

/* Found by test/differ: SYN and RST at once went to a new backend, and were counted as a connection. */
static void test_a_reset_opens_nothing(void **state)
{
	(void)state;
	world_reset(&first_is_least);
	assert_int_not_equal(send_flags(TCP_SYN | TCP_RST), 0);
	assert_int_equal(connections_sent(1) + connections_sent(2) + connections_sent(3), 0);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_FIN | TCP_ACK), 1);
	set_in_flight(&second_is_least);
	assert_int_equal(send_flags(TCP_SYN | TCP_RST), 1);
}

static void test_a_packet_in_the_middle_is_no_connection_of_ours(void **state)
{
	uint32_t backend;

	(void)state;
	world_reset(&idle);
	assert_int_equal(send_flags(TCP_ACK), FIRST_CANDIDATE);
	for (backend = 1; backend <= BACKENDS; backend++)
		assert_int_equal(connections_sent(backend), 0);
}

/* Else what is not remembered would move, and be reset, whenever a flood makes a backend look silent. */
static void test_a_packet_in_the_middle_minds_no_suspicion(void **state)
{
	int backends = bpf_map__fd(world.skeleton->maps.backends);
	struct health health = {.trial_ns = monotonic_ns() + 1000000000000};
	uint32_t index = FIRST_CANDIDATE;
	struct backend backend;

	(void)state;
	world_reset(&idle);
	assert_int_equal(bpf_map_lookup_elem(backends, &index, &backend), 0);
	backend.suspect = 1;
	assert_int_equal(bpf_map_update_elem(backends, &index, &backend, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.healths), &index,
					     &health, BPF_ANY),
			 0);
	assert_int_equal(send_flags(TCP_ACK), FIRST_CANDIDATE);
	assert_int_not_equal(send_from_port(1234, TCP_SYN), FIRST_CANDIDATE);
}

/* A ring is empty when all backends drain: connections are left to end by themselves. */
static void test_flows_outlive_their_ring(void **state)
{
	struct service_key key = {
		.address = ip_address(VIP),
		.port = __builtin_bswap16(VIP_PORT),
		.protocol = 6,
	};
	int services = bpf_map__fd(world.skeleton->maps.services);
	struct service service;

	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(bpf_map_lookup_elem(services, &key, &service), 0);
	service.ring_size = 0;
	assert_int_equal(bpf_map_update_elem(services, &key, &service, BPF_ANY), 0);
	assert_int_equal(send_flags(TCP_ACK), 1);
	assert_int_equal(send_from_port(1234, TCP_SYN), 0);
	assert_int_equal(verdict_count(VERDICT_NO_BACKEND), 1);
}

/* Its index may be another service's meanwhile. */
static void test_a_flow_whose_backend_is_gone_is_chosen_anew(void **state)
{
	int backends = bpf_map__fd(world.skeleton->maps.backends);
	struct backend backend;
	uint32_t index = 1;

	(void)state;
	world_reset(&first_is_least);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(bpf_map_lookup_elem(backends, &index, &backend), 0);
	backend.service++;
	backend.vip++;
	assert_int_equal(bpf_map_update_elem(backends, &index, &backend, BPF_ANY), 0);
	set_in_flight(&second_is_least);
	assert_int_equal(send_flags(TCP_SYN), 2);
	assert_int_equal(send_flags(TCP_ACK), 2);
	assert_int_equal(flows_remembered(), 1);
}

static void test_a_flood_of_syns_spares_what_is_established(void **state)
{
	struct before before = first_is_least;
	uint16_t port;

	(void)state;
	before.one_bucket = true;
	world_reset(&before);
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	for (port = 1; port < 1000; port++)
		send_from_port(port, TCP_SYN);
	assert_int_equal(flows_remembered(), BUCKET_SLOTS);
	set_in_flight(&second_is_least);
	/* A packet in the middle of an unknown connection would go to the first candidate. */
	assert_int_equal(send_flags(TCP_SYN), 1);
}

/* All there is goes into the first bucket: one_bucket(). */
static uint32_t count_states(enum flow_state state)
{
	uint32_t i, count = 0;

	for (i = 0; i < BUCKET_SLOTS; i++)
		count += flow_state(world.flows->slot[i]) == state;
	return count;
}

/* As if nothing had come for so long. */
static void age_flows(uint32_t seconds)
{
	uint64_t tick = FLOW_MASK(FLOW_TICK_BITS);
	uint32_t i;

	for (i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t value = world.flows->slot[i];
		uint32_t ticks = flow_is_coarse(flow_state(value)) ? FLOW_TICKS(seconds) + 1 :
								     FLOW_FINE_TICKS(seconds) + 1;

		if (value)
			world.flows->slot[i] = (value & ~tick) | ((value - ticks) & tick);
	}
}

static uint64_t lost(uint32_t what)
{
	return counter_read(bpf_map__fd(world.skeleton->maps.flow_losses), what);
}

static void one_bucket(void)
{
	struct before before = first_is_least;

	before.one_bucket = true;
	world_reset(&before);
}

/* Eight connections that the client has gone on with. */
static void fill_with_open(void)
{
	uint16_t port;

	one_bucket();
	for (port = 1; port <= BUCKET_SLOTS; port++) {
		assert_int_equal(send_from_port(port, TCP_SYN), 1);
		send_from_port(port, TCP_ACK);
	}
	assert_int_equal(count_states(FLOW_OPEN), BUCKET_SLOTS);
}

static void test_a_full_bucket_of_open_flows_takes_no_more(void **state)
{
	uint16_t port;

	(void)state;
	fill_with_open();
	for (port = 100; port < 200; port++) {
		uint32_t backend = send_from_port(port, TCP_SYN);

		/* By its hash, and so are the packets that follow. */
		assert_int_not_equal(backend, 0);
		assert_int_equal(send_from_port(port, TCP_ACK), backend);
		assert_int_equal(send_from_port(port, TCP_ACK | TCP_FIN), backend);
	}
	assert_int_equal(lost(FLOW_NO_ROOM), 300);
	assert_int_equal(lost(FLOW_CONTESTED), 100);
	set_in_flight(&second_is_least);
	for (port = 1; port <= BUCKET_SLOTS; port++)
		assert_int_equal(send_from_port(port, TCP_ACK), 1);
}

/* Adds the backend of a slot by the weights that were set to what the ring has: 2 in all of them, or 0. */
static void set_steady(uint64_t backend)
{
	uint64_t value;
	uint32_t slot;

	for (slot = 0; slot < RING_SIZE; slot++) {
		assert_int_equal(bpf_map_lookup_elem(world.ring, &slot, &value), 0);
		value = (uint32_t)value | backend << RING_STEADY_SHIFT;
		assert_int_equal(bpf_map_update_elem(world.ring, &slot, &value, BPF_ANY), 0);
	}
}

/* Live weights change the ring, and must not break what there is no room for. */
static void test_what_is_not_remembered_minds_no_live_weights(void **state)
{
	uint16_t port;

	(void)state;
	fill_with_open();
	set_steady(2);
	for (port = 100; port < 130; port++) {
		assert_int_equal(send_from_port(port, TCP_SYN), 2);
		assert_int_equal(send_from_port(port, TCP_ACK), 2);
	}
	assert_int_equal(lost(FLOW_NO_ROOM), 60);
	set_steady(0);
}

/* Where new flows go by the ring in force, so does what is not remembered of them. */
static void test_hashed_flows_are_found_where_they_were_sent(void **state)
{
	const struct before before = {.policy = POLICY_MAGLEV};
	uint16_t port;

	(void)state;
	world_reset(&before);
	set_steady(2);
	for (port = 100; port < 130; port++) {
		uint32_t backend = send_from_port(port, TCP_SYN);

		assert_int_equal(send_from_port(port, TCP_ACK), backend);
		flows_forget();
		assert_int_equal(send_from_port(port, TCP_ACK), backend);
	}
	set_steady(0);
}

static void test_what_is_idle_for_long_gives_way(void **state)
{
	(void)state;
	fill_with_open();
	age_flows(50);
	send_from_port(100, TCP_SYN);
	assert_int_equal(count_states(FLOW_OPENING), 0);
	age_flows(20);
	send_from_port(100, TCP_SYN);
	assert_int_equal(count_states(FLOW_OPENING), 1);
	assert_int_equal(lost(FLOW_OPEN), 1);
}

static void test_what_lasts_is_kept_longer(void **state)
{
	uint16_t port;

	(void)state;
	fill_with_open();
	age_flows(5);
	for (port = 1; port <= BUCKET_SLOTS; port++)
		send_from_port(port, TCP_ACK);
	assert_int_equal(count_states(FLOW_LASTING), BUCKET_SLOTS);
	age_flows(800);
	send_from_port(100, TCP_SYN);
	assert_int_equal(count_states(FLOW_LASTING), BUCKET_SLOTS);
	age_flows(200);
	send_from_port(100, TCP_SYN);
	assert_int_equal(count_states(FLOW_LASTING), BUCKET_SLOTS - 1);
	assert_int_equal(lost(FLOW_LASTING), 1);
}

static void test_forged_acks_take_nobodys_place(void **state)
{
	uint16_t port;

	(void)state;
	one_bucket();
	assert_int_equal(send_flags(TCP_SYN), 1);
	assert_int_equal(send_flags(TCP_ACK), 1);
	for (port = 1; port < 1000; port++)
		send_from_port(port, TCP_ACK);
	assert_int_equal(count_states(FLOW_OPEN), 1);
	assert_int_equal(count_states(FLOW_ADOPTED), BUCKET_SLOTS - 1);
	assert_int_equal(lost(FLOW_OPEN), 0);
	assert_int_equal(lost(FLOW_ADOPTED), 1000 - 1 - (BUCKET_SLOTS - 1));
	set_in_flight(&second_is_least);
	assert_int_equal(send_flags(TCP_ACK), 1);
}

static void test_an_adopted_flow_that_goes_on_is_open(void **state)
{
	(void)state;
	one_bucket();
	send_flags(TCP_ACK);
	assert_int_equal(count_states(FLOW_ADOPTED), 1);
	age_flows(5);
	send_flags(TCP_ACK);
	assert_int_equal(count_states(FLOW_OPEN), 1);
}

/* Of SYNs that nobody goes on with, the oldest gives way, not the one in a certain place. */
static void test_the_oldest_syn_gives_way(void **state)
{
	uint16_t port;

	(void)state;
	one_bucket();
	for (port = 1; port <= BUCKET_SLOTS; port++) {
		send_from_port(port, TCP_SYN);
		age_flows(2);
	}
	for (port = 11; port < 18; port++)
		send_from_port(port, TCP_SYN);
	assert_int_equal(lost(FLOW_OPENING), 7);
	assert_int_equal(lost(FLOW_CONTESTED), 0);
	set_in_flight(&second_is_least);
	assert_int_equal(send_from_port(BUCKET_SLOTS, TCP_ACK), 1);
	assert_int_equal(count_states(FLOW_OPEN), 1);
}

/* In a flood of SYNs an honest one may be forgotten before its ACK comes, which finds the same backend. */
static void test_contested_flows_go_by_their_hash(void **state)
{
	uint32_t chosen[64];
	uint16_t port;

	(void)state;
	one_bucket();
	for (port = 1; port <= BUCKET_SLOTS; port++)
		send_from_port(port, TCP_SYN);
	for (port = 100; port < 164; port++)
		chosen[port - 100] = send_from_port(port, TCP_SYN);
	assert_int_equal(lost(FLOW_CONTESTED), 64);
	set_in_flight(&second_is_least);
	for (port = 100; port < 164; port++)
		assert_int_equal(send_from_port(port, TCP_ACK), chosen[port - 100]);
}

static void test_flows_are_told_apart(void **state)
{
	uint32_t backends[64];
	uint16_t port;

	(void)state;
	world_reset(&idle);
	for (port = 0; port < 64; port++)
		backends[port] = send_from_port(1 + port, TCP_SYN);
	set_in_flight(&second_is_least);
	for (port = 0; port < 64; port++)
		assert_int_equal(send_from_port(1 + port, TCP_ACK), backends[port]);
}

/* 7 slots: 3 of backend 1, 2 of each other. Bounds are five standard deviations. */
static void test_hashed_flows_follow_the_ring(void **state)
{
	const struct before before = {.policy = POLICY_MAGLEV};
	uint32_t counts[BACKENDS + 1] = {0};
	uint16_t port;

	(void)state;
	world_reset(&before);
	for (port = 1; port <= 7000; port++)
		counts[send_from_port(port, TCP_SYN)]++;
	assert_int_equal(counts[0], 0);
	assert_in_range(counts[1], 3000 - 210, 3000 + 210);
	assert_in_range(counts[2], 2000 - 190, 2000 + 190);
	assert_in_range(counts[3], 2000 - 190, 2000 + 190);
}

/* Without a single new report: only what has been sent tells the backends apart. */
static void test_pending_spreads_a_burst(void **state)
{
	uint32_t backend;
	uint16_t port;

	(void)state;
	world_reset(&idle);
	for (port = 1; port <= 300; port++)
		assert_int_not_equal(send_from_port(port, TCP_SYN), 0);
	for (backend = 1; backend <= BACKENDS; backend++)
		assert_in_range(connections_sent(backend), 95, 105);
}

static void test_backends_are_counted(void **state)
{
	int map = bpf_map__fd(world.skeleton->maps.backend_stats);
	struct backend_stats stats[256], sum = {0};
	struct segment segment;
	uint32_t index = 1;
	int cpu;

	(void)state;
	world_reset(&first_is_least);
	segment = segment_to_service();
	assert_int_equal(world_send(&segment), 1);
	segment.flags = TCP_ACK;
	segment.payload = 100;
	segment.padding = 7; /* is not the IP packet's */
	assert_int_equal(world_send(&segment), 1);
	assert_in_range(libbpf_num_possible_cpus(), 1, 256);
	assert_int_equal(bpf_map_lookup_elem(map, &index, stats), 0);
	for (cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		sum.packets += stats[cpu].packets;
		sum.bytes += stats[cpu].bytes;
		sum.connections += stats[cpu].connections;
	}
	assert_int_equal(sum.packets, 2);
	assert_int_equal(sum.bytes, 40 + 140);
	assert_int_equal(sum.connections, 1);
}

/* A report comes in at backend 1, which says that it has seen 4 connections. */
static void receive_report(uint8_t flags)
{
	const struct balancer_case report = {
		.direction = FROM_SERVICE,
		.report = {.backend = 1, .sequence = 9, .flags = flags},
	};
	struct outcome outcome;
	struct frame frame;

	case_frame(&report, &frame);
	world_run(world.lan, &frame, &outcome);
	assert_int_equal(verdict_count(VERDICT_REPORT_TAKEN), 1);
}

/* Connections that were sent and have not arrived: when are they given up? */
static const struct lost_case {
	const char *name;
	uint32_t sent, lost; /* before */
	uint64_t window_age_ms;
	uint32_t window_lowest;
	uint16_t window_reports;
	uint8_t flags;
	uint32_t lost_after; /* 4 have been seen */
} lost_cases[] = {
	{"lost: not before the window is over", 10, 0, 200, 6, 100, 0, 0},
	{"lost: the lowest of the window, that is now", 10, 0, 1500, 9, 100, 0, 6},
	{"lost: the lowest of the window, that was before", 10, 0, 1500, 2, 100, 0, 2},
	{"lost: too few reports say little", 10, 0, 1500, 6, 2, 0, 0},
	{"lost: fewer than thought, at once", 10, 9, 0, 6, 1, 0, 6},
	{"lost: one that was given up has arrived", 4, 1, 0, 1, 1, 0, 0},
	{"lost: the server has restarted and counts anew", 1000, 3, 0, 1, 1, LOAD_REPORT_RESTARTED,
	 996},
};

static void test_lost(void **state)
{
	const struct lost_case *test = *state;
	struct load load;

	world_reset(&idle);
	load_read(1, &load);
	load.connections_sent = test->sent;
	load.connections_lost = test->lost;
	load.window_start_ns = monotonic_ns() - test->window_age_ms * 1000000;
	load.window_lowest = test->window_lowest;
	load.window_reports = test->window_reports;
	load_write(1, &load);
	receive_report(test->flags);
	load_read(1, &load);
	assert_int_equal(load.connections_lost, test->lost_after);
}

/* What was sent before the first report is not pending for ever. */
static void test_lost_before_the_first_report(void **state)
{
	const struct before before = {.age_ms = {NEVER}, .sent = {50}};
	struct load load;

	(void)state;
	world_reset(&before);
	receive_report(0);
	load_read(1, &load);
	assert_int_equal(load.connections_lost, 46);
}

static int run_lost(void)
{
	struct CMUnitTest tests[sizeof(lost_cases) / sizeof(*lost_cases)];
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tests[i] = (struct CMUnitTest){
			.name = lost_cases[i].name,
			.test_func = test_lost,
			.initial_state = (void *)&lost_cases[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_follow_their_flow),
		cmocka_unit_test(test_a_retransmitted_syn_stays_and_counts_once),
		cmocka_unit_test(test_a_port_used_again_after_fin_is_a_new_flow),
		cmocka_unit_test(test_a_port_used_again_after_reset_is_a_new_flow),
		cmocka_unit_test(test_a_reset_of_an_unknown_flow_is_not_remembered),
		cmocka_unit_test(test_a_reset_opens_nothing),
		cmocka_unit_test(test_a_packet_in_the_middle_is_no_connection_of_ours),
		cmocka_unit_test(test_a_packet_in_the_middle_minds_no_suspicion),
		cmocka_unit_test(test_flows_outlive_their_ring),
		cmocka_unit_test(test_a_flow_whose_backend_is_gone_is_chosen_anew),
		cmocka_unit_test(test_a_flood_of_syns_spares_what_is_established),
		cmocka_unit_test(test_a_full_bucket_of_open_flows_takes_no_more),
		cmocka_unit_test(test_what_is_not_remembered_minds_no_live_weights),
		cmocka_unit_test(test_hashed_flows_are_found_where_they_were_sent),
		cmocka_unit_test(test_what_is_idle_for_long_gives_way),
		cmocka_unit_test(test_what_lasts_is_kept_longer),
		cmocka_unit_test(test_forged_acks_take_nobodys_place),
		cmocka_unit_test(test_an_adopted_flow_that_goes_on_is_open),
		cmocka_unit_test(test_the_oldest_syn_gives_way),
		cmocka_unit_test(test_contested_flows_go_by_their_hash),
		cmocka_unit_test(test_flows_are_told_apart),
		cmocka_unit_test(test_hashed_flows_follow_the_ring),
		cmocka_unit_test(test_pending_spreads_a_burst),
		cmocka_unit_test(test_backends_are_counted),
		cmocka_unit_test(test_lost_before_the_first_report),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL) + run_lost();
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
