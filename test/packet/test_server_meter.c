/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The server's meter: what each packet of a connection makes of its count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../count.h"
#include "clock.h"
#include "server_socket.h"
#include "server_world.h"

#define STEPS_MAX 8
#define TICKS_PER_SECOND (1000000000ULL >> LATENCY_TICK_SHIFT)

struct step {
	enum way way;
	uint8_t flags;
	uint16_t payload;
	uint8_t sequence; /* its last byte; 0 = that of SEQUENCE */
	uint32_t acknowledged; /* 0 = whatever */
	uint8_t after_s; /* so long after the last one */
	enum meter_state then;
};

struct meter_case {
	const char *name;
	enum server_socket socket;
	struct step steps[STEPS_MAX]; /* the first without flags ends them */
	uint64_t connections, requests, resets; /* counted in all */
	bool penalty;
};

/* clang-format off */
#define SYN {FROM_CLIENT, TCP_SYN, .then = METER_SYN}
#define SYN_ACK {TO_CLIENT, TCP_SYN | TCP_ACK, .then = METER_SYN_ACK}
#define REQUEST {FROM_CLIENT, TCP_ACK | TCP_PSH, 100, .then = METER_WAITING}
#define ANSWER {TO_CLIENT, TCP_ACK | TCP_PSH, 100, .then = METER_NONE}
/* clang-format on */
#define BEFORE_SEQUENCE ((SEQUENCE - 3) & 0xff)

static const struct meter_case cases[] = {
	{.name = "a handshake", .socket = NO_SOCKET, .steps = {SYN, SYN_ACK}, .connections = 1},
	{.name = "a SYN again",
	 .socket = NO_SOCKET,
	 .steps = {SYN, SYN, SYN_ACK},
	 .connections = 1},
	{.name = "a SYN again after the answer to it",
	 .socket = NO_SOCKET,
	 .steps = {SYN, SYN_ACK, {FROM_CLIENT, TCP_SYN, .then = METER_SYN_ACK}, SYN_ACK},
	 .connections = 1},
	{.name = "a SYN again after half a minute",
	 .socket = NO_SOCKET,
	 .steps = {SYN, {FROM_CLIENT, TCP_SYN, .after_s = 32, .then = METER_SYN}},
	 .connections = 1},
	{.name = "the same port, minutes after a handshake that came to nothing",
	 .socket = NO_SOCKET,
	 .steps = {SYN, SYN_ACK, {FROM_CLIENT, TCP_SYN, .after_s = 66, .then = METER_SYN}},
	 .connections = 2},
	{.name = "the same port, while the old connection waited",
	 .socket = ESTABLISHED,
	 .steps = {SYN, SYN_ACK, REQUEST, SYN},
	 .connections = 2},
	{.name = "a request and its answer",
	 .socket = ESTABLISHED,
	 .steps = {SYN, SYN_ACK, REQUEST, ANSWER},
	 .connections = 1,
	 .requests = 1},
	{.name = "a request in two packets",
	 .socket = ESTABLISHED,
	 .steps = {SYN, SYN_ACK, REQUEST, REQUEST, ANSWER},
	 .connections = 1,
	 .requests = 1},
	{.name = "an answer in two packets",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, ANSWER, ANSWER},
	 .requests = 1},
	{.name = "the next request on the connection",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, ANSWER, REQUEST, ANSWER},
	 .requests = 2},
	{.name = "bare acknowledgements say nothing",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST,
		   {TO_CLIENT, TCP_ACK, .then = METER_WAITING},
		   {FROM_CLIENT, TCP_ACK, .then = METER_WAITING}}},
	{.name = "a request that the server has had already",
	 .socket = ESTABLISHED,
	 .steps = {{FROM_CLIENT, TCP_ACK | TCP_PSH, 3, BEFORE_SEQUENCE, .then = METER_NONE}}},
	{.name = "a keepalive probe with a byte",
	 .socket = ESTABLISHED,
	 .steps = {{FROM_CLIENT, TCP_ACK, 1, (SEQUENCE - 1) & 0xff, .then = METER_NONE}}},
	{.name = "a retransmission with more behind it",
	 .socket = ESTABLISHED,
	 .steps = {{FROM_CLIENT, TCP_ACK | TCP_PSH, 4, BEFORE_SEQUENCE, .then = METER_WAITING}}},
	{.name = "the second packet of a request first",
	 .socket = ESTABLISHED,
	 .steps = {{FROM_CLIENT, TCP_ACK | TCP_PSH, 100, 0xf0, .then = METER_WAITING}}},
	{.name = "data behind the server's own end",
	 .socket = SHUT_DOWN,
	 .steps = {{FROM_CLIENT, TCP_ACK | TCP_PSH, 100, .then = METER_NONE}}},
	{.name = "data out of the blue",
	 .socket = LISTENING,
	 .steps = {{FROM_CLIENT, TCP_ACK, 100, .then = METER_NONE}}},
	{.name = "data that ends a handshake by cookie",
	 .socket = LISTENING,
	 .steps = {SYN, SYN_ACK, REQUEST, ANSWER},
	 .connections = 1,
	 .requests = 1},
	{.name = "a connection that ends in another namespace",
	 .socket = NO_SOCKET,
	 .steps = {{FROM_CLIENT, TCP_ACK, 100, .then = METER_ELSEWHERE},
		   {FROM_CLIENT, TCP_ACK, 100, .then = METER_ELSEWHERE},
		   ANSWER},
	 .requests = 1},
	{.name = "a server that speaks first",
	 .socket = ESTABLISHED,
	 .steps = {SYN, SYN_ACK, ANSWER, REQUEST, ANSWER},
	 .connections = 1,
	 .requests = 1},
	{.name = "the client closes its side and still waits",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, {FROM_CLIENT, TCP_FIN | TCP_ACK, .then = METER_WAITING}, ANSWER},
	 .requests = 1},
	{.name = "a request with the client's FIN in it",
	 .socket = ESTABLISHED,
	 .steps = {{FROM_CLIENT, TCP_FIN | TCP_ACK, 100, .then = METER_WAITING}, ANSWER},
	 .requests = 1},
	{.name = "the client closes without having asked",
	 .socket = ESTABLISHED,
	 .steps = {SYN, SYN_ACK, {FROM_CLIENT, TCP_FIN | TCP_ACK, .then = METER_NONE}},
	 .connections = 1},
	{.name = "the server closes without an answer",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, {TO_CLIENT, TCP_FIN | TCP_ACK, .then = METER_NONE}}},
	{.name = "an answer with the server's FIN in it",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, {TO_CLIENT, TCP_FIN | TCP_ACK, 100, .then = METER_NONE}},
	 .requests = 1},
	{.name = "the client resets while it waits",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, {FROM_CLIENT, TCP_RST, .then = METER_NONE}}},
	{.name = "the client resets, with a text as some do",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, {FROM_CLIENT, TCP_RST, 20, .then = METER_NONE}}},
	{.name = "the server resets while the client waits",
	 .socket = ESTABLISHED,
	 .steps = {REQUEST, {TO_CLIENT, TCP_RST, .then = METER_NONE}},
	 .resets = 1,
	 .penalty = true},
	{.name = "the server refuses a connection",
	 .socket = NO_SOCKET,
	 .steps = {SYN, {TO_CLIENT, TCP_RST | TCP_ACK, .then = METER_NONE}},
	 .connections = 1,
	 .resets = 1,
	 .penalty = true},
	{.name = "the server resets where nobody waits",
	 .socket = ESTABLISHED,
	 .steps = {{TO_CLIENT, TCP_RST, .then = METER_NONE}},
	 .resets = 1},
	{.name = "a request in the SYN, taken",
	 .socket = NO_SOCKET,
	 .steps = {{FROM_CLIENT, TCP_SYN, 100, .then = METER_SYN_DATA},
		   {TO_CLIENT, TCP_SYN | TCP_ACK, .acknowledged = SEQUENCE + 101,
		    .then = METER_WAITING},
		   {TO_CLIENT, TCP_SYN | TCP_ACK, .acknowledged = SEQUENCE + 101,
		    .then = METER_WAITING},
		   ANSWER},
	 .connections = 1,
	 .requests = 1},
	{.name = "a request in the SYN, not taken",
	 .socket = ESTABLISHED,
	 .steps = {{FROM_CLIENT, TCP_SYN, 100, .then = METER_SYN_DATA},
		   {FROM_CLIENT, TCP_SYN, .then = METER_SYN_DATA},
		   {TO_CLIENT, TCP_SYN | TCP_ACK, .acknowledged = SEQUENCE + 1,
		    .then = METER_SYN_ACK},
		   REQUEST,
		   ANSWER},
	 .connections = 1,
	 .requests = 1},
};

static const struct server_before no_balancer = {.no_balancer = true};

static struct segment segment_of(const struct step *step)
{
	struct segment segment = segment_usual(step->way);
	int i;

	segment.flags = step->flags;
	segment.payload = step->payload;
	if (step->sequence)
		segment.patches[0] = (struct patch){AT_IP + 20 + 7, step->sequence};
	for (i = 0; step->acknowledged && i < 4; i++)
		segment.patches[i] = (struct patch){AT_IP + 20 + 8 + i,
						    step->acknowledged >> (24 - 8 * i) & 0xff};
	return segment;
}

/* The one slot in use; 0 if there is none. */
static uint64_t slot_in_use(void)
{
	uint64_t found = 0;
	int i;

	for (i = 0; i < BUCKET_SLOTS; i++) {
		if (!server.bucket->slot[i])
			continue;
		assert_int_equal(found, 0);
		found = server.bucket->slot[i];
	}
	return found;
}

static void grow_older(uint32_t seconds)
{
	int i;

	for (i = 0; i < BUCKET_SLOTS; i++) {
		__u64 *slot = &server.bucket->slot[i];

		if (*slot)
			*slot = (*slot & ~METER_TIME_MASK) |
				((*slot - seconds * TICKS_PER_SECOND) & METER_TIME_MASK);
	}
}

static void run_case(void **state)
{
	const struct meter_case *test = *state;
	const struct step *step;

	server_socket_open(test->socket);
	server_reset(&no_balancer);
	for (step = test->steps; step < test->steps + STEPS_MAX && step->flags; step++) {
		struct segment segment = segment_of(step);

		grow_older(step->after_s);
		server_pass(step->way, &segment);
		if (meter_state(slot_in_use()) != step->then)
			fail_msg("step %d: state %d instead of %d", (int)(step - test->steps) + 1,
				 meter_state(slot_in_use()), step->then);
		assert_int_equal(server.metrics->in_flight, step->then >= METER_WAITING);
	}
	assert_int_equal(server_stats_sum().connections, test->connections);
	assert_int_equal(server_stats_sum().requests, test->requests);
	assert_int_equal(server_stats_sum().resets, test->resets);
	assert_int_equal(server.metrics->penalty != 0, test->penalty);
}

static int close_socket(void **state)
{
	(void)state;
	server_socket_close();
	return 0;
}

static int run_cases(void)
{
	struct CMUnitTest tests[COUNT(cases)];
	size_t i;

	for (i = 0; i < COUNT(cases); i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name,
					       .test_func = run_case,
					       .teardown_func = close_socket,
					       .initial_state = (void *)&cases[i]};
	return _cmocka_run_group_tests("meter: transitions", tests, COUNT(cases), NULL, NULL);
}

/* The flow is in its client's address; the packet is not looked at again. */
static void pass_quickly(enum way way, uint8_t flags, uint16_t payload, uint32_t flow)
{
	static struct frame frames[2][256];
	struct segment segment = segment_usual(way);
	struct frame *frame = &frames[way][flags];
	struct outcome outcome;
	uint8_t *client;

	segment.flags = flags;
	segment.payload = payload;
	if (!frame->length)
		frame_build(frame, &segment);
	client = &frame->bytes[AT_IP + (way == FROM_CLIENT ? 12 : 16)];
	client[1] = flow >> 16;
	client[2] = flow >> 8;
	client[3] = flow;
	server_run(way, frame, &outcome);
}

static void pass(enum way way, uint8_t flags, uint16_t payload, uint32_t flow)
{
	struct segment segment = segment_usual(way);

	segment.flags = flags;
	segment.payload = payload;
	*(way == FROM_CLIENT ? &segment.source_port : &segment.destination_port) += flow;
	server_pass(way, &segment);
	assert_int_equal(server.metrics->in_flight, waiting_slots());
}

static void full_bucket_gives_up_the_longest_wait(void **state)
{
	uint32_t flow;

	(void)state;
	server_reset(&no_balancer);
	for (flow = 0; flow < 12; flow++) {
		pass(FROM_CLIENT, TCP_ACK, 100, flow);
		grow_older(1);
	}
	assert_int_equal(server.metrics->in_flight, 8);
	assert_int_equal(server.metrics->evicted, 4);
	for (flow = 0; flow < 12; flow++) {
		pass(TO_CLIENT, TCP_ACK, 100, flow);
		assert_int_equal(server_stats_sum().requests, flow < 4 ? 0 : flow - 3);
	}
	assert_int_equal(server.metrics->in_flight, 0);
}

static void handshakes_never_drive_out_requests(void **state)
{
	uint32_t flow;

	(void)state;
	server_reset(&no_balancer);
	for (flow = 0; flow < 8; flow++)
		pass(FROM_CLIENT, TCP_ACK, 100, flow);
	for (flow = 100; flow < 200; flow++)
		pass(FROM_CLIENT, TCP_SYN, 0, flow);
	assert_int_equal(server.metrics->in_flight, 8);
	assert_int_equal(server.metrics->evicted, 0);
	assert_int_equal(server_stats_sum().connections, 100);
}

static void requests_find_room_in_a_flood_of_handshakes(void **state)
{
	uint32_t flow;

	(void)state;
	server_reset(&no_balancer);
	for (flow = 0; flow < 8; flow++) {
		for (uint32_t syn = 0; syn < 50; syn++)
			pass(FROM_CLIENT, TCP_SYN, 0, 1000 + 50 * flow + syn);
		pass(FROM_CLIENT, TCP_ACK, 100, flow);
	}
	assert_int_equal(server.metrics->in_flight, 8);
	for (flow = 0; flow < 8; flow++)
		pass(TO_CLIENT, TCP_ACK, 100, flow);
	assert_int_equal(server.metrics->in_flight, 0);
	assert_int_equal(server.metrics->evicted, 0);
}

/* What waits, or shakes hands, behind the front. */
static uint32_t slots_behind(void)
{
	uint32_t count = 0;

	for (int i = METER_FRONT_BUCKETS * BUCKET_SLOTS; i < SERVER_METER_ENTRIES; i++)
		count += server.bucket[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS] != 0;
	return count;
}

/* Of 200,000 connections 20,000 at a time wait, in a table of 10,000: half of them are given up. */
static void many_connections_in_a_small_table(void **state)
{
	enum { CONNECTIONS = 200000, AT_A_TIME = 20000 };
	uint32_t flow;

	(void)state;
	server_reset(&(struct server_before){.no_balancer = true, .large_meter = true});
	for (flow = 0; flow < CONNECTIONS + AT_A_TIME; flow++) {
		if (flow < CONNECTIONS) {
			pass_quickly(FROM_CLIENT, TCP_SYN, 0, flow);
			pass_quickly(TO_CLIENT, TCP_SYN | TCP_ACK, 0, flow);
			pass_quickly(FROM_CLIENT, TCP_ACK, 100, flow);
		}
		if (flow >= AT_A_TIME)
			pass_quickly(TO_CLIENT, TCP_ACK, 100, flow - AT_A_TIME);
		if (flow % 10000 == 0)
			assert_int_equal(server.metrics->in_flight, waiting_slots());
		assert_true(server.metrics->in_flight <= SERVER_METER_ENTRIES);
	}
	assert_int_equal(server.metrics->in_flight, 0);
	assert_int_equal(server.metrics->spilled, slots_behind());
	assert_int_equal(server_stats_sum().connections, CONNECTIONS);
	assert_int_equal(server_stats_sum().requests + server.metrics->evicted, CONNECTIONS);
	assert_in_range(server_stats_sum().requests, 1, CONNECTIONS / 2);
}

static void few_connections_stay_in_the_front(void **state)
{
	(void)state;
	server_reset(&(struct server_before){.no_balancer = true, .large_meter = true});
	for (uint32_t flow = 0; flow < 2000; flow++) {
		pass_quickly(FROM_CLIENT, TCP_SYN, 0, flow);
		pass_quickly(TO_CLIENT, TCP_SYN | TCP_ACK, 0, flow);
		pass_quickly(FROM_CLIENT, TCP_ACK, 100, flow);
		assert_int_equal(server.metrics->spilled, 0);
		if (flow >= 50)
			pass_quickly(TO_CLIENT, TCP_ACK, 100, flow - 50);
	}
	assert_int_equal(server.metrics->in_flight, 50);
	assert_int_equal(server_stats_sum().requests, 1950);
	assert_int_equal(slots_behind(), 0);
}

static void what_the_front_has_no_room_for_is_found_behind_it(void **state)
{
	enum { CONNECTIONS = 2000 };
	uint32_t flow;

	(void)state;
	server_reset(&(struct server_before){.no_balancer = true, .large_meter = true});
	for (flow = 0; flow < CONNECTIONS; flow++) {
		pass_quickly(FROM_CLIENT, TCP_SYN, 0, flow);
		pass_quickly(TO_CLIENT, TCP_SYN | TCP_ACK, 0, flow);
		pass_quickly(FROM_CLIENT, TCP_ACK, 100, flow);
	}
	assert_int_equal(server.metrics->in_flight, CONNECTIONS);
	assert_int_equal(server.metrics->evicted, 0);
	assert_int_equal(server_stats_sum().connections, CONNECTIONS);
	assert_in_range(server.metrics->spilled, CONNECTIONS - METER_FRONT_BUCKETS * BUCKET_SLOTS,
			CONNECTIONS - 1);
	assert_int_equal(server.metrics->spilled, slots_behind());
	for (flow = 0; flow < CONNECTIONS; flow++)
		pass_quickly(TO_CLIENT, TCP_ACK, 100, flow);
	assert_int_equal(server_stats_sum().requests, CONNECTIONS);
	assert_int_equal(server.metrics->in_flight, 0);
	assert_int_equal(server.metrics->spilled, 0);
	assert_int_equal(slots_behind(), 0);
}

/* Handshakes that nobody ends fill the front; when nothing can come of them any more, it is free again. */
static void the_front_recovers_from_a_flood(void **state)
{
	uint32_t flow;

	(void)state;
	server_reset(&(struct server_before){.no_balancer = true, .large_meter = true});
	for (flow = 0; flow < 2000; flow++)
		pass_quickly(FROM_CLIENT, TCP_SYN, 0, flow);
	assert_int_equal(server.metrics->spilled, slots_behind());
	assert_in_range(slots_behind(), 2000 - METER_FRONT_BUCKETS * BUCKET_SLOTS, 1999);
	for (int i = 0; i < SERVER_METER_ENTRIES; i++) {
		__u64 *slot = &server.bucket[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];

		if (*slot)
			*slot = meter_again(*slot, now_ns() - 66 * 1000000000ULL);
	}
	flow = server.metrics->spilled;
	for (uint32_t i = 0; i < 100; i++)
		pass_quickly(FROM_CLIENT, TCP_ACK, 100, 10000 + i);
	assert_int_equal(server.metrics->in_flight, 100);
	assert_int_equal(server.metrics->spilled, flow);
}

/* Whatever comes, in_flight is what waits in the slots: pass() checks it. */
static void whatever_comes(void **state)
{
	static const uint8_t flags[] = {
		TCP_ACK,	   TCP_ACK | TCP_PSH, TCP_SYN, TCP_SYN | TCP_ACK,
		TCP_FIN | TCP_ACK, TCP_RST,	      TCP_ACK, TCP_RST | TCP_ACK,
	};
	int i;

	(void)state;
	srand(1);
	server_reset(&no_balancer);
	for (i = 0; i < 20000; i++)
		pass(rand() % 2 ? FROM_CLIENT : TO_CLIENT, flags[rand() % COUNT(flags)],
		     rand() % 2 ? 100 : 0, rand() % 20);
	for (i = 0; i < 20; i++)
		pass(FROM_CLIENT, TCP_RST, 0, i);
	assert_int_equal(server.metrics->in_flight, 0);
}

static void other_services_are_not_metered(void **state)
{
	struct segment segment = segment_usual(FROM_CLIENT);

	(void)state;
	server_reset(&no_balancer);
	segment.destination_port = 81;
	segment.payload = 100;
	server_pass(FROM_CLIENT, &segment);
	segment.destination_port = VIP_PORT;
	segment.destination = SERVER;
	server_pass(FROM_CLIENT, &segment);
	segment.destination = VIP;
	segment.mac_to = "02:00:00:00:05:02"; /* flooded here by a switch, say */
	server_pass(FROM_CLIENT, &segment);
	assert_int_equal(slot_in_use(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_bucket_gives_up_the_longest_wait),
		cmocka_unit_test(handshakes_never_drive_out_requests),
		cmocka_unit_test(requests_find_room_in_a_flood_of_handshakes),
		cmocka_unit_test(many_connections_in_a_small_table),
		cmocka_unit_test(few_connections_stay_in_the_front),
		cmocka_unit_test(what_the_front_has_no_room_for_is_found_behind_it),
		cmocka_unit_test(the_front_recovers_from_a_flood),
		cmocka_unit_test(whatever_comes),
		cmocka_unit_test(other_services_are_not_metered),
	};
	int failed;

	harness_require_root();
	if (server_create())
		return EXIT_FAILURE;
	failed = run_cases() + cmocka_run_group_tests_name("meter: crowds", tests, NULL, NULL);
	server_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
