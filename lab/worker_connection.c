/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The connections of a worker: from accept() to the answer. */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

#define REQUEST_MAX 2048
#define LATENCY_WEIGHT 8 /* a new sample counts 1/8 in the moving average */

struct connection {
	struct job job; /* first: a job is its connection */
	int fd;
	bool owes; /* an answer; or has not been asked yet */
	bool waits; /* a request has come, its answer has not left */
	bool closes; /* after this answer */
	bool client_done; /* no more requests will come */
	size_t used;
	char buffer[REQUEST_MAX];
};

static void connection_close(struct worker *worker, struct connection *connection)
{
	truth_begin(worker);
	worker->truth->connections--;
	worker->truth->owed -= connection->owes;
	if (connection->waits) {
		work_remove(&worker->work, &connection->job, worker->now);
		worker->truth->in_flight--;
		worker->truth->aborted++;
	}
	truth_end(worker);
	close(connection->fd);
	free(connection);
}

/* What was read is no request, or is one that we have no room for. */
static void connection_refuse(struct worker *worker, struct connection *connection)
{
	truth_begin(worker);
	worker->truth->refused++;
	truth_end(worker);
	connection_close(worker, connection);
}

/* Is there a whole request in the buffer? Then it gets in line. Returns false if it never will be. */
static bool connection_ask(struct worker *worker, struct connection *connection)
{
	size_t head = http_head(connection->buffer, connection->used);
	long body = head ? http_content_length(connection->buffer, head) : 0;
	size_t length = head + (body > 0 ? (size_t)body : 0);

	if (!head || length > connection->used)
		return connection->used < REQUEST_MAX;
	connection->closes = http_closes(connection->buffer, head);
	connection->used -= length;
	memmove(connection->buffer, connection->buffer + length, connection->used);
	connection->waits = true;
	truth_begin(worker);
	worker->truth->in_flight++;
	worker->truth->owed += !connection->owes;
	connection->owes = true;
	connection->job.work_ns = service_draw(&worker->service, &worker->random);
	work_add(&worker->work, &connection->job, worker->now);
	truth_end(worker);
	return true;
}

/* Reads all that has come. Returns whether the connection is still there. */
static bool connection_read(struct worker *worker, struct connection *connection, bool ends)
{
	ssize_t room = 0, length = 0;

	/* What leaves room has taken all there was, but for an end that has been told of already. */
	while (!connection->client_done && connection->used < REQUEST_MAX &&
	       (ends || length == room)) {
		room = REQUEST_MAX - (ssize_t)connection->used;
		length = recv(connection->fd, connection->buffer + connection->used, (size_t)room,
			      0);
		if (length < 0 && errno == EAGAIN)
			break;
		if (length < 0) {
			connection_close(worker, connection);
			return false;
		}
		connection->client_done = length == 0;
		connection->used += (size_t)length;
	}
	if (connection->waits)
		return true;
	if (!connection_ask(worker, connection)) {
		connection_refuse(worker, connection);
		return false;
	}
	if (connection->client_done && !connection->waits) {
		connection_close(worker, connection);
		return false;
	}
	return true;
}

void connection_answer(struct worker *worker, struct job *job)
{
	struct connection *connection = (struct connection *)job;
	struct truth *truth = worker->truth;
	uint64_t latency = worker->now - job->arrived_ns;
	size_t length = worker->answer_length[connection->closes];
	ssize_t sent =
		send(connection->fd, worker->answer[connection->closes], length, MSG_NOSIGNAL);

	connection->waits = false;
	connection->owes = false;
	worker->latency_ns += ((int64_t)latency - worker->latency_ns) / LATENCY_WEIGHT;
	truth_begin(worker);
	truth->in_flight--;
	truth->owed--;
	truth->answered++;
	truth->service_ns += job->work_ns;
	truth->latency_ns += latency;
	truth_end(worker);
	if (connection->closes || sent != (ssize_t)length)
		connection_close(worker, connection);
	else
		connection_read(worker, connection, true);
}

void connection_event(struct worker *worker, void *data, uint32_t events)
{
	struct connection *connection = data;

	if (events & (EPOLLERR | EPOLLHUP))
		connection_close(worker, connection);
	else
		connection_read(worker, connection, events & EPOLLRDHUP);
}

static void connection_accept(struct worker *worker, int fd, struct in_addr client)
{
	struct connection *connection = malloc(sizeof(*connection));
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

	if (!connection) {
		close(fd);
		return;
	}
	memset(connection, 0, offsetof(struct connection, buffer));
	connection->fd = fd;
	connection->owes = true;
	event.data.ptr = connection;
	truth_begin(worker);
	worker->truth->accepted++;
	worker->truth->connections++;
	worker->truth->owed++;
	worker->from_balancer += client.s_addr != worker->balancer.s_addr;
	truth_end(worker);
	/* First: the request has mostly come by now, and epoll need not say so. */
	if (connection_read(worker, connection, false) &&
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event))
		connection_close(worker, connection);
}

void accept_all(struct worker *worker)
{
	struct sockaddr_in client = {0};

	for (;;) {
		socklen_t length = sizeof(client);
		int fd = accept4(worker->listener, (struct sockaddr *)&client, &length,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			connection_accept(worker, fd, client.sin_addr);
		else if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}
