/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The API on an event loop. Its clients run in the same thread, turn about with the loop. */
#include "http_fixture.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <sys/resource.h>
#include <time.h>

#define PATIENCE_SECONDS 10

static int connect_unix(void)
{
	struct sockaddr_un address = unix_address();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_return_code(fd, errno);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

static int connect_tcp(const struct endpoint *endpoint)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = address_ipv4(endpoint->address),
		.sin_port = htons(endpoint->port),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_return_code(fd, errno);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

/* Sends the request, reads to the end, turning the loop meanwhile. Closes fd. */
static void talk(struct event_base *base, int fd, const char *request, char *response, size_t size)
{
	time_t deadline = time(NULL) + PATIENCE_SECONDS;
	size_t used = 0;
	ssize_t count;

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((count = recv(fd, response + used, size - 1 - used, MSG_DONTWAIT)) != 0) {
		if (count > 0)
			used += (size_t)count;
		else if (errno != EAGAIN)
			break;
		event_base_loop(base, EVLOOP_NONBLOCK);
		assert_true(time(NULL) < deadline);
	}
	response[used] = '\0';
	close(fd);
}

static void expect(struct event_base *base, int fd, const char *request, const char *start,
		   const char *end)
{
	char response[4096];
	size_t length;

	talk(base, fd, request, response, sizeof(response));
	assert_memory_equal(response, start, strlen(start));
	length = strlen(response);
	assert_true(length >= strlen(end));
	assert_string_equal(response + length - strlen(end), end);
}

/* One daemon, one request, what its answer begins and ends with. */
static void check(void *context, const char *request, const char *start, const char *end)
{
	struct event_base *base = event_base_new();
	struct http *http;

	assert_int_equal(http_open(base, socket_path, routes, context, &http), 0);
	expect(base, connect_unix(), request, start, end);
	http_close(http);
	event_base_free(base);
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

#define TCP_REQUEST(method, path)                                                                  \
	method " " path " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

static void test_status(void **state)
{
	(void)state;
	check("balancer", REQUEST("GET", STATUS), "HTTP/1.1 200 OK\r\n",
	      "\r\n\r\n{\"role\":\"balancer\",\"share\":0.71}\n");
	check("balancer", REQUEST("GET", STATUS "?fresh=1"), "HTTP/1.1 200 OK\r\n", "0.71}\n");
}

static void test_no_status(void **state)
{
	(void)state;
	check(NULL, REQUEST("GET", STATUS), "HTTP/1.1 500 ",
	      "\r\n\r\n{\"error\":\"out of memory\"}\n");
}

static void test_other_path(void **state)
{
	static const char end[] = "\r\n\r\n{\"error\":\"no such path; there are " STATUS
				  ", /api/v1/services/*, /api/v1/services/*/backends/*\"}\n";

	(void)state;
	check("x", REQUEST("GET", "/"), "HTTP/1.1 404 ", end);
	check("x", REQUEST("GET", STATUS "/"), "HTTP/1.1 404 ", end);
	check("x", REQUEST("GET", "/api/v1/../v1/status"), "HTTP/1.1 404 ", end);
	check("x", REQUEST("GET", "/api/v1/services/"), "HTTP/1.1 404 ", end);
	check("x", REQUEST("GET", "/api/v1/services/web/more"), "HTTP/1.1 404 ", end);
}

static void test_name(void **state)
{
	(void)state;
	check("x", REQUEST("GET", "/api/v1/services/web"), "HTTP/1.1 200 ", "{\"name\":\"web\"}\n");
	check("x", REQUEST("GET", "/api/v1/services/a%2fb%20"), "HTTP/1.1 200 ",
	      "{\"name\":\"a/b \"}\n");
	/* What JSON cannot say is no name, and what ends before its end is none either. */
	check("x", REQUEST("GET", "/api/v1/services/%ff"), "HTTP/1.1 400 ", "no text\"}\n");
	check("x", REQUEST("GET", "/api/v1/services/a%00b"), "HTTP/1.1 400 ", "no text\"}\n");
	check("x", REQUEST("GET", STATUS "?=1"), "HTTP/1.1 400 ", "is no query\"}\n");
}

#define POST_CHANGE(body)                                                                          \
	"POST /api/v1/services/a%2fb/backends/10.1.0.11 HTTP/1.1\r\nHost: localhost\r\n"           \
	"Connection: close\r\nContent-Length: 2\r\n\r\n" body

static void test_change(void **state)
{
	(void)state;
	check("x", POST_CHANGE("{}"), "HTTP/1.1 200 ",
	      "{\"service\":\"a/b\",\"backend\":\"10.1.0.11\",\"body\":\"{}\"}\n");
	check("x", REQUEST("POST", "/api/v1/services/web/backends/b"), "HTTP/1.1 200 ",
	      "\"body\":\"\"}\n");
	check("x", REQUEST("POST", "/api/v1/services//backends/b"), "HTTP/1.1 404 ", "\"}\n");
	check("x", REQUEST("POST", "/api/v1/services/web/backends/"), "HTTP/1.1 404 ", "\"}\n");
	check("x", REQUEST("POST", "/api/v1/services/web/backends/b/c"), "HTTP/1.1 404 ", "\"}\n");
	check("x", REQUEST("POST", "/api/v1/services/web/backends/%00"), "HTTP/1.1 400 ",
	      "no text\"}\n");
	check("x", REQUEST("GET", "/api/v1/services/web/backends/b"), "HTTP/1.1 405 ",
	      "\"only POST is allowed here\"}\n");
}

static void test_other_method(void **state)
{
	static const char end[] = "\r\n\r\n{\"error\":\"only GET, HEAD are allowed here\"}\n";

	(void)state;
	check("x", REQUEST("DELETE", STATUS), "HTTP/1.1 405 ", end);
	check("x", REQUEST("OPTIONS", "*"), "HTTP/1.1 405 ",
	      "\"only GET, HEAD, POST are allowed here\"}\n");
	check("x",
	      "POST " STATUS " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	      "Content-Length: 2\r\n\r\n{}",
	      "HTTP/1.1 405 ", end);
	check("x", REQUEST("PUT", "/api/v1/services/web"), "HTTP/1.1 405 ", end);
}

/* The same headers as for GET, the length among them, and nothing behind. */
static void test_head(void **state)
{
	struct event_base *base = event_base_new();
	char response[4096];
	struct http *http;

	(void)state;
	assert_int_equal(http_open(base, socket_path, routes, "balancer", &http), 0);
	talk(base, connect_unix(), REQUEST("HEAD", STATUS), response, sizeof(response));
	assert_memory_equal(response, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(response, "Content-Length: 33\r\n"));
	assert_non_null(strstr(response, "Content-Type: application/json\r\n"));
	assert_string_equal(strstr(response, "\r\n\r\n"), "\r\n\r\n");
	http_close(http);
	event_base_free(base);
}

static void test_too_large(void **state)
{
	char request[16384], response[4096];
	struct event_base *base = event_base_new();
	struct http *http;
	int length;

	(void)state;
	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	length = snprintf(request, sizeof(request),
			  "GET " STATUS " HTTP/1.1\r\nX: %010000d\r\n\r\n", 0);
	assert_true(length > 10000);
	talk(base, connect_unix(), request, response, sizeof(response));
	assert_null(strstr(response, "200 OK"));
	talk(base, connect_unix(), "GET " STATUS " HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
	     response, sizeof(response));
	assert_null(strstr(response, "200 OK"));
	/* And it still serves. */
	expect(base, connect_unix(), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	http_close(http);
	event_base_free(base);
}

static void test_nonsense(void **state)
{
	(void)state;
	check("x", "\r\nwhat?\r\n\r\n", "HTTP/1.1 400 ", "");
}

static void test_socket_file(void **state)
{
	struct event_base *base = event_base_new();
	struct stat status;
	struct http *http;

	(void)state;
	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	assert_int_equal(stat(socket_path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0600);
	http_close(http);
	assert_int_not_equal(access(socket_path, F_OK), 0);
	http_close(NULL);
	event_base_free(base);
}

static void test_stale_socket(void **state)
{
	(void)state;
	close(listen_unix());
	assert_int_equal(access(socket_path, F_OK), 0);
	check("x", REQUEST("GET", STATUS), "HTTP/1.1 200 OK\r\n", "0.71}\n");
}

/* Neither a living daemon's socket nor somebody's file is taken away. */
static void test_foreign_file(void **state)
{
	struct event_base *base = event_base_new();
	int fd = listen_unix();
	struct http *http;
	FILE *file;

	(void)state;
	assert_int_equal(http_open(base, socket_path, routes, "x", &http), -EADDRINUSE);
	assert_null(http);
	close(connect_unix());
	close(fd);
	unlink(socket_path);

	file = fopen(socket_path, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(http_open(base, socket_path, routes, "x", &http), -EADDRINUSE);
	assert_int_equal(access(socket_path, F_OK), 0);
	unlink(socket_path);
	event_base_free(base);
}

static void test_long_path(void **state)
{
	struct event_base *base = event_base_new();
	char path[256];
	struct http *http;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/%0200d", 0);
	assert_int_equal(http_open(base, path, routes, "x", &http), -ENAMETOOLONG);
	event_base_free(base);
}

static double loop_once(struct event_base *base)
{
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	event_base_loop(base, EVLOOP_ONCE);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

/* A connection that cannot be accepted must not make the loop spin; it is served afterwards. */
static void test_no_descriptors(void **state)
{
	struct event_base *base = event_base_new();
	struct rlimit limit, none;
	struct http *http;
	int fd;

	(void)state;
	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	fd = connect_unix();
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	none = limit;
	none.rlim_cur = (rlim_t)fd;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	loop_once(base);
	assert_true(loop_once(base) > 0.5);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	expect(base, fd, REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	http_close(http);
	event_base_free(base);
}

/* The kernel chooses the port; whoever listens there keeps it. */
static int listen_tcp(struct endpoint *endpoint)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(fd, 1), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&address, &length), errno);
	endpoint->address = address_of_ipv4(address.sin_addr);
	endpoint->port = ntohs(address.sin_port);
	return fd;
}

static void test_tcp(void **state)
{
	struct event_base *base = event_base_new();
	struct endpoint endpoint;
	struct http *http;
	int fd;

	(void)state;
	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	fd = listen_tcp(&endpoint);
	assert_int_equal(http_open_tcp(http, &endpoint, true), -EADDRINUSE);
	close(fd);
	assert_int_equal(http_open_tcp(http, &endpoint, true), 0);
	expect(base, connect_tcp(&endpoint), TCP_REQUEST("GET", STATUS), "HTTP/1.1 200 ",
	       "0.71}\n");
	expect(base, connect_unix(), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	/* What changes something is for the socket alone. */
	expect(base, connect_tcp(&endpoint), POST_CHANGE("{}"), "HTTP/1.1 405 ", "/api.sock\"}\n");
	expect(base, connect_unix(), POST_CHANGE("{}"), "HTTP/1.1 200 ", "\"body\":\"{}\"}\n");
	http_close(http);

	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	assert_int_equal(address_parse("192.0.2.1", &endpoint.address), 0);
	assert_int_equal(http_open_tcp(http, &endpoint, true), -EADDRNOTAVAIL);
	http_close(http);
	event_base_free(base);
}

#define ASK_AS(host) "GET " STATUS " HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"

/* A daemon that listens in TCP as well, where the kernel likes. */
static struct http *open_tcp(struct event_base *base, const struct http_limits *limits,
			     struct endpoint *endpoint)
{
	struct http *http;

	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	if (limits)
		http_limit(http, limits);
	close(listen_tcp(endpoint));
	assert_int_equal(http_open_tcp(http, endpoint, true), 0);
	return http;
}

/* A page whose name leads to us is somebody else's. */
static void test_host(void **state)
{
	static const char *const ours[] = {
		ASK_AS("127.0.0.1"), ASK_AS("192.0.2.1:9570"), ASK_AS("[::1]:9570"),
		ASK_AS("localhost"), ASK_AS("LocalHost.:80"),  "GET " STATUS " HTTP/1.0\r\n\r\n",
	};
	static const char *const others[] = {
		ASK_AS("evil.example"),
		ASK_AS("evil.example:9570"),
		ASK_AS("localhost.evil.example"),
		ASK_AS("127.0.0.1.evil.example"),
		ASK_AS("[::1].evil.example"),
		ASK_AS("\xff"),
		"GET http://evil.example" STATUS " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		"Connection: close\r\n\r\n",
	};
	struct event_base *base = event_base_new();
	struct endpoint endpoint;
	struct http *http = open_tcp(base, NULL, &endpoint);
	char own[256], request[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		expect(base, connect_tcp(&endpoint), ours[i], "HTTP/1.", "0.71}\n");
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		expect(base, connect_tcp(&endpoint), others[i], "HTTP/1.1 403 ",
		       "ask by its address, its hostname or localhost\"}\n");
	assert_return_code(gethostname(own, sizeof(own)), errno);
	snprintf(request, sizeof(request),
		 "GET " STATUS " HTTP/1.1\r\nHost: %s:1\r\n"
		 "Connection: close\r\n\r\n",
		 own);
	expect(base, connect_tcp(&endpoint), request, "HTTP/1.1 200 ", "0.71}\n");
	/* Nobody's page reaches the socket. */
	expect(base, connect_unix(), ASK_AS("evil.example"), "HTTP/1.1 200 ", "0.71}\n");
	http_close(http);
	event_base_free(base);
}

/* Whether the server has closed it, without an answer. */
static bool is_closed(int fd)
{
	char byte;
	ssize_t count = recv(fd, &byte, 1, MSG_DONTWAIT);

	return count == 0 || (count < 0 && errno != EAGAIN);
}

#define CONNECTIONS 3

/* More than are allowed wait, or are closed, and one that goes makes room; the socket has no limit. */
static void test_many_connections(void **state)
{
	static const struct http_limits limits = {CONNECTIONS, 60000, 60000};
	struct event_base *base = event_base_new();
	struct endpoint endpoint;
	struct http *http = open_tcp(base, &limits, &endpoint);
	int fds[2 * CONNECTIONS], open = 0;
	size_t i;

	(void)state;
	for (i = 0; i < 2 * CONNECTIONS; i++) {
		fds[i] = connect_tcp(&endpoint);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	for (i = 0; i < 2 * CONNECTIONS; i++) {
		assert_return_code(send(fds[i], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), errno);
		for (int turn = 0; turn < 10; turn++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		open += recv(fds[i], (char[1]){0}, 1, MSG_DONTWAIT) == 1;
	}
	assert_int_equal(open, CONNECTIONS);
	expect(base, connect_unix(), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	for (i = 0; i < 2 * CONNECTIONS; i++)
		close(fds[i]);
	expect(base, connect_tcp(&endpoint), ASK_AS("localhost"), "HTTP/1.1 200 ", "0.71}\n");
	http_close(http);
	event_base_free(base);
}

/* A byte now and then keeps no connection open for ever, before an answer or after one. */
static void trickle(const char *first)
{
	static const struct http_limits limits = {CONNECTIONS, 100, 60000};
	struct event_base *base = event_base_new();
	time_t deadline = time(NULL) + PATIENCE_SECONDS;
	struct endpoint endpoint;
	struct http *http = open_tcp(base, &limits, &endpoint);
	char response[4096];
	int fd = connect_tcp(&endpoint);

	assert_return_code(send(fd, first, strlen(first), MSG_NOSIGNAL), errno);
	do {
		usleep(20000);
		event_base_loop(base, EVLOOP_NONBLOCK);
		assert_true(time(NULL) < deadline);
		send(fd, "x", 1, MSG_NOSIGNAL);
		while (recv(fd, response, sizeof(response), MSG_DONTWAIT) > 0)
			;
	} while (!is_closed(fd));
	close(fd);
	http_close(http);
	event_base_free(base);
}

static void test_trickling(void **state)
{
	(void)state;
	trickle("GET / HTTP/1.1\r\nX: ");
	trickle("GET " STATUS " HTTP/1.1\r\n\r\n"
		"GET / HTTP/1.1\r\nX: ");
}

#define LARGE_BYTES (8 * 1024 * 1024) /* more than any socket's buffers hold */

static void tell_large(struct http_request *request, void *context)
{
	static const char zeros[LARGE_BYTES];
	struct evbuffer *body = evbuffer_new();

	(void)context;
	evbuffer_add_reference(body, zeros, sizeof(zeros), NULL, NULL);
	http_send(request, HTTP_OK, "text/plain", body);
	evbuffer_free(body);
}

/* Who does not read is waited for as long as an answer may take, and gets no more of it. */
static void test_slow_reader(void **state)
{
	static const struct http_route large[] = {{EVHTTP_REQ_GET, false, "/", tell_large}, {0}};
	static const struct http_limits limits = {CONNECTIONS, 60000, 0};
	struct event_base *base = event_base_new();
	time_t end = time(NULL) + 3;
	struct endpoint endpoint;
	struct http *http;
	size_t received = 0;
	char part[65536];
	ssize_t count;
	int fd;

	(void)state;
	assert_int_equal(http_open(base, socket_path, large, NULL, &http), 0);
	http_limit(http, &limits);
	close(listen_tcp(&endpoint));
	assert_int_equal(http_open_tcp(http, &endpoint, true), 0);
	fd = connect_tcp(&endpoint);
	assert_return_code(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), errno);
	while (time(NULL) < end)
		event_base_loop(base, EVLOOP_ONCE);
	while ((count = recv(fd, part, sizeof(part), MSG_DONTWAIT)) != 0) {
		if (count < 0 && errno != EAGAIN)
			break;
		received += count > 0 ? (size_t)count : 0;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_in_range(received, 1, LARGE_BYTES - 1);
	close(fd);
	http_close(http);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status),	     TEST(test_no_status),    TEST(test_other_path),
		TEST(test_other_method),     TEST(test_name),	      TEST(test_head),
		TEST(test_too_large),	     TEST(test_nonsense),     TEST(test_socket_file),
		TEST(test_stale_socket),     TEST(test_foreign_file), TEST(test_long_path),
		TEST(test_no_descriptors),   TEST(test_tcp),	      TEST(test_host),
		TEST(test_many_connections), TEST(test_trickling),    TEST(test_slow_reader),
		TEST(test_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
