/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/check.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer.skel.h"
#include "shared.h"

/* A status line is shorter. */
#define ANSWER_MAX 1024
/* So long after an attempt, its socket's packets are still told from others. */
#define LINGER_NS 200000000ULL
/* The first attempt of each check. */
#define FIRST_WITHIN_NS 1000000000ULL

static int wait_for(struct event *timer, uint64_t ns)
{
	const struct timeval wait = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_usec = (suseconds_t)(ns / 1000 % 1000000),
	};

	return event_add(timer, &wait) ? -ENOMEM : 0;
}

static int sockets_of(const struct check *check)
{
	return bpf_map__fd(check->dataplane->bpf->maps.check_sockets);
}

/* No packet of the last attempt's socket is expected any more. */
static void forget_socket(struct check *check)
{
	if (check->port)
		bpf_map_delete_elem(sockets_of(check), &check->port);
	check->port = 0;
}

static void finish(struct check *check, bool passed, const char *result)
{
	/* Closing it sends a reset, which has to find its way; and an answer may still be coming. */
	bufferevent_free(check->stream);
	check->stream = NULL;
	wait_for(check->timeout, LINGER_NS);
	check_note(&check->record, passed, result, check->config.rise, check->config.fall);
}

unsigned int check_read_status(const char *line)
{
	unsigned int status;

	if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) ||
	    line[8] != ' ' || sscanf(line + 9, "%3u", &status) != 1 || status < 100)
		return 0;
	return line[12] == ' ' || !line[12] ? status : 0;
}

static void answer_arrives(struct bufferevent *stream, void *context)
{
	struct evbuffer *input = bufferevent_get_input(stream);
	struct check *check = context;
	char result[64], *line;
	unsigned int status;

	line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF);
	if (!line) {
		if (evbuffer_get_length(input) > ANSWER_MAX)
			finish(check, false, "the answer is not HTTP");
		return;
	}
	status = check_read_status(line);
	free(line);
	if (!status) {
		finish(check, false, "the answer is not HTTP");
		return;
	}
	snprintf(result, sizeof(result), "status %u%s", status,
		 status == check->config.expect ? "" : ", which is not the one expected");
	finish(check, status == check->config.expect, result);
}

static void ask(struct check *check)
{
	char host[ENDPOINT_TEXT_MAX];

	evbuffer_add_printf(bufferevent_get_output(check->stream),
			    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: plimsoll-check\r\n"
			    "Accept: */*\r\nConnection: close\r\n\r\n",
			    check->config.path, endpoint_format(&check->service, host));
}

static void connection_changes(struct bufferevent *stream, short what, void *context)
{
	struct check *check = context;
	char result[64];

	(void)stream;
	if (what & BEV_EVENT_CONNECTED) {
		check->connected = true;
		if (check->config.check == CHECK_HTTP)
			ask(check);
		else
			finish(check, true, "connects");
		return;
	}
	if (what & BEV_EVENT_EOF) {
		finish(check, false, "the connection was closed without an answer");
		return;
	}
	switch (EVUTIL_SOCKET_ERROR()) {
	case ECONNREFUSED:
		finish(check, false, "connection refused");
		return;
	case ECONNRESET:
		finish(check, false, "connection reset");
		return;
	}
	snprintf(result, sizeof(result), "%s", strerror(EVUTIL_SOCKET_ERROR()));
	finish(check, false, result);
}

static void time_is_up(evutil_socket_t fd, short events, void *context)
{
	struct check *check = context;
	char result[64];

	(void)fd;
	(void)events;
	if (!check->stream) {
		forget_socket(check);
		return;
	}
	snprintf(result, sizeof(result), "no answer %swithin %llu ms",
		 check->connected ? "in HTTP " : "",
		 (unsigned long long)check->config.timeout_ns / 1000000);
	finish(check, false, result);
}

/* A socket whose port the data path knows before its first packet leaves. */
static int open_socket(struct check *check)
{
	struct endpoint any = {.port = 0};
	const struct linger reset = {.l_onoff = 1};
	struct check_socket entry = {
		.backend = check->backend,
		.service = check->service.address,
		.server = check->server,
		.source = check->source,
		.port = htons(check->service.port),
	};
	struct sockaddr_storage own;
	socklen_t length;
	__be16 port;
	int fd, err;

	if (address_is_ipv4(check->server))
		any.address = address_of_ipv4((struct in_addr){INADDR_ANY});
	length = endpoint_to_socket(&any, &own);
	fd = socket(address_family(check->server), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Ended by a reset, it leaves nothing behind, on either side. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (bind(fd, (struct sockaddr *)&own, length) ||
	    getsockname(fd, (struct sockaddr *)&own, &length))
		goto failed;
	port = htons(endpoint_of_socket(&own).port);
	if (bpf_map_update_elem(sockets_of(check), &port, &entry, BPF_ANY))
		goto failed;
	check->port = port;
	return fd;

failed:
	err = -errno;
	close(fd);
	return err;
}

static bool has_source(struct check *check)
{
	if (address_is_ipv4(check->service.address) == address_is_ipv4(check->server))
		return true;
	/* It may have gone since. */
	if (!address_is_set(check->source) || check->record.failed)
		check->source = check_find_source(check->dataplane, check);
	return address_is_set(check->source);
}

static int begin(struct check *check)
{
	const struct endpoint endpoint = {check->server, check->service.port};
	struct sockaddr_storage server;
	socklen_t length = endpoint_to_socket(&endpoint, &server);
	int fd;

	forget_socket(check);
	fd = open_socket(check);
	if (fd < 0)
		return fd;
	check->stream = bufferevent_socket_new(check->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!check->stream) {
		forget_socket(check);
		close(fd);
		return -ENOMEM;
	}
	check->connected = false;
	bufferevent_setcb(check->stream, answer_arrives, NULL, connection_changes, check);
	bufferevent_enable(check->stream, EV_READ | EV_WRITE);
	wait_for(check->timeout, check->config.timeout_ns);
	/* Whatever goes wrong from here on, an event tells. */
	bufferevent_socket_connect(check->stream, (struct sockaddr *)&server, (int)length);
	return 0;
}

static void run(struct check *check)
{
	char result[64];
	bool sourced = has_source(check);
	int err;

	check->runs++;
	err = sourced ? begin(check) : -EADDRNOTAVAIL;
	if (!err)
		return;
	if (!sourced)
		snprintf(result, sizeof(result), "cannot be begun: no interface has an %s address",
			 address_is_ipv4(check->service.address) ? "IPv4" : "IPv6");
	else
		snprintf(result, sizeof(result), "cannot be begun: %s", strerror(-err));
	check_note(&check->record, false, result, check->config.rise, check->config.fall);
}

static void interval_over(evutil_socket_t fd, short events, void *context)
{
	struct check *check = context;

	(void)fd;
	(void)events;
	wait_for(check->interval, check->config.interval_ns);
	if (!check->stream)
		run(check);
}

struct check *check_new(struct event_base *base, const struct dataplane *dataplane,
			struct ip_address server, const struct health_config *config)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->base = base;
	check->dataplane = dataplane;
	check->server = server;
	check->config = *config;
	check->interval = evtimer_new(base, interval_over, check);
	check->timeout = evtimer_new(base, time_is_up, check);
	if (check->interval && check->timeout)
		return check;
	check_free(check);
	return NULL;
}

void check_free(struct check *check)
{
	if (check->stream)
		bufferevent_free(check->stream);
	forget_socket(check);
	if (check->interval)
		event_free(check->interval);
	if (check->timeout)
		event_free(check->timeout);
	free(check);
}

int check_start(struct check *check, size_t number)
{
	uint64_t most = check->config.interval_ns < FIRST_WITHIN_NS ? check->config.interval_ns :
								      FIRST_WITHIN_NS;

	/* By the golden ratio: however many there are, they are spread evenly. */
	return wait_for(check->interval, most * (uint32_t)(number * 2654435769U) >> 32);
}
