/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as what a client sends, over a real socket and libevent's parser: each connection is
 * answered in HTTP or closed, its streams end with it, and the next one is served. With libFuzzer, or
 * with FUZZ_SEEDS for the files given as arguments.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "http/files.h"
#include "http/http.h"
#include "http/stream.h"

#define TURNS_MAX 10000
#define SIZE_MAX_BYTES 65536 /* more than that is refused half-way, like that */

static struct event_base *base;
static struct streams *streams;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static json_t *tell(void *context, const char *part)
{
	(void)context;
	(void)part;
	return json_pack("{s:s}", "role", "balancer");
}

static void answer_status(struct http_request *request, void *context)
{
	http_send_json(request, HTTP_OK, tell(context, NULL));
}

static void answer_name(struct http_request *request, void *context)
{
	(void)context;
	require(request->names[0] && *request->names[0]);
	http_send_json(request, HTTP_OK, json_pack("{s:s}", "name", request->names[0]));
}

/* Reads what it was sent to its last byte. */
static void answer_change(struct http_request *request, void *context)
{
	size_t length;
	const char *body = http_body(request, &length);
	json_t *change = body ? json_loadb(body, length, 0, NULL) : NULL;

	(void)context;
	require(request->names[0] && request->names[1] && *request->names[1]);
	if (change)
		http_send_json(request, HTTP_OK, change);
	else
		http_send_error(request, HTTP_BADREQUEST, "%s", request->names[1]);
}

static void answer_events(struct http_request *request, void *context)
{
	uint64_t after = 0;

	(void)context;
	if (http_query_number(request, "after", 0, UINT64_MAX, &after))
		http_send_json(request, HTTP_OK, json_pack("{s:I}", "after", (json_int_t)after));
}

static void answer_stream(struct http_request *request, void *context)
{
	(void)context;
	streams_answer(streams, request, http_query(request, "service"), NULL);
}

static const struct http_route routes[] = {
	{EVHTTP_REQ_GET, false, "/api/v1/status", answer_status},
	{EVHTTP_REQ_GET, false, "/api/v1/services/*", answer_name},
	{EVHTTP_REQ_POST, true, "/api/v1/services/*/backends/*", answer_change},
	{EVHTTP_REQ_GET, false, "/api/v1/events", answer_events},
	{EVHTTP_REQ_GET, false, "/api/v1/stream", answer_stream},
	{EVHTTP_REQ_GET, false, "/", http_answer_file},
	{EVHTTP_REQ_GET, false, "/*", http_answer_file},
	{0},
};

/* Once for all inputs: a daemon lives on, too. */
static void open_world(void)
{
	char directory[] = "/tmp/plimsoll-fuzz-http-XXXXXX";
	struct http *http;

	base = event_base_new();
	require(base && mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	streams = streams_open(base, tell, NULL);
	require(streams && !http_open(base, address.sun_path, routes, NULL, &http));
}

/* The socket needs no name once it is connected to, but each input connects: the last one removes it. */
static void remove_name(void)
{
	char *slash = strrchr(address.sun_path, '/');

	unlink(address.sun_path);
	*slash = '\0';
	rmdir(address.sun_path);
}

/* libevent answers in the version that it was asked in, even one that never was. */
static void check_answer(const char *answer, size_t length)
{
	require(!length || (length > 5 && !memcmp(answer, "HTTP/", 5)));
}

/* Sends it all, says that it was all, and reads until the server has closed. */
static void talk(int fd, const uint8_t *data, size_t size)
{
	char answer[16], rest[65536];
	size_t sent = 0, used = 0;
	bool closed = false;
	ssize_t count;

	for (int turn = 0; turn < TURNS_MAX && !closed; turn++) {
		if (sent < size) {
			count = send(fd, data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += count > 0 ? (size_t)count : 0;
			if (count < 0 && errno != EAGAIN)
				sent = size;
			if (sent == size)
				shutdown(fd, SHUT_WR);
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
		while ((count = recv(fd, used < sizeof(answer) ? answer + used : rest,
				     used < sizeof(answer) ? sizeof(answer) - used : sizeof(rest),
				     MSG_DONTWAIT)) > 0)
			used += (size_t)count;
		closed = count == 0 || errno != EAGAIN;
	}
	require(closed);
	check_answer(answer, used < sizeof(answer) ? used : sizeof(answer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (size > SIZE_MAX_BYTES)
		return 0;
	if (!base) {
		open_world();
		atexit(remove_name);
	}
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	require(fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)));
	if (size)
		talk(fd, data, size);
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	require(!streams_count(streams));
	return 0;
}
