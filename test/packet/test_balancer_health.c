/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Backends that do not answer: how that is seen, who is spared for it, and how they come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer.skel.h"
#include "hash.h"
#include "health_world.h"
#include "load_report.h"

/* Behind a report in IPv4. */
#define AT_REPORTED_SEQUENCE (AT_IP_OPTIONS + LOAD_REPORT_LENGTH + 4)

#define MANY 200 /* flows */
#define FEW 40 /* the flow table has room for them */

static const struct before idle = {0};

static void set_vip(uint32_t backend, uint32_t vip)
{
	struct backend entry = entry_of(backend);

	entry.vip = vip;
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
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
