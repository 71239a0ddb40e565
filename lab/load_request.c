/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

#define READ_MAX 65536

static void list_enter(struct generator *load, struct request *request)
{
	request->next = NULL;
	request->previous = load->last;
	*(load->last ? &load->last->next : &load->first) = request;
	load->last = request;
}

static void list_leave(struct generator *load, struct request *request)
{
	*(request->previous ? &request->previous->next : &load->first) = request->next;
	*(request->next ? &request->next->previous : &load->last) = request->previous;
}

static void request_free(struct generator *load, struct request *request)
{
	list_leave(load, request);
	if (request->fd >= 0)
		close(request->fd);
	free(request);
}

static void request_fail(struct generator *load, struct request *request, enum failure failure)
{
	/* Its answer is counted already: how the connection ends is nobody's concern. */
	if (request->state != REQUEST_ENDING)
		load_failed(load, request, failure);
	request_free(load, request);
}

/* The answer is here. The server is to close first: the port is free again when it has. */
static void request_answer(struct generator *load, struct request *request)
{
	request->state = REQUEST_ENDING;
	if (request->failed_status)
		load_failed(load, request, FAILURE_STATUS);
	else
		load_answered(load, request);
}

static void read_head(struct generator *load, struct request *request, size_t head)
{
	const char *server = http_field(request->head, head, "X-Server");

	request->headed = true;
	request->failed_status = head < 12 || memcmp(request->head + 8, " 200", 4) != 0;
	request->body_left = http_content_length(request->head, head);
	if (server)
		request->server = result_server(load, server, strcspn(server, " \r"));
}

/* Takes what has come. Returns -EPROTO if it is no answer. */
static int request_take(struct generator *load, struct request *request, const char *data,
			size_t length)
{
	size_t part = length < HEAD_MAX - request->used ? length : HEAD_MAX - request->used;
	size_t head;

	if (!request->headed) {
		memcpy(request->head + request->used, data, part);
		head = http_head(request->head, request->used + part);
		if (!head && request->used + part == HEAD_MAX)
			return -EPROTO;
		if (!head) {
			request->used += part;
			return 0;
		}
		read_head(load, request, head);
		length -= head - request->used;
	}
	if (request->body_left >= 0) {
		if (length > (size_t)request->body_left)
			return -EPROTO;
		request->body_left -= (long)length;
		if (!request->body_left)
			request_answer(load, request);
	}
	return 0;
}

/* The server has closed. */
static void request_end(struct generator *load, struct request *request)
{
	if (request->state == REQUEST_ASKED && request->headed && request->body_left < 0)
		request_answer(load, request);
	request_fail(load, request, FAILURE_RESET);
}

/* Reads what has come; to the end of the connection, if that is in sight. */
static void request_read(struct generator *load, struct request *request, bool ends)
{
	static char data[READ_MAX];
	ssize_t length = READ_MAX;

	while (ends || length == READ_MAX) {
		length = recv(request->fd, data, sizeof(data), 0);

		if (length < 0 && errno == EAGAIN)
			return;
		if (length == 0) {
			request_end(load, request);
			return;
		}
		if (length < 0 || request->state == REQUEST_ENDING ||
		    request_take(load, request, data, (size_t)length)) {
			request_fail(load, request, FAILURE_RESET);
			return;
		}
	}
}

static int request_ask(struct generator *load, struct request *request)
{
	ssize_t length = send(request->fd, load->question, load->question_length, MSG_NOSIGNAL);

	request->state = REQUEST_ASKED;
	return length == (ssize_t)load->question_length ? 0 : -1;
}

void request_event(struct generator *load, struct request *request, uint32_t events)
{
	bool broken = events & (EPOLLERR | EPOLLHUP);

	if (request->state == REQUEST_CONNECTING) {
		if (broken) {
			request_fail(load, request, FAILURE_CONNECT);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		if (request_ask(load, request)) {
			request_fail(load, request, FAILURE_RESET);
			return;
		}
	}
	if (broken || events & (EPOLLIN | EPOLLRDHUP))
		request_read(load, request, broken || events & EPOLLRDHUP);
}

static int request_connect(struct generator *load, struct request *request)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = request,
	};
	struct sockaddr_in source = {.sin_family = AF_INET};
	int on = 1, off = 0;

	request->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (request->fd < 0)
		return -errno;
	/* The handshake's last ACK rides on the request: two packets less for everybody. */
	setsockopt(request->fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	if (load->source_count) {
		source.sin_addr = load->sources[load->result.started % load->source_count];
		if (setsockopt(request->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
		    bind(request->fd, (struct sockaddr *)&source, sizeof(source)))
			return -errno;
	}
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, request->fd, &event))
		return -errno;
	if (connect(request->fd, (struct sockaddr *)&load->target, sizeof(load->target)) &&
	    errno != EINPROGRESS)
		return -errno;
	return 0;
}

void request_start(struct generator *load, uint64_t due_ns)
{
	struct request *request = malloc(sizeof(*request));

	if (!request)
		abort();
	memset(request, 0, offsetof(struct request, head));
	request->fd = -1;
	request->server = -1;
	request->due_ns = due_ns;
	request->started_ns = load->now;
	list_enter(load, request);
	load->outstanding++;
	load->result.started++;
	if (request_connect(load, request))
		request_fail(load, request, FAILURE_CONNECT);
}

void request_expire(struct generator *load)
{
	/* The analyzer does not know that the first has no previous. NOLINTNEXTLINE */
	while (load->first && load->now - load->first->started_ns >= (uint64_t)load->timeout_ns)
		request_fail(load, load->first, FAILURE_TIMEOUT);
}

void request_abandon(struct generator *load)
{
	while (load->first) {
		struct request *request = load->first;

		if (request->state != REQUEST_ENDING) { /* NOLINT: nor here */
			load->result.unanswered++;
			result_waited(load, request->due_ns);
		}
		request_free(load, request);
	}
}
