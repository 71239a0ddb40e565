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
		.sin_addr = endpoint->address,
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
	"POST /api/v1/services/a%2fb/backends/10.1.0.11 HTTP/1.1\r\nHost: x\r\n"                   \
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
	endpoint->address = address.sin_addr;
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
	expect(base, connect_tcp(&endpoint), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	expect(base, connect_unix(), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	/* What changes something is for the socket alone. */
	expect(base, connect_tcp(&endpoint), POST_CHANGE("{}"), "HTTP/1.1 405 ", "/api.sock\"}\n");
	expect(base, connect_unix(), POST_CHANGE("{}"), "HTTP/1.1 200 ", "\"body\":\"{}\"}\n");
	http_close(http);

	assert_int_equal(http_open(base, socket_path, routes, "x", &http), 0);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &endpoint.address), 1);
	assert_int_equal(http_open_tcp(http, &endpoint, true), -EADDRNOTAVAIL);
	http_close(http);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status),	   TEST(test_no_status),    TEST(test_other_path),
		TEST(test_other_method),   TEST(test_name),	    TEST(test_head),
		TEST(test_too_large),	   TEST(test_nonsense),	    TEST(test_socket_file),
		TEST(test_stale_socket),   TEST(test_foreign_file), TEST(test_long_path),
		TEST(test_no_descriptors), TEST(test_tcp),	    TEST(test_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
