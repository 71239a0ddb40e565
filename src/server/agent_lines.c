/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HAProxy's agent-check: who connects gets a line at once, whatever he sends. The connection then
 * lasts until he has closed it too, so that the line is not lost in a reset; but not for long, and
 * of too many the oldest goes first: it has had its line the longest.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_check.h"
#include "clock.h"
#include "server/agent_private.h"

#define CLIENTS_MAX 64
#define PATIENCE_SECONDS 1
/* New ones at one go; the rest waits for the loop's next round. */
#define BATCH 16
/* What he sends is a name at most (agent-send), and read only to be thrown away. */
#define BYTES_MAX 1024

struct client {
	int fd; /* -1: none */
	struct event *event;
	uint64_t deadline_ns;
	size_t bytes; /* that have been thrown away */
};

struct agent_lines {
	const struct server_dataplane *dataplane;
	int listener;
	struct event *acceptable;
	struct client clients[CLIENTS_MAX];
	size_t next; /* the oldest */
};

static void client_end(struct client *client)
{
	if (client->fd < 0)
		return;
	event_free(client->event);
	close(client->fd);
	client->fd = -1;
}

static void client_continue(evutil_socket_t fd, short events, void *context)
{
	struct client *client = context;
	char waste[256];
	ssize_t length = events & EV_READ ? recv(fd, waste, sizeof(waste), MSG_DONTWAIT) : 0;

	if (length > 0)
		client->bytes += (size_t)length;
	if (((length < 0 && errno == EAGAIN) || (length > 0 && client->bytes <= BYTES_MAX)) &&
	    now_ns() < client->deadline_ns)
		return;
	client_end(client);
}

static int client_begin(struct agent_lines *lines, struct client *client, int fd)
{
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};

	client->event = event_new(event_get_base(lines->acceptable), fd, EV_READ | EV_PERSIST,
				  client_continue, client);
	if (!client->event)
		return -ENOMEM;
	if (event_add(client->event, &patience)) {
		event_free(client->event);
		return -ENOMEM;
	}
	client->fd = fd;
	client->bytes = 0;
	/* The event's own patience begins anew with every byte. */
	client->deadline_ns = now_ns() + PATIENCE_SECONDS * 1000000000ULL;
	return 0;
}

static void send_line(const struct agent_lines *lines, int fd)
{
	struct load_report report;
	char line[AGENT_CHECK_LINE_MAX];
	size_t length;

	agent_measure(lines->dataplane, &report);
	length = agent_check_format(&report, lines->dataplane->settings.cpu_count, line);
	/* The buffer of a new connection has room for it. */
	if (send(fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
		shutdown(fd, SHUT_WR);
}

static void accept_clients(evutil_socket_t listener, short events, void *context)
{
	struct agent_lines *lines = context;

	(void)events;
	for (size_t i = 0; i < BATCH; i++) {
		struct client *client = &lines->clients[lines->next];
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		send_line(lines, fd);
		client_end(client);
		if (client_begin(lines, client, fd))
			close(fd);
		lines->next = (lines->next + 1) % CLIENTS_MAX;
	}
}

struct agent_lines *agent_lines_open(struct event_base *base, int listener,
				     const struct server_dataplane *dataplane)
{
	struct agent_lines *lines = calloc(1, sizeof(*lines));

	if (lines)
		lines->acceptable =
			event_new(base, listener, EV_READ | EV_PERSIST, accept_clients, lines);
	if (!lines || !lines->acceptable || event_add(lines->acceptable, NULL)) {
		if (lines && lines->acceptable)
			event_free(lines->acceptable);
		free(lines);
		close(listener);
		return NULL;
	}
	lines->dataplane = dataplane;
	lines->listener = listener;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		lines->clients[i].fd = -1;
	return lines;
}

void agent_lines_close(struct agent_lines *lines)
{
	if (!lines)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		client_end(&lines->clients[i]);
	event_free(lines->acceptable);
	close(lines->listener);
	free(lines);
}
