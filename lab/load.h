/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The load: a new connection for every request, from one thread. Closed loop: so many clients, each
 * asks again when it has been answered. Open loop: requests are due at random times (Poisson),
 * whatever becomes of those before; latency counts from when a request was due, so that a load
 * generator that has to wait does not hide how long its clients would have waited.
 *
 * load.c is its loop and decides when requests begin; load_request.c is a request's life;
 * load_result.c keeps what came out and prints it.
 */
#ifndef PLIMSOLL_LAB_LOAD_H
#define PLIMSOLL_LAB_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "random.h"
#include "values.h"

#define HEAD_MAX 1024
#define SERVER_NAMES_MAX 256
#define SERVER_NAME_MAX 64
#define SOURCES_MAX 64

enum failure {
	FAILURE_CONNECT, /* refused, unreachable */
	FAILURE_RESET, /* or ended in the middle of the answer */
	FAILURE_TIMEOUT,
	FAILURE_STATUS, /* answered, but not with 200 */
	FAILURE_COUNT
};

struct samples {
	uint64_t *ns;
	size_t count, room;
};

struct server_count {
	char name[SERVER_NAME_MAX];
	uint64_t answered; /* in the time that counts */
	uint32_t *series; /* connections begun, by bin, in all the time; NULL if not asked for */
};

struct result {
	struct samples latencies;
	uint64_t answered;
	uint64_t failures[FAILURE_COUNT];
	uint64_t unstarted; /* were due, but too many were outstanding */
	uint64_t unanswered; /* when nobody would wait any longer */
	uint64_t started;
	uint64_t lag_sum_ns,
		lag_max_ns; /* from due to begun, where nothing but the generator was late */
	unsigned int servers;
	struct server_count server[SERVER_NAMES_MAX];
};

struct request {
	int fd;
	enum { REQUEST_CONNECTING, REQUEST_ASKED, REQUEST_ENDING } state;
	uint64_t due_ns;
	uint64_t started_ns;
	bool headed; /* the answer's head has come */
	bool failed_status;
	long body_left; /* -1: up to the end of the connection */
	int server; /* -1: not known */
	struct request *next, *previous; /* in order of start */
	size_t used;
	char head[HEAD_MAX];
};

struct generator {
	struct sockaddr_in target;
	const char *path;
	struct in_addr sources[SOURCES_MAX];
	unsigned int source_count;
	uint64_t clients; /* of the closed loop; 0 = open */
	double rate; /* of the open loop, per second */
	uint64_t outstanding_max;
	uint64_t seed;
	double duration_ns, warmup_ns, drain_ns, timeout_ns, series_ns;
	uint64_t start_ns; /* 0 = at once */

	char question[1024];
	size_t question_length;
	struct random random;
	int epoll;
	uint64_t now;
	uint64_t measure_ns, end_ns; /* what counts is from here to there */
	double next_ns; /* open loop: when the next request is due; of the start */
	bool limited; /* requests are due that may not begin yet */
	uint64_t outstanding;
	uint64_t paused; /* closed loop: clients that take a breath after an error */
	struct request *first, *last; /* all that have a socket */
	struct result result;
};

/* Says what failed, and why; returns err. */
int fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Begins a request that was due then. */
void request_start(struct generator *load, uint64_t due_ns);

/* What epoll says of it. */
void request_event(struct generator *load, struct request *request, uint32_t events);

/* Ends all that have waited too long. */
void request_expire(struct generator *load);

/* Ends all, now that time is up. */
void request_abandon(struct generator *load);

/* request_start() and the others call these, each request once. Defined by the loop. */
void load_answered(struct generator *load, const struct request *request);
void load_failed(struct generator *load, const struct request *request, enum failure failure);

void result_answered(struct generator *load, const struct request *request);
void result_failed(struct generator *load, const struct request *request, enum failure failure);

/* In the open loop, those who were not answered have waited at least this long. */
void result_waited(struct generator *load, uint64_t due_ns);

/* The number of the server of that name; length as in the answer's head. */
int result_server(struct generator *load, const char *name, size_t length);

/* One line of JSON. */
void result_print(struct generator *load, FILE *file);

#endif
