/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The agent over real sockets, without the kernel's programs behind it: who asks properly is told
 * the load, in both languages; who does not is not answered and holds up nobody.
 */
#include "sandbox.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/socket.h>

#include "../count.h"
#include "agent_check.h"
#include "clock.h"
#include "load_poll.h"
#include "server/agent.h"
#include "server_load.h"

#define AGENT "127.0.0.11"
#define BALANCER "127.0.0.2"
#define OTHER_BALANCER "127.0.0.3"
#define STRANGER "127.0.0.99"
#define PORT 9571
/* An answer that comes takes far less; one that does not is waited for so long. */
#define ANSWER_MS 2000
#define SILENCE_MS 50

struct fixture {
	struct event_base *base;
	struct config config;
	struct ip_address balancers[2];
	struct application application;
	struct metrics metrics;
	struct peer peers[BALANCERS_MAX];
	struct server_dataplane dataplane;
	struct agent *agent;
};

static struct in_addr address(const char *text)
{
	struct in_addr value;

	assert_int_equal(inet_pton(AF_INET, text, &value), 1);
	return value;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (!f)
		return -1;
	f->balancers[0] = address_of_ipv4(address(OTHER_BALANCER));
	f->balancers[1] = address_of_ipv4(address(BALANCER));
	f->config.balancers = f->balancers;
	f->config.balancer_count = COUNT(f->balancers);
	f->config.agent_listen = (struct endpoint){address_of_ipv4(address(AGENT)), PORT};
	f->metrics = (struct metrics){
		.in_flight = 3,
		.utilisation = 32768,
		.accept_queue = 64,
	};
	/* At four in flight, 1000 ticks of 2.048 us. */
	f->metrics.latency[2] = latency_word(1000 << LATENCY_FRACTION_SHIFT, 0, now_ns());
	f->peers[0] = (struct peer){
		.address = f->balancers[0],
		.sequence = 100,
		.connections_seen = 1000,
	};
	f->peers[1] = (struct peer){
		.address = f->balancers[1],
		.sequence = 200,
		.connections_seen = 2000,
	};
	f->dataplane = (struct server_dataplane){
		.config = &f->config,
		.settings = {.server_id = address("10.1.0.11").s_addr, .cpu_count = 2},
		.metrics = &f->metrics,
		.application = &f->application,
		.peers = f->peers,
	};
	f->base = event_base_new();
	return f->base ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	agent_close(f->agent);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	assert_int_equal(agent_open(f->base, &f->dataplane, &f->agent), 0);
}

static struct sockaddr_in socket_address(const char *text, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = address(text),
	};
}

/* A socket at that address, connected to the agent. */
static int connect_from(const char *own, const char *to, int type)
{
	struct sockaddr_in from = socket_address(own, 0), agent = socket_address(to, PORT);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&agent, sizeof(agent)), 0);
	return fd;
}

/* Lets the agent run until there is something to read, or an end, or the time is over. */
static bool readable(struct fixture *f, int fd, int milliseconds)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};
	int left;

	for (left = milliseconds; left > 0; left--) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (poll(&wanted, 1, 1))
			return true;
	}
	return false;
}

static void ask(int fd, uint32_t number)
{
	struct load_poll poll;

	load_poll_encode(&poll, LOAD_POLL_REQUEST, number);
	assert_int_equal(send(fd, &poll, LOAD_POLL_REQUEST_LENGTH, 0), LOAD_POLL_REQUEST_LENGTH);
}

/* The next answer. Returns its length. */
static size_t receive(struct fixture *f, int fd, struct load_poll *poll, struct load_report *report)
{
	ssize_t length;

	assert_true(readable(f, fd, ANSWER_MS));
	length = recv(fd, poll, sizeof(*poll), MSG_TRUNC);
	assert_true(length > 0 && load_poll_is(poll, (size_t)length, LOAD_POLL_ANSWER));
	assert_int_equal(load_report_decode(&poll->report, report), LOAD_REPORT_OK);
	return (size_t)length;
}

static void a_balancer_is_told_the_load(void **state)
{
	struct fixture *f = *state;
	struct load_report report;
	struct load_poll poll;
	int fd;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(BALANCER, AGENT, SOCK_DGRAM);
	ask(fd, 0xcafe0001);
	assert_int_equal(receive(f, fd, &poll, &report), 8 + 24);
	assert_int_equal(load_report_be32(poll.number), 0xcafe0001);
	assert_int_equal(report.server_id, address("10.1.0.11").s_addr);
	assert_int_equal(report.in_flight, 3);
	assert_int_equal(report.utilisation, 32768);
	assert_int_equal(load_report_float_decode(report.latency), 2048);
	assert_int_equal(report.accept_queue, 64);
	assert_int_equal(report.connections_seen, 2000);
	assert_int_equal(report.flags, 0);
	/* The counter is the one by which the kernel numbers what it writes into packets. */
	assert_int_equal(report.sequence, 201);
	assert_int_equal(f->peers[1].sequence, 201);
	assert_int_equal(f->peers[0].sequence, 100);

	f->metrics.in_flight = 4;
	f->peers[1].sequence = 300;
	ask(fd, 0xcafe0002);
	receive(f, fd, &poll, &report);
	assert_int_equal(report.sequence, 301);
	assert_int_equal(report.in_flight, 4);
	close(fd);
}

static void in_flight_is_kept_in_bounds(void **state)
{
	static const struct {
		int64_t metric;
		uint16_t told;
	} counts[] = {{-1, 0}, {0, 0}, {65535, 65535}, {65536, 65535}, {INT64_MAX, 65535}};
	struct fixture *f = *state;
	struct load_report report;
	struct load_poll poll;
	int fd;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(BALANCER, AGENT, SOCK_DGRAM);
	for (size_t i = 0; i < COUNT(counts); i++) {
		f->metrics.in_flight = counts[i].metric;
		ask(fd, 1);
		receive(f, fd, &poll, &report);
		assert_int_equal(report.in_flight, counts[i].told);
		/* Nothing was reset. */
		assert_int_not_equal(report.accept_queue, 65535);
	}
	close(fd);
}

/* With flag R a balancer does not go by the number of its connections, which nobody has counted. */
static void a_stranger_is_told_the_load_but_no_count(void **state)
{
	struct fixture *f = *state;
	struct load_report report = {0};
	struct load_poll poll;
	uint32_t sequence;
	int fd;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(STRANGER, AGENT, SOCK_DGRAM);
	ask(fd, 1);
	receive(f, fd, &poll, &report);
	sequence = report.sequence;
	assert_int_equal(report.in_flight, 3);
	assert_int_equal(report.connections_seen, 0);
	assert_int_equal(report.flags, LOAD_REPORT_RESTARTED);
	ask(fd, 2);
	receive(f, fd, &poll, &report);
	assert_int_equal(report.sequence, sequence + 1);
	assert_int_equal(f->peers[0].sequence + f->peers[1].sequence, 300);
	close(fd);
}

static void a_restart_is_told(void **state)
{
	struct fixture *f = *state;
	struct load_report report;
	struct load_poll poll;
	int fd;

	SANDBOX_REQUIRED();
	f->dataplane.settings.restarted_until_ns = UINT64_MAX;
	start(f);
	fd = connect_from(BALANCER, AGENT, SOCK_DGRAM);
	ask(fd, 1);
	receive(f, fd, &poll, &report);
	assert_int_equal(report.flags, LOAD_REPORT_RESTARTED);
	assert_int_equal(report.connections_seen, 2000);
	close(fd);
}

/* Asked at one of several addresses, the agent answers from that one, and the tag says so. */
static void a_tag_proves_the_answer(void **state)
{
	struct load_report_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	struct fixture *f = *state;
	struct load_report report;
	struct load_poll poll;
	int fd;

	SANDBOX_REQUIRED();
	f->dataplane.settings.keyed = 1;
	memcpy(f->dataplane.settings.report_key, key.word, sizeof(key.word));
	f->config.agent_listen.address = address_of_ipv4((struct in_addr){INADDR_ANY});
	start(f);
	fd = connect_from(BALANCER, "127.0.0.12", SOCK_DGRAM);
	ask(fd, 77);
	assert_int_equal(receive(f, fd, &poll, &report), 8 + 32);
	assert_int_equal(report.flags, LOAD_REPORT_KEYED);
	assert_true(poll.report.tag == load_report_tag_ipv4(&poll.report, &key,
							    address("127.0.0.12").s_addr,
							    address(BALANCER).s_addr));
	close(fd);
}

static void what_is_no_request_is_not_answered(void **state)
{
	static const struct {
		uint8_t bytes[9];
		size_t length;
	} wrongs[] = {
		{{0}, 0},
		{{0xb7}, 1},
		{{0xb7, 0x11, 0, 0, 1, 2, 3}, 7},
		{{0xb7, 0x11, 0, 0, 1, 2, 3, 4, 5}, 9},
		{{0, 0, 0, 0, 0, 0, 0, 0}, 8},
		{{0xb6, 0x11, 0, 0, 1, 2, 3, 4}, 8}, /* another magic */
		{{0xb7, 0x21, 0, 0, 1, 2, 3, 4}, 8}, /* a version to come */
		{{0xb7, 0x01, 0, 0, 1, 2, 3, 4}, 8},
		{{0xb7, 0x12, 0, 0, 1, 2, 3, 4}, 8}, /* an answer: two agents would talk for ever */
		{{0xb7, 0x10, 0, 0, 1, 2, 3, 4}, 8},
		{{0xb7, 0x13, 0, 0, 1, 2, 3, 4}, 8},
	};
	static const uint8_t flood[9000] = {0xb7, 0x11};
	struct fixture *f = *state;
	struct load_report report;
	struct load_poll poll;
	int fd;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(BALANCER, AGENT, SOCK_DGRAM);
	for (size_t i = 0; i < COUNT(wrongs); i++)
		assert_int_equal(send(fd, wrongs[i].bytes, wrongs[i].length, 0),
				 (ssize_t)wrongs[i].length);
	assert_int_equal(send(fd, flood, sizeof(flood), 0), (ssize_t)sizeof(flood));
	assert_false(readable(f, fd, SILENCE_MS));
	/* The 16 bits between are not looked at, so that they can mean something one day. */
	assert_int_equal(send(fd, "\xb7\x11\xff\xff\x00\x00\x00\x07", 8, 0), 8);
	receive(f, fd, &poll, &report);
	assert_int_equal(load_report_be32(poll.number), 7);
	assert_int_equal(report.sequence, 201);
	close(fd);
}

static void many_requests_are_all_answered(void **state)
{
	struct fixture *f = *state;
	struct load_report report;
	struct load_poll poll;
	int fd;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(BALANCER, AGENT, SOCK_DGRAM);
	for (uint32_t i = 0; i < 100; i++)
		ask(fd, i);
	for (uint32_t i = 0; i < 100; i++) {
		receive(f, fd, &poll, &report);
		assert_int_equal(load_report_be32(poll.number), i);
		assert_int_equal(report.sequence, 201 + i);
	}
	close(fd);
}

/* Reads to the end. */
static void expect_line(struct fixture *f, int fd, const char *expected)
{
	char line[AGENT_CHECK_LINE_MAX] = "";
	size_t length = 0;
	ssize_t more;

	do {
		assert_true(readable(f, fd, ANSWER_MS));
		more = recv(fd, line + length, sizeof(line) - 1 - length, 0);
		assert_true(more >= 0);
		length += (size_t)more;
	} while (more);
	assert_string_equal(line, expected);
}

/* Half idle, and three requests on two CPUs: 0.5 * 32 / (32 + 3). */
static void a_proxy_is_told_its_weight(void **state)
{
	struct fixture *f = *state;
	int fd;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(STRANGER, AGENT, SOCK_STREAM);
	expect_line(f, fd, "46%\n");
	close(fd);
	f->metrics.in_flight = 0;
	f->metrics.utilisation = 0;
	fd = connect_from(STRANGER, AGENT, SOCK_STREAM);
	assert_int_equal(send(fd, "state\n", 6, MSG_NOSIGNAL), 6);
	expect_line(f, fd, "100%\n");
	close(fd);
}

static size_t open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void who_does_not_leave_is_left(void **state)
{
	struct fixture *f = *state;
	int fds[200];
	size_t files;

	SANDBOX_REQUIRED();
	start(f);
	files = open_files();
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = connect_from(STRANGER, AGENT, SOCK_STREAM);
		expect_line(f, fds[i], "46%\n");
	}
	assert_true(open_files() - files <= COUNT(fds) + 64);
	for (int i = 0; i < 60 && open_files() > files + COUNT(fds); i++) {
		usleep(50000);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(open_files(), files + COUNT(fds));
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
}

static void who_floods_is_cut_off(void **state)
{
	static const char flood[65536];
	struct fixture *f = *state;
	ssize_t sent = 0;
	int fd, other;

	SANDBOX_REQUIRED();
	start(f);
	fd = connect_from(STRANGER, AGENT, SOCK_STREAM);
	for (int i = 0; i < 1000 && sent >= 0; i++) {
		sent = send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EAGAIN)
			sent = 0;
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(sent, -1);
	other = connect_from(STRANGER, AGENT, SOCK_STREAM);
	expect_line(f, other, "46%\n");
	close(other);
	close(fd);
}

static void a_taken_port_is_said(void **state)
{
	struct sockaddr_in own = socket_address(AGENT, PORT);
	struct fixture *f = *state;
	char text[256];
	int fd, err, yes = 1;

	SANDBOX_REQUIRED();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	/* Connections of the tests before are still remembered. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(listen(fd, 1), 0);
	capture_begin();
	err = agent_open(f->base, &f->dataplane, &f->agent);
	capture_end(text, sizeof(text));
	assert_int_equal(err, -EADDRINUSE);
	assert_null(f->agent);
	assert_non_null(strstr(text, "agent_listen: \"127.0.0.11:9571\": Address already in use"));
	close(fd);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
		TEST(a_balancer_is_told_the_load),
		TEST(in_flight_is_kept_in_bounds),
		TEST(a_stranger_is_told_the_load_but_no_count),
		TEST(a_restart_is_told),
		TEST(a_tag_proves_the_answer),
		TEST(what_is_no_request_is_not_answered),
		TEST(many_requests_are_all_answered),
		TEST(a_proxy_is_told_its_weight),
		TEST(who_does_not_leave_is_left),
		TEST(who_floods_is_cut_off),
		TEST(a_taken_port_is_said),
#undef TEST
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
