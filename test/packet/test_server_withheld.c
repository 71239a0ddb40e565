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
	server.metrics->handshake_ns -= ms * MS;
	server.metrics->resumed_ns -= ms * MS;
}

/* Another client's handshake, from its SYN to its first request. */
static void shake_hands(void)
{
	struct segment segment = segment_usual(FROM_CLIENT);

	segment.source_port++;
	segment.flags = TCP_SYN;
	server_pass(FROM_CLIENT, &segment);
	segment.flags = TCP_ACK;
	segment.payload = 100;
	server_pass(FROM_CLIENT, &segment);
	segment.flags = TCP_RST;
	segment.payload = 0;
	server_pass(FROM_CLIENT, &segment);
}

static void shake_hands_for_ms(int ms)
{
	for (; ms > 0; ms -= 20) {
		wait_ms(20);
		shake_hands();
	}
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
	shake_hands();
	shake_hands_for_ms(20);
	syn();
	assert_true(syn_ack());
}

static void nothing_is_withheld_while_others_shake_hands(void **state)
{
	(void)state;
	begin_handshake();
	shake_hands_for_ms(1000);
	assert_true(syn_ack());
	assert_int_equal(skip_count(SKIP_WITHHELD), 0);
}

static void after_a_pause_it_is_left_to_the_client(void **state)
{
	(void)state;
	begin_handshake();
	wait_ms(300);
	shake_hands();
	shake_hands_for_ms(700);
	assert_false(syn_ack());
	assert_int_equal(skip_count(SKIP_WITHHELD), 1);
}

static void in_a_pause_it_is_left_to_the_client(void **state)
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
	shake_hands();
	shake_hands_for_ms(2000);
	assert_true(syn_ack());
}

static void a_syn_again_is_answered(void **state)
{
	uint64_t connections;

	(void)state;
	begin_handshake();
	connections = server_stats_sum().connections;
	wait_ms(1000);
	syn();
	assert_true(syn_ack());
	assert_int_equal(server_stats_sum().connections, connections);
}

static void a_pause_before_the_handshake_counts_for_nothing(void **state)
{
	(void)state;
	server_reset(&calm);
	wait_ms(1000);
	shake_hands();
	wait_ms(20);
	syn();
	assert_true(syn_ack());
	shake_hands_for_ms(1000);
	assert_true(syn_ack());
}

/* Without a carrier, or a way to the client, the first one never comes as far as the program. */
static void the_first_that_is_seen_may_be_a_repetition(void **state)
{
	(void)state;
	server_reset(&calm);
	syn();
	wait_ms(1000);
	assert_false(syn_ack());
	shake_hands();
	shake_hands_for_ms(2000);
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
		cmocka_unit_test(nothing_is_withheld_while_others_shake_hands),
		cmocka_unit_test(after_a_pause_it_is_left_to_the_client),
		cmocka_unit_test(in_a_pause_it_is_left_to_the_client),
		cmocka_unit_test(it_is_withheld_once),
		cmocka_unit_test(a_syn_again_is_answered),
		cmocka_unit_test(a_pause_before_the_handshake_counts_for_nothing),
		cmocka_unit_test(the_first_that_is_seen_may_be_a_repetition),
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
