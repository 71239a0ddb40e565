/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A server that sleeps instead of computing, so that two cores can play many servers: HTTP/1.1, so
 * many requests worked on at a time, the others in a line. It accepts and reads at once whatever
 * comes: so it knows exactly what it owes, and says so (truth.h, oracle.h).
 *
 * worker.c is its loop; the other files are what the loop calls.
 */
#ifndef PLIMSOLL_LAB_WORKER_H
#define PLIMSOLL_LAB_WORKER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "oracle.h"
#include "random.h"
#include "service_time.h"
#include "truth.h"
#include "values.h"
#include "work.h"

#define ANSWER_MAX 16384 /* of a body: what a socket takes in one go */
#define ANSWER_HEAD_MAX 512

struct worker {
	const char *name;
	struct sockaddr_in listen;
	struct in_addr balancer; /* its own connections are not its clients' */
	struct service_time service;
	struct random random;
	struct work work;
	struct truth own, *truth;
	struct oracle oracle;
	int64_t latency_ns; /* moving average */
	uint64_t from_balancer; /* connections of clients, ever */
	uint64_t now;
	int epoll, listener, control;
	char answer[2][ANSWER_HEAD_MAX + ANSWER_MAX]; /* [1] closes the connection */
	size_t answer_length[2];
};

/* Says what failed, and why; returns err. */
int fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Maps the file, or does without if path is NULL. Returns 0 or -errno, having said why. */
int truth_open(struct worker *worker, const char *path);

/* Between these two, and only there, the truth changes. */
void truth_begin(struct worker *worker);
void truth_end(struct worker *worker);

void truth_reset(struct worker *worker);

void accept_all(struct worker *worker);

/* What epoll says of a connection; `data` is what epoll was given. May close it. */
void connection_event(struct worker *worker, void *data, uint32_t events);

/* The job is done. May close its connection. */
void connection_answer(struct worker *worker, struct job *job);

/* Binds the socket, or does without if path is NULL. Returns 0 or -errno, having said why. */
int control_open(struct worker *worker, const char *path);

/* Obeys. Whoever asks from an address of his own gets an answer. */
void control_read(struct worker *worker);

#endif
