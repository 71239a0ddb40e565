// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A SYN-ACK that is sent again: whether the server had better leave that to its client's SYN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pkt_cls.h>

#include <cmocka.h>

#include "server_world.h"

#define MS 1000000ULL

static const struct server_before calm = {.pace = LONG_PAUSE, .reported_us = 1};

/* So much later, as far as the server can tell. */
static void wait_ms(uint64_t ms)
{
	uint64_t ticks = ms * MS >> LATENCY_TICK_SHIFT;
	__u64 *slot = server.bucket->slot;

	for (int i = 0; i < BUCKET_SLOTS; i++)
		if (slot[i])
			slot[i] = (slot[i] & ~METER_TIME_MASK) |
				  ((slot[i] - ticks) & METER_TIME_MASK);
	server.metrics->back_tick = (server.metrics->back_tick - ticks) & METER_TIME_MASK;
	server.peers[0].heard_ns -= ms * MS;
	server.peers[0].heard_tick = 0;
}

/* The balancer is heard, by another connection's packet. */
static void hear_balancer(void)
{
	struct segment segment = segment_usual(FROM_CLIENT);

	segment.source_port++;
	server_pass(FROM_CLIENT, &segment);
}

static void syn(void)
{
	struct segment segment = segment_usual(FROM_CLIENT);

	segment.flags = TCP_SYN;
	server_pass(FROM_CLIENT, &segment);
}

/* Returns whether it went out. */
static bool syn_ack(void)
{
	struct segment segment = segment_usual(TO_CLIENT);
	struct outcome outcome;
	struct frame in;

	segment.flags = TCP_SYN | TCP_ACK;
	frame_build(&in, &segment);
	assert_int_equal(run_tc(server.egress, server.ifindex, &in, &outcome), 0);
	assert_int_equal(outcome.frame.length, in.length);
	if (outcome.action == (uint32_t)TC_ACT_UNSPEC)
		return true;
	assert_int_equal(outcome.action, TC_ACT_REDIRECT);
	return false;
}

static void begin_handshake(void)
{
	server_reset(&calm);
	syn();
	assert_true(syn_ack());
}

static void nothing_is_withheld_while_the_balancer_is_heard(void **state)
{
	(void)state;
	begin_handshake();
	for (int i = 0; i < 50; i++) {
		wait_ms(20);
		hear_balancer();
	}
	assert_true(syn_ack());
	assert_int_equal(skip_count(SKIP_WITHHELD), 0);
}

static void who_was_cut_off_leaves_it_to_the_client(void **state)
{
	(void)state;
	begin_handshake();
	wait_ms(300);
	hear_balancer();
	for (int i = 0; i < 35; i++) {
		wait_ms(20);
		hear_balancer();
	}
	assert_false(syn_ack());
	assert_int_equal(skip_count(SKIP_WITHHELD), 1);
}

static void who_is_cut_off_leaves_it_to_the_client(void **state)
{
	(void)state;
	begin_handshake();
	wait_ms(1000);
	assert_false(syn_ack());
}

/* A client that has had the first one, and whose answer was lost, waits for nothing else. */
static void it_is_withheld_once(void **state)
{
	(void)state;
	begin_handshake();
	wait_ms(1000);
	assert_false(syn_ack());
	hear_balancer();
	for (int i = 0; i < 100; i++) {
		wait_ms(20);
		hear_balancer();
	}
	assert_true(syn_ack());
}

static void a_syn_again_is_answered(void **state)
{
	(void)state;
	begin_handshake();
	wait_ms(1000);
	syn();
	assert_true(syn_ack());
	assert_int_equal(server_stats_sum().connections, 1);
}

static void what_was_cut_off_before_the_handshake_counts_for_nothing(void **state)
{
	(void)state;
	server_reset(&calm);
	wait_ms(1000);
	hear_balancer();
	wait_ms(20);
	syn();
	assert_true(syn_ack());
	for (int i = 0; i < 50; i++) {
		wait_ms(20);
		hear_balancer();
	}
	assert_true(syn_ack());
}

static void without_a_balancer_nothing_is_withheld(void **state)
{
	(void)state;
	server_reset(&(struct server_before){.no_balancer = true});
	syn();
	assert_true(syn_ack());
	wait_ms(1000);
	assert_true(syn_ack());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_withheld_while_the_balancer_is_heard),
		cmocka_unit_test(who_was_cut_off_leaves_it_to_the_client),
		cmocka_unit_test(who_is_cut_off_leaves_it_to_the_client),
		cmocka_unit_test(it_is_withheld_once),
		cmocka_unit_test(a_syn_again_is_answered),
		cmocka_unit_test(what_was_cut_off_before_the_handshake_counts_for_nothing),
		cmocka_unit_test(without_a_balancer_nothing_is_withheld),
	};
	int failed;

	harness_require_root();
	if (server_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	server_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
