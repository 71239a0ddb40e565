/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which answers to its questions the poller believes, and what becomes of the server's load. */
#include "poll_fixture.h"

#include "../count.h"
#include "choose.h"

static void an_answer_becomes_the_servers_load(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	uint64_t before = now_ns();
	struct poll_counts all;

	SANDBOX_REQUIRED();
	start_reports(f, NEVER_AGAIN);
	f->loads[1].connections_sent = 10;
	reply(f, &asker, request(f, &asker), &sample);
	await_settled(f, 1);
	assert_int_equal(f->loads[1].in_flight, 9);
	assert_int_equal(f->loads[1].utilisation, 32768);
	assert_int_equal(f->loads[1].accept_queue, 64);
	assert_int_equal(f->loads[1].latency, 1500);
	assert_int_equal(f->loads[1].sequence, 5000);
	assert_int_equal(f->loads[1].connections_seen, 7);
	assert_int_equal(f->loads[1].reports, 1);
	assert_true(f->loads[1].received_ns >= before && f->loads[1].received_ns <= now_ns());
	all = counts(f);
	assert_int_equal(all.polls, 1);
	assert_int_equal(all.answers, 1);
	assert_int_equal(all.late + all.refused, 0);
	assert_int_equal(f->loads[2].received_ns, 0);
	/* Asked only where it is polled. */
	assert_int_equal(poll_counts_of(f->poller, &f->services[1], backend(FIRST)).polls, 0);
}

static void what_is_no_answer_is_refused(void **state)
{
	static const struct {
		size_t offset;
		uint8_t byte;
		size_t length;
	} wrongs[] = {
		{0, 0xb7, 0},	{0, 0xb7, 7},  {0, 0xb7, 8}, /* the header alone */
		{0, 0xb7, 31}, /* cut short */
		{0, 0xb7, 33}, /* too long */
		{0, 0xb7, 40},	{0, 0xb7, 41}, {0, 0xb6, 32}, /* magic */
		{1, 0x22, 32}, /* version */
		{1, 0x11, 32}, /* a request */
		{4, 0xff, 32}, /* number, its lower bytes below */
		{6, 0xff, 32},	{8, 0x5f, 32}, /* option type */
		{9, 0, 32}, /* length */
		{9, 32, 32},	{9, 32, 40}, /* a tag without the flag */
		{10, 0xb6, 32}, /* magic of the report */
		{11, 0x20, 32}, /* version of the report */
		{11, 0x18, 32}, /* the flag without a tag */
	};
	struct fixture *f = *state;
	struct sockaddr_in asker;
	uint8_t bytes[64] = {0};
	struct load_poll poll;

	SANDBOX_REQUIRED();
	start_reports(f, NEVER_AGAIN);
	poll = answer_to(request(f, &asker), &sample);
	for (size_t i = 0; i < COUNT(wrongs); i++) {
		memcpy(bytes, &poll, sizeof(poll));
		/* Whatever the number is, it becomes another one. */
		if (wrongs[i].offset >= 4 && wrongs[i].offset < 8)
			bytes[wrongs[i].offset] ^= wrongs[i].byte;
		else
			bytes[wrongs[i].offset] = wrongs[i].byte;
		reply_from(f->agent, &asker, bytes, wrongs[i].length);
		await_settled(f, i + 1);
		assert_int_equal(counts(f).refused, i + 1);
	}
	/* What has never been asked: the number before the first, and the one after the last. */
	reply(f, &asker, load_report_be32(poll.number) - 1, &sample);
	reply(f, &asker, load_report_be32(poll.number) + 1, &sample);
	await_settled(f, COUNT(wrongs) + 2);
	assert_int_equal(f->loads[1].received_ns, 0);
	reply(f, &asker, load_report_be32(poll.number), &sample);
	await_settled(f, COUNT(wrongs) + 3);
	assert_int_equal(counts(f).answers, 1);
}

static void strangers_are_not_heard(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	struct load_poll poll;
	int other_port, other_address;

	SANDBOX_REQUIRED();
	start_reports(f, NEVER_AGAIN);
	other_port = bound(FIRST, 0, SOCK_DGRAM);
	other_address = bound(SECOND, PORT, SOCK_DGRAM);
	poll = answer_to(request(f, &asker), &sample);
	reply_from(other_port, &asker, &poll, 32);
	reply_from(other_address, &asker, &poll, 32);
	for (int i = 0; i < PATIENCE_MS && poll_strangers(f->poller) < 2; i++)
		run_for(f, 1);
	assert_int_equal(poll_strangers(f->poller), 2);
	assert_int_equal(counts(f).answers + counts(f).refused, 0);
	assert_int_equal(f->loads[1].received_ns, 0);
	close(other_port);
	close(other_address);
}

static void tags_are_verified(void **state)
{
	struct load_report_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	struct load_report report = sample;
	struct fixture *f = *state;
	struct sockaddr_in asker;
	struct load_poll poll;
	uint8_t longer[41] = {0};
	uint32_t number, here, there;

	SANDBOX_REQUIRED();
	f->config.keyed = true;
	for (uint8_t i = 0; i < 16; i++)
		f->config.report_key[i] = i;
	start_reports(f, NEVER_AGAIN);
	number = request(f, &asker);
	here = asker.sin_addr.s_addr;
	there = address(FIRST).s_addr;
	reply(f, &asker, number, &sample); /* without */
	report.flags = LOAD_REPORT_KEYED;
	poll = answer_to(number, &report);
	reply_from(f->agent, &asker, &poll, 40); /* a tag of zeros */
	poll.report.tag = load_report_tag_ipv4(&poll.report, &key, here, there);
	reply_from(f->agent, &asker, &poll, 40); /* that of the other direction */
	poll.report.tag = load_report_tag_ipv4(&poll.report, &key, there, here + 1);
	reply_from(f->agent, &asker, &poll, 40); /* told to somebody else */
	poll.report.tag = load_report_tag_ipv4(&poll.report, &key, there, here);
	poll.report.in_flight ^= 1;
	reply_from(f->agent, &asker, &poll, 40); /* for another load */
	poll.report.in_flight ^= 1;
	memcpy(longer, &poll, 40);
	reply_from(f->agent, &asker, longer, sizeof(longer)); /* right, with something behind it */
	await_settled(f, 6);
	assert_int_equal(counts(f).refused, 6);
	assert_int_equal(f->loads[1].received_ns, 0);
	reply_from(f->agent, &asker, &poll, 40);
	await_settled(f, 7);
	assert_int_equal(counts(f).answers, 1);
	assert_int_equal(f->loads[1].in_flight, 9);
}

static void late_answers_count_unless_newer_ones_have_come(void **state)
{
	struct load_report newer = sample;
	struct fixture *f = *state;
	struct sockaddr_in asker;
	uint32_t first, second;

	SANDBOX_REQUIRED();
	newer.sequence++;
	newer.in_flight = 20;
	start_reports(f, 300 * MS);
	first = request(f, &asker);
	second = request(f, &asker);
	assert_int_equal(second, first + 1);
	reply(f, &asker, first, &sample);
	await_settled(f, 1);
	assert_int_equal(counts(f).late, 1);
	assert_int_equal(f->loads[1].in_flight, 9);
	reply(f, &asker, second, &newer);
	await_settled(f, 2);
	assert_int_equal(f->loads[1].in_flight, 20);
	reply(f, &asker, first, &sample);
	await_settled(f, 3);
	assert_int_equal(f->loads[1].in_flight, 20);
	assert_int_equal(f->loads[1].reports, 2);
	assert_int_equal(counts(f).refused, 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(an_answer_becomes_the_servers_load),
		TEST(what_is_no_answer_is_refused),
		TEST(strangers_are_not_heard),
		TEST(tags_are_verified),
		TEST(late_answers_count_unless_newer_ones_have_come),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
