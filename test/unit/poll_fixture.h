/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A poller over real sockets, with agents that do as a test wants. */
#ifndef PLIMSOLL_TEST_POLL_FIXTURE_H
#define PLIMSOLL_TEST_POLL_FIXTURE_H

#include "sandbox.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/socket.h>

#include "balancer/poll.h"
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

static inline struct in_addr address(const char *text)
{
	struct in_addr value;

	assert_int_equal(inet_pton(AF_INET, text, &value), 1);
	return value;
}

static inline struct ip_address backend(const char *text)
{
	return address_of_ipv4(address(text));
}

/* Two services, of which one is polled, with two servers each. */
static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	poll_close(f->poller);
	event_base_free(f->base);
	if (f->agent >= 0)
		close(f->agent);
	free(f);
	return 0;
}

static inline int bound(const char *own, uint16_t port, int type)
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

static inline void start(struct fixture *f)
{
	assert_int_equal(poll_open(f->base, &f->dataplane, &f->poller), 0);
	assert_non_null(f->poller);
}

/* With one agent, the first's, for datagrams; every poll_interval is the test's. */
static inline void start_reports(struct fixture *f, uint64_t interval_ns)
{
	f->services[0].poll_interval_ns = interval_ns;
	f->services[0].backend_count = 1;
	f->agent = bound(FIRST, PORT, SOCK_DGRAM);
	start(f);
}

static inline struct poll_counts counts(const struct fixture *f)
{
	return poll_counts_of(f->poller, &f->services[0], backend(FIRST));
}

/* Lets the poller run until there is something to read, or the time is over. */
static inline bool readable(struct fixture *f, int fd, int milliseconds)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};

	for (uint64_t end = now_ns() + (uint64_t)milliseconds * MS; now_ns() < end;) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (poll(&wanted, 1, 1))
			return true;
	}
	return false;
}

static inline void run_for(struct fixture *f, int milliseconds)
{
	for (uint64_t end = now_ns() + (uint64_t)milliseconds * MS; now_ns() < end;) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(200);
	}
}

static inline uint64_t settled(const struct poll_counts *all)
{
	return all->answers + all->refused;
}

/* Lets the poller run until it has judged so many answers. */
static inline void await_settled(struct fixture *f, uint64_t answers)
{
	struct poll_counts now = counts(f);

	for (int i = 0; i < PATIENCE_MS && settled(&now) < answers; i++) {
		run_for(f, 1);
		now = counts(f);
	}
	assert_int_equal(settled(&now), answers);
}

/* The number of the next request, and who asks. */
static inline uint32_t request(struct fixture *f, struct sockaddr_in *asker)
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

static inline struct load_poll answer_to(uint32_t number, const struct load_report *report)
{
	struct load_poll poll;

	load_poll_encode(&poll, LOAD_POLL_ANSWER, number);
	load_report_encode(&poll.report, report);
	return poll;
}

static inline void reply_from(int fd, const struct sockaddr_in *asker, const void *bytes,
			      size_t length)
{
	assert_int_equal(
		sendto(fd, bytes, length, 0, (const struct sockaddr *)asker, sizeof(*asker)),
		(ssize_t)length);
}

static inline void reply(struct fixture *f, const struct sockaddr_in *asker, uint32_t number,
			 const struct load_report *report)
{
	struct load_poll poll = answer_to(number, report);

	reply_from(f->agent, asker, &poll, LOAD_POLL_REQUEST_LENGTH + poll.report.length);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

#endif
