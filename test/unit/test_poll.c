/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The poller over real sockets, with agents that do as a test wants: whom it asks and how often,
 * which answers it believes, and what becomes of the server's load.
 */
#include "sandbox.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/socket.h>

#include "../count.h"
#include "balancer/poll.h"
#include "choose.h"
#include "clock.h"
#include "load_poll.h"

#define FIRST "127.0.0.11"
#define SECOND "127.0.0.12"
#define PORT 9571
#define MS 1000000ULL
/* What comes takes far less; what does not is waited for so long. */
#define PATIENCE_MS 2000
#define SILENCE_MS 60
#define NEVER_AGAIN (3600 * 1000 * MS)

struct fixture {
	struct event_base *base;
	struct config config;
	struct service_config services[2];
	struct backend_config backends[2];
	struct member members[2];
	struct balanced_service balanced[2];
	struct load loads[3]; /* 1 and 2 are the servers' */
	struct dataplane dataplane;
	struct poller *poller;
	int agent; /* the first server's socket */
};

static struct in_addr address(const char *text)
{
	struct in_addr value;

	assert_int_equal(inet_pton(AF_INET, text, &value), 1);
	return value;
}

static struct ip_address backend(const char *text)
{
	return address_of_ipv4(address(text));
}

/* Two services, of which one is polled, with two servers each. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (!f)
		return -1;
	f->agent = -1;
	f->backends[0].address = backend(FIRST);
	f->backends[1].address = backend(SECOND);
	for (size_t i = 0; i < 2; i++) {
		f->members[i] = (struct member){
			.config = &f->backends[i],
			.index = (uint32_t)i + 7,
			.server = (uint32_t)i + 1,
		};
		f->services[i] = (struct service_config){
			.poll_interval_ns = NEVER_AGAIN,
			.poll_port = PORT,
			.backends = f->backends,
			.backend_count = 2,
		};
		f->balanced[i].config = &f->services[i];
		f->balanced[i].members = f->members;
	}
	f->services[0].feedback = FEEDBACK_POLL;
	f->services[1].feedback = FEEDBACK_IN_BAND;
	f->config.services = f->services;
	f->config.service_count = 2;
	f->dataplane = (struct dataplane){
		.config = &f->config,
		.services = f->balanced,
		.loads = f->loads,
	};
	f->base = event_base_new();
	return f->base ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	poll_close(f->poller);
	event_base_free(f->base);
	if (f->agent >= 0)
		close(f->agent);
	free(f);
	return 0;
}

static int bound(const char *own, uint16_t port, int type)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = address(own),
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	int yes = 1;

	assert_true(fd >= 0);
	/* Connections of the tests before may still be remembered; datagrams' ports are not shared. */
	if (type == SOCK_STREAM)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static void start(struct fixture *f)
{
	assert_int_equal(poll_open(f->base, &f->dataplane, &f->poller), 0);
	assert_non_null(f->poller);
}

/* With one agent, the first's, for datagrams; every poll_interval is the test's. */
static void start_reports(struct fixture *f, uint64_t interval_ns)
{
	f->services[0].poll_interval_ns = interval_ns;
	f->services[0].backend_count = 1;
	f->agent = bound(FIRST, PORT, SOCK_DGRAM);
	start(f);
}

static struct poll_counts counts(const struct fixture *f)
{
	return poll_counts_of(f->poller, &f->services[0], backend(FIRST));
}

/* Lets the poller run until there is something to read, or the time is over. */
static bool readable(struct fixture *f, int fd, int milliseconds)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};

	for (uint64_t end = now_ns() + (uint64_t)milliseconds * MS; now_ns() < end;) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (poll(&wanted, 1, 1))
			return true;
	}
	return false;
}

static void run_for(struct fixture *f, int milliseconds)
{
	for (uint64_t end = now_ns() + (uint64_t)milliseconds * MS; now_ns() < end;) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(200);
	}
}

static uint64_t settled(const struct poll_counts *all)
{
	return all->answers + all->refused;
}

/* Lets the poller run until it has judged so many answers. */
static void await_settled(struct fixture *f, uint64_t answers)
{
	struct poll_counts now = counts(f);

	for (int i = 0; i < PATIENCE_MS && settled(&now) < answers; i++) {
		run_for(f, 1);
		now = counts(f);
	}
	assert_int_equal(settled(&now), answers);
}

/* The number of the next request, and who asks. */
static uint32_t request(struct fixture *f, struct sockaddr_in *asker)
{
	socklen_t length = sizeof(*asker);
	struct load_poll poll;

	assert_true(readable(f, f->agent, PATIENCE_MS));
	assert_int_equal(recvfrom(f->agent, &poll, sizeof(poll), MSG_TRUNC,
				  (struct sockaddr *)asker, &length),
			 LOAD_POLL_REQUEST_LENGTH);
	assert_true(load_poll_is(&poll, LOAD_POLL_REQUEST_LENGTH, LOAD_POLL_REQUEST));
	return load_report_be32(poll.number);
}

static const struct load_report sample = {
	.sequence = 5000,
	.connections_seen = 7,
	.in_flight = 9,
	.utilisation = 32768,
	.accept_queue = 64,
	.latency = 1500,
};

static struct load_poll answer_to(uint32_t number, const struct load_report *report)
{
	struct load_poll poll;

	load_poll_encode(&poll, LOAD_POLL_ANSWER, number);
	load_report_encode(&poll.report, report);
	return poll;
}

static void reply_from(int fd, const struct sockaddr_in *asker, const void *bytes, size_t length)
{
	assert_int_equal(
		sendto(fd, bytes, length, 0, (const struct sockaddr *)asker, sizeof(*asker)),
		(ssize_t)length);
}

static void reply(struct fixture *f, const struct sockaddr_in *asker, uint32_t number,
		  const struct load_report *report)
{
	struct load_poll poll = answer_to(number, report);

	reply_from(f->agent, asker, &poll, LOAD_POLL_REQUEST_LENGTH + poll.report.length);
}

static void nobody_is_asked_without_need(void **state)
{
	struct fixture *f = *state;
	struct poll_counts none;

	f->services[0].feedback = FEEDBACK_NONE;
	assert_int_equal(poll_open(f->base, &f->dataplane, &f->poller), 0);
	assert_null(f->poller);
	none = counts(f);
	assert_int_equal(none.polls + none.answers + none.late + none.refused, 0);
	assert_int_equal(poll_strangers(f->poller), 0);
}

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

static void a_server_of_two_services_is_asked_once(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	int second;

	SANDBOX_REQUIRED();
	f->services[1].feedback = FEEDBACK_POLL;
	f->agent = bound(FIRST, PORT, SOCK_DGRAM);
	second = bound(SECOND, PORT, SOCK_DGRAM);
	start(f);
	request(f, &asker);
	assert_false(readable(f, f->agent, SILENCE_MS));
	assert_true(readable(f, second, PATIENCE_MS));
	assert_int_equal(counts(f).polls, 1);
	assert_int_equal(poll_counts_of(f->poller, &f->services[1], backend(FIRST)).polls, 1);
	assert_int_equal(poll_counts_of(f->poller, &f->services[1], backend(SECOND)).polls, 1);
	close(second);
}

/* By the shorter of two intervals, and not more often than that. */
static void intervals_are_kept(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	struct poll_counts all;

	SANDBOX_REQUIRED();
	f->services[1].feedback = FEEDBACK_POLL;
	f->services[1].poll_interval_ns = 10 * MS;
	start_reports(f, 500 * MS);
	for (uint64_t end = now_ns() + 1000 * MS; now_ns() < end;)
		if (readable(f, f->agent, 1))
			reply(f, &asker, request(f, &asker), &sample);
	all = counts(f);
	assert_in_range(all.polls, 20, 101); /* by the longer it would be 3 */
	/* The same report again and again is not a newer one. */
	assert_int_equal(f->loads[1].reports, 1);
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

/* No more than 256 are on the way; after that he is asked ten times a second until he answers. */
static void a_silent_agent_is_asked_less(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	uint32_t number = 0;

	SANDBOX_REQUIRED();
	start_reports(f, MS);
	while (readable(f, f->agent, 40))
		number = request(f, &asker);
	assert_in_range(counts(f).polls, 256, 262);
	run_for(f, 500);
	assert_in_range(counts(f).polls, 258, 275);
	while (readable(f, f->agent, 1))
		number = request(f, &asker);
	reply(f, &asker, number, &sample);
	run_for(f, 100);
	assert_true(counts(f).polls > 300);
}

/* 1000 servers that nobody has asked to be there: none holds up another. */
static void many_are_asked_in_slices(void **state)
{
	struct backend_config *backends = calloc(1000, sizeof(*backends));
	struct member *members = calloc(1000, sizeof(*members));
	struct fixture *f = *state;
	uint64_t polls = 0;

	SANDBOX_REQUIRED();
	assert_true(backends && members);
	for (uint32_t i = 0; i < 1000; i++) {
		backends[i].address = address_of_ipv4((struct in_addr){htonl(0x7f010000 + i)});
		members[i].config = &backends[i];
		members[i].server = 1;
	}
	f->services[0].backends = backends;
	f->services[0].backend_count = 1000;
	f->services[0].poll_interval_ns = 200 * MS;
	f->balanced[0].members = members;
	start(f);
	run_for(f, 1000);
	for (uint32_t i = 0; i < 1000; i++) {
		struct poll_counts all =
			poll_counts_of(f->poller, &f->services[0], backends[i].address);

		assert_in_range(all.polls, 1, 6);
		polls += all.polls;
	}
	assert_in_range(polls, 2000, 5100);
	free(backends);
	free(members);
}

/* ------------------------------------------------------------------- agent-check */

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

/* Unless it is told, by default one lost poll does not make a server unknown. */
static void staleness_fits_the_interval(void **state)
{
	static const struct {
		const char *keys;
		uint64_t stale_after_ns;
	} services[] = {
		{"", 1000 * MS},
		{"feedback: poll", 3000 * MS}, /* a second is the interval, by default */
		{"feedback: poll, poll_interval: 2s", 6000 * MS},
		{"feedback: poll, poll_interval: 10ms", 1000 * MS},
		{"feedback: poll, poll_interval: 2s, stale_after: 5s", 5000 * MS},
		{"feedback: in-band, poll_interval: 2s", 1000 * MS},
	};
	char text[256], path[] = "/tmp/test_poll.XXXXXX";
	struct config *config;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < COUNT(services); i++) {
		int length = snprintf(text, sizeof(text),
				      "interfaces: [eth0]\nservices:\n  - {address: 10.1.0.100:80, "
				      "%s%s backends: [{address: 10.1.0.3}]}\n",
				      services[i].keys, services[i].keys[0] ? "," : "");

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, text, (size_t)length, 0), length);
		assert_int_equal(config_load(path, CONFIG_BALANCER, &config, stderr), 0);
		assert_int_equal(config->services[0].stale_after_ns, services[i].stale_after_ns);
		config_free(config);
	}
	close(fd);
	unlink(path);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
		TEST(nobody_is_asked_without_need),
		TEST(an_answer_becomes_the_servers_load),
		TEST(a_server_of_two_services_is_asked_once),
		TEST(intervals_are_kept),
		TEST(what_is_no_answer_is_refused),
		TEST(strangers_are_not_heard),
		TEST(tags_are_verified),
		TEST(late_answers_count_unless_newer_ones_have_come),
		TEST(a_silent_agent_is_asked_less),
		TEST(many_are_asked_in_slices),
		TEST(a_line_becomes_the_servers_load),
		TEST(a_line_may_come_in_pieces),
		TEST(what_is_no_line_is_refused),
		TEST(a_hanging_agent_is_asked_once_at_a_time),
		TEST(a_dribbling_agent_is_given_up),
		TEST(a_closed_port_holds_up_nothing),
		TEST(both_ways_at_once),
		TEST(staleness_fits_the_interval),
#undef TEST
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
