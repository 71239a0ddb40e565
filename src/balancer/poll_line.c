/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asking by HAProxy's agent-check: a connection, a line, the end. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/poll_private.h"
#include "clock.h"
#include "load_update.h"

/* Connections open at once, all agents together. */
#define LINES_MAX 256
/* An agent has this long to answer, or its interval if that is longer. */
#define PATIENCE_NS 1000000000ULL
#define FULL 65535 /* of utilisation */

struct poll_line {
	struct poller *poller;
	struct poll_target *target;
	int fd;
	struct event *event;
	size_t length;
	char bytes[AGENT_CHECK_LINE_MAX];
};

static uint64_t patience_of(const struct poll_target *target)
{
	return target->interval_ns > PATIENCE_NS ? target->interval_ns : PATIENCE_NS;
}

/* What the agent has to spare is not in use. */
static void take_line(struct poll_target *target, uint64_t now)
{
	bool open = agent_check_open(&target->said);
	uint32_t spare = target->said.weighted ? target->said.percent : AGENT_CHECK_PERCENT_MAX;
	struct load *load = target->load;
	struct load_report report = {
		.sequence = load->sequence + 1,
		/* Such agents do not count; what was sent before they answered has arrived. */
		.connections_seen = load->connections_sent - load->connections_lost,
		.flags = LOAD_REPORT_APPLICATION | (open ? 0 : LOAD_REPORT_DRAINING),
	};

	if (!open)
		spare = 0;
	else if (spare > AGENT_CHECK_PERCENT_MAX)
		spare = AGENT_CHECK_PERCENT_MAX;
	report.utilisation =
		(uint16_t)((AGENT_CHECK_PERCENT_MAX - spare) * FULL / AGENT_CHECK_PERCENT_MAX);
	target->counts.answers++;
	if (!load_update(load, &report, now) || now - target->asked_ns > target->interval_ns)
		target->counts.late++;
}

/* Reads on. False when there is nothing more to wait for. */
static bool read_line(struct poll_line *line, uint64_t now)
{
	struct poll_target *target = line->target;
	ssize_t length = recv(line->fd, line->bytes + line->length,
			      sizeof(line->bytes) - line->length, MSG_DONTWAIT);
	int err;

	if (length < 0)
		return errno == EAGAIN;
	line->length += (size_t)length;
	err = agent_check_parse(line->bytes, line->length, &target->said);
	if (!err)
		take_line(target, now);
	else if (err == -EAGAIN && length && line->length < sizeof(line->bytes))
		return true;
	else
		target->counts.refused++;
	return false;
}

static void line_continue(evutil_socket_t fd, short events, void *context)
{
	struct poll_line *line = context;
	uint64_t now = now_ns();

	(void)fd;
	/* The event's own patience begins anew with every byte. */
	if (!(events & EV_READ) || !read_line(line, now) ||
	    now - line->target->asked_ns > patience_of(line->target))
		poll_line_end(line);
}

/* A socket on its way to the agent, or -1. */
static int connect_to(const struct sockaddr_in *agent)
{
	/* Ended by a reset, as HAProxy does: neither side remembers the connection for a minute. */
	struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	if (!setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) &&
	    (!connect(fd, (const struct sockaddr *)agent, sizeof(*agent)) || errno == EINPROGRESS))
		return fd;
	close(fd);
	return -1;
}

static struct poll_line *line_begin(struct poller *poller, struct poll_target *target)
{
	uint64_t patience = patience_of(target);
	struct timeval timeout = {
		.tv_sec = (time_t)(patience / 1000000000),
		.tv_usec = (suseconds_t)(patience % 1000000000 / 1000),
	};
	struct poll_line *line = calloc(1, sizeof(*line));

	if (!line)
		return NULL;
	line->poller = poller;
	line->target = target;
	line->fd = connect_to(&target->agent);
	if (line->fd >= 0)
		line->event = event_new(poller->base, line->fd, EV_READ | EV_PERSIST, line_continue,
					line);
	poller->open_lines++;
	if (line->event && !event_add(line->event, &timeout))
		return line;
	poll_line_end(line);
	return NULL;
}

void poll_line_ask(struct poller *poller, struct poll_target *target)
{
	if (target->line || poller->open_lines >= LINES_MAX)
		return;
	target->asked_ns = now_ns();
	target->counts.polls++;
	target->line = line_begin(poller, target);
}

void poll_line_end(struct poll_line *line)
{
	if (!line)
		return;
	line->target->line = NULL;
	line->poller->open_lines--;
	if (line->event)
		event_free(line->event);
	if (line->fd >= 0)
		close(line->fd);
	free(line);
}
