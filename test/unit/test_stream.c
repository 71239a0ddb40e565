/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Server-sent events to clients that read, that do not, and that go. */
#include "http_fixture.h"

#include <event2/event.h>
#include <fcntl.h>
#include <time.h>

#include "http/stream.h"

#define PATIENCE_SECONDS 10
#define LARGE_BYTES (8 * 1024 * 1024) /* more than any socket's buffers hold */

struct world {
	struct event_base *base;
	struct http *http;
	struct streams *streams;
	size_t status_bytes; /* of padding */
	useconds_t status_us; /* to render it */
	unsigned int told;
};

static json_t *tell(void *context, const char *part)
{
	struct world *world = context;
	char *padding = calloc(1, world->status_bytes + 1);
	json_t *status;

	usleep(world->status_us);
	assert_non_null(padding);
	memset(padding, 'x', world->status_bytes);
	status = json_pack("{s:i,s:s*,s:s}", "told", ++world->told, "part", part, "padding",
			   padding);
	free(padding);
	return status;
}

static void answer(struct http_request *request, void *context)
{
	struct world *world = context;
	struct evbuffer *first = evbuffer_new();
	json_t *old = json_pack("{s:s}", "kind", "old");

	assert_int_equal(stream_message(first, "event", 7, old), 0);
	json_decref(old);
	streams_answer(world->streams, request, http_query(request, "part"), first);
	evbuffer_free(first);
}

static const struct http_route stream_routes[] = {
	{EVHTTP_REQ_GET, false, "/stream", answer},
	{0},
};

static void open_world(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->base = event_base_new();
	world->streams = streams_open(world->base, tell, world);
	assert_int_equal(http_open(world->base, socket_path, stream_routes, world, &world->http),
			 0);
}

static void close_world(struct world *world)
{
	streams_close(world->streams);
	http_close(world->http);
	event_base_free(world->base);
}

static int ask(const char *query)
{
	struct sockaddr_un address = unix_address();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char request[256];

	assert_return_code(fd, errno);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	snprintf(request, sizeof(request), "GET /stream%s HTTP/1.1\r\nHost: x\r\n\r\n", query);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	return fd;
}

/* Reads until the text has come, turning the loop meanwhile. */
static void await(struct world *world, int fd, const char *text)
{
	time_t deadline = time(NULL) + PATIENCE_SECONDS;
	char got[8192];
	size_t used = 0;
	ssize_t count;

	got[0] = '\0';
	while (!strstr(got, text)) {
		event_base_loop(world->base, EVLOOP_NONBLOCK);
		count = recv(fd, got + used, sizeof(got) - 1 - used, MSG_DONTWAIT);
		if (count > 0)
			used += (size_t)count;
		got[used] = '\0';
		assert_true(count > 0 || errno == EAGAIN);
		assert_true(time(NULL) < deadline);
	}
}

static void turn(struct world *world, unsigned int milliseconds)
{
	struct timeval interval = {.tv_usec = milliseconds * 1000};

	event_base_loopexit(world->base, &interval);
	event_base_dispatch(world->base);
}

static void test_status_and_events(void **state)
{
	json_t *news = json_pack("{s:s}", "kind", "new");
	struct world world;
	int fd;

	(void)state;
	open_world(&world);
	streams_tell(world.streams, "event", 8, news);
	fd = ask("?interval_ms=100");
	await(&world, fd,
	      "retry: 1000\n\nid: 7\nevent: event\ndata: {\"kind\":\"old\"}\n\n"
	      "event: status\ndata: {\"told\":1,");
	await(&world, fd, "event: status\ndata: {\"told\":2,");
	streams_tell(world.streams, "event", 9, news);
	await(&world, fd, "id: 9\nevent: event\ndata: {\"kind\":\"new\"}\n\n");
	json_decref(news);
	close(fd);
	close_world(&world);
}

/* However many listen, the status is rendered once. */
static void test_shared(void **state)
{
	unsigned int before;
	struct world world;
	int fds[8];

	(void)state;
	open_world(&world);
	for (size_t i = 0; i < 8; i++) {
		fds[i] = ask("?interval_ms=10000");
		await(&world, fds[i], "event: status");
	}
	before = world.told;
	turn(&world, 200);
	assert_int_equal(world.told, before);
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
	close_world(&world);
}

/* Who wants a part is told that, beside who wants all. */
static void test_part(void **state)
{
	struct world world;
	int all, part;

	(void)state;
	open_world(&world);
	all = ask("?interval_ms=100");
	part = ask("?interval_ms=100&part=web");
	await(&world, part, "event: status\ndata: {\"told\":2,\"part\":\"web\",");
	await(&world, part, "\"part\":\"web\"");
	await(&world, all, "event: status\ndata: {\"told\":1,\"padding\":");
	await(&world, all, ",\"padding\":");
	close(all);
	close(part);
	close_world(&world);
}

/* A status that takes long is told less often than it is wanted. */
static void test_costly(void **state)
{
	struct world world;
	int fd;

	(void)state;
	open_world(&world);
	world.status_us = 60000;
	fd = ask("?interval_ms=100");
	await(&world, fd, "event: status\ndata: {\"told\":2,");
	turn(&world, 400);
	assert_int_equal(world.told, 2);
	await(&world, fd, "event: status\ndata: {\"told\":3,");
	close(fd);
	close_world(&world);
}

static void test_interval(void **state)
{
	struct world world;
	int fd;

	(void)state;
	open_world(&world);
	fd = ask("?interval_ms=99");
	await(&world, fd,
	      "{\"error\":\"interval_ms: \\\"99\\\" is no whole number from 100 to 10000\"}");
	close(fd);
	fd = ask("?interval_ms=1e3");
	await(&world, fd, "HTTP/1.1 400 ");
	close(fd);
	close_world(&world);
}

/* One more than there may be; when one has gone, another may come. */
static void test_too_many(void **state)
{
	int fds[STREAMS_MAX], fd;
	struct world world;

	(void)state;
	open_world(&world);
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		fds[i] = ask("");
		await(&world, fds[i], "event: status");
	}
	fd = ask("");
	await(&world, fd, "HTTP/1.1 503 ");
	close(fd);
	close(fds[5]);
	turn(&world, 20);
	fds[5] = ask("");
	await(&world, fds[5], "event: status");
	for (size_t i = 0; i < STREAMS_MAX; i++)
		close(fds[i]);
	close_world(&world);
}

/* Who does not read gets no second status, and is dropped when events pile up. */
static void test_slow_reader(void **state)
{
	char padding[1024] = "";
	struct world world;
	json_t *news;
	int fd, other;

	(void)state;
	memset(padding, 'x', sizeof(padding) - 1);
	news = json_pack("{s:s}", "padding", padding);
	open_world(&world);
	world.status_bytes = LARGE_BYTES;
	fd = ask("?interval_ms=100");
	turn(&world, 400);
	assert_int_equal(world.told, 1);
	world.status_bytes = 0;
	other = ask("?interval_ms=100");
	await(&world, other, "event: status");
	streams_tell(world.streams, "event", 1, news);
	await(&world, other, "id: 1");
	/* It would block for ever if it were still connected and had everything to come. */
	turn(&world, 50);
	assert_return_code(fcntl(fd, F_SETFL, O_NONBLOCK), errno);
	while (recv(fd, padding, sizeof(padding), 0) > 0)
		;
	assert_int_equal(recv(fd, padding, sizeof(padding), 0), 0);
	json_decref(news);
	close(fd);
	close(other);
	close_world(&world);
}

/* What is sent to a stream is not collected without end. */
static void test_talkative_reader(void **state)
{
	char noise[65536];
	struct world world;
	ssize_t sent = 0;
	int fd;

	(void)state;
	memset(noise, 'x', sizeof(noise));
	open_world(&world);
	fd = ask("?interval_ms=100");
	await(&world, fd, "event: status");
	for (int i = 0; i < 256; i++) {
		ssize_t count = send(fd, noise, sizeof(noise), MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += count > 0 ? count : 0;
		event_base_loop(world.base, EVLOOP_NONBLOCK);
	}
	assert_in_range(sent, 1, 4 * 1024 * 1024);
	await(&world, fd, "event: status");
	close(fd);
	close_world(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status_and_events),
		TEST(test_shared),
		TEST(test_part),
		TEST(test_costly),
		TEST(test_interval),
		TEST(test_too_many),
		TEST(test_slow_reader),
		TEST(test_talkative_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
