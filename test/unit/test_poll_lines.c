/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The poller and those who speak the agent-check protocol: a line in a connection of its own. */
#include "poll_fixture.h"

#include "../count.h"

static void start_lines(struct fixture *f, uint64_t interval_ns)
{
	f->services[0].poll_protocol = POLL_AGENT_CHECK;
	f->services[0].poll_interval_ns = interval_ns;
	f->services[0].backend_count = 1;
	f->agent = bound(FIRST, PORT, SOCK_STREAM);
	start(f);
}

/* The next connection. */
static int caller(struct fixture *f)
{
	int fd;

	assert_true(readable(f, f->agent, PATIENCE_MS));
	fd = accept(f->agent, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *bytes, size_t length)
{
	assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void a_line_becomes_the_servers_load(void **state)
{
	static const struct {
		const char *line;
		uint16_t utilisation;
		uint8_t flags;
	} lines[] = {
		{"40%\n", 39321, LOAD_REPORT_APPLICATION},
		{"100%\n", 0, LOAD_REPORT_APPLICATION},
		{"150% up\n", 0, LOAD_REPORT_APPLICATION},
		{"1%\n", 64879, LOAD_REPORT_APPLICATION},
		{"down 90%\n", 65535, LOAD_REPORT_APPLICATION | LOAD_REPORT_DRAINING},
		{"90%\n", 65535, LOAD_REPORT_APPLICATION | LOAD_REPORT_DRAINING}, /* down still */
		{"up\n", 6553, LOAD_REPORT_APPLICATION},
		{"maint\n", 65535, LOAD_REPORT_APPLICATION | LOAD_REPORT_DRAINING},
		{"ready\n", 6553, LOAD_REPORT_APPLICATION},
		{"0%\n", 65535, LOAD_REPORT_APPLICATION | LOAD_REPORT_DRAINING},
	};
	struct fixture *f = *state;
	int fd;

	SANDBOX_REQUIRED();
	start_lines(f, 5 * MS);
	for (uint32_t i = 0; i < COUNT(lines); i++) {
		f->loads[1].connections_sent += 100;
		fd = caller(f);
		say(fd, lines[i].line, strlen(lines[i].line));
		await_settled(f, i + 1);
		assert_int_equal(f->loads[1].utilisation, lines[i].utilisation);
		assert_int_equal(f->loads[1].flags, lines[i].flags);
		assert_int_equal(f->loads[1].in_flight, 0);
		assert_int_equal(f->loads[1].reports, i + 1);
		/* What was sent before the answer is taken to have arrived. */
		assert_int_equal(load_pending(&f->loads[1]), 0);
		assert_true(load_known(&f->loads[1], now_ns(), 1000 * MS));
		close(fd);
	}
	f->loads[1].connections_sent += 3;
	assert_int_equal(load_pending(&f->loads[1]), 3);
}

static void a_line_may_come_in_pieces(void **state)
{
	struct fixture *f = *state;
	int fd;

	SANDBOX_REQUIRED();
	start_lines(f, NEVER_AGAIN);
	fd = caller(f);
	say(fd, "4", 1);
	run_for(f, 20);
	say(fd, "0", 1);
	run_for(f, 20);
	assert_int_equal(counts(f).answers + counts(f).refused, 0);
	say(fd, "%\r\n", 3);
	await_settled(f, 1);
	assert_int_equal(f->loads[1].utilisation, 39321);
	assert_int_equal(counts(f).late, 0);
	close(fd);
}

static void what_is_no_line_is_refused(void **state)
{
	static const char overlong[4096] = {'4', '0', '%'};
	static const struct {
		const char *bytes;
		size_t length;
	} wrongs[] = {
		{"", 0}, /* closed without a word */
		{"40%", 3}, /* closed before the end of the line */
		{"\n", 1},
		{"40\n", 3},
		{"hello, world\n", 13},
		{"\x16\x03\x01\x02\x00\x01\x00\n", 8},
		{overlong, sizeof(overlong)},
	};
	struct fixture *f = *state;
	int fd;

	SANDBOX_REQUIRED();
	start_lines(f, 5 * MS);
	for (size_t i = 0; i < COUNT(wrongs); i++) {
		fd = caller(f);
		say(fd, wrongs[i].bytes, wrongs[i].length);
		shutdown(fd, SHUT_WR);
		await_settled(f, i + 1);
		close(fd);
	}
	assert_int_equal(counts(f).refused, COUNT(wrongs));
	assert_int_equal(f->loads[1].received_ns, 0);
	fd = caller(f);
	say(fd, "40%\n", 4);
	await_settled(f, COUNT(wrongs) + 1);
	assert_int_equal(f->loads[1].utilisation, 39321);
	close(fd);
}

/* He has accepted and says nothing: one connection, which is given up after a second. */
static void a_hanging_agent_is_asked_once_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct pollfd wanted;
	int fd;

	SANDBOX_REQUIRED();
	start_lines(f, 10 * MS);
	fd = caller(f);
	run_for(f, 300);
	assert_int_equal(counts(f).polls, 1);
	for (int i = 0; i < 60 && counts(f).polls == 1; i++)
		run_for(f, 50);
	wanted = (struct pollfd){.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&wanted, 1, 0), 1);
	close(fd);
	fd = caller(f);
	say(fd, "40%\n", 4);
	await_settled(f, 1);
	close(fd);
}

/* Byte by byte, as slowly as may be, does not make the second longer. */
static void a_dribbling_agent_is_given_up(void **state)
{
	struct fixture *f = *state;
	int fd;

	SANDBOX_REQUIRED();
	start_lines(f, 10 * MS);
	fd = caller(f);
	for (int i = 0; i < 50 && counts(f).polls == 1; i++) {
		send(fd, "#", 1, MSG_NOSIGNAL);
		run_for(f, 50);
	}
	assert_true(counts(f).polls > 1);
	assert_int_equal(f->loads[1].received_ns, 0);
	close(fd);
}

static void a_closed_port_holds_up_nothing(void **state)
{
	struct fixture *f = *state;

	SANDBOX_REQUIRED();
	start_lines(f, 5 * MS);
	close(f->agent);
	f->agent = -1;
	run_for(f, 200);
	assert_in_range(counts(f).polls, 10, 41);
	assert_int_equal(counts(f).answers, 0);
	assert_int_equal(f->loads[1].received_ns, 0);
}

/* The same server may be asked in both ways: each on its own. */
static void both_ways_at_once(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	int lines, fd;

	SANDBOX_REQUIRED();
	f->services[1] = f->services[0];
	f->services[1].backend_count = 1;
	f->services[1].poll_protocol = POLL_AGENT_CHECK;
	lines = bound(FIRST, PORT, SOCK_STREAM);
	start_reports(f, NEVER_AGAIN);
	reply(f, &asker, request(f, &asker), &sample);
	await_settled(f, 1);
	assert_true(readable(f, lines, PATIENCE_MS));
	fd = accept(lines, NULL, NULL);
	say(fd, "40%\n", 4);
	for (int i = 0; i < PATIENCE_MS && f->loads[1].reports < 2; i++)
		run_for(f, 1);
	assert_int_equal(f->loads[1].utilisation, 39321);
	assert_int_equal(counts(f).polls, 1);
	assert_int_equal(poll_counts_of(f->poller, &f->services[1], backend(FIRST)).answers, 1);
	close(fd);
	close(lines);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(a_line_becomes_the_servers_load),
		TEST(a_line_may_come_in_pieces),
		TEST(what_is_no_line_is_refused),
		TEST(a_hanging_agent_is_asked_once_at_a_time),
		TEST(a_dribbling_agent_is_given_up),
		TEST(a_closed_port_holds_up_nothing),
		TEST(both_ways_at_once),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
