/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The API on an event loop. Its clients run in the same thread, turn about with the loop. */
#include "api_fixture.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <sys/resource.h>
#include <time.h>

#include "api.h"

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
	struct api *api;

	assert_int_equal(api_open(base, socket_path, NULL, tell_status, context, &api), 0);
	expect(base, connect_unix(), request, start, end);
	api_close(api);
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
	      "\r\n\r\n{\"error\":\"the daemon cannot tell its status now\"}\n");
}

static void test_other_path(void **state)
{
	static const char end[] = "\r\n\r\n{\"error\":\"no such path; there is " STATUS "\"}\n";

	(void)state;
	check("x", REQUEST("GET", "/"), "HTTP/1.1 404 ", end);
	check("x", REQUEST("GET", STATUS "/"), "HTTP/1.1 404 ", end);
	check("x", REQUEST("GET", "/api/v1/../v1/status"), "HTTP/1.1 404 ", end);
}

static void test_other_method(void **state)
{
	static const char end[] = "\r\n\r\n{\"error\":\"only GET is allowed here\"}\n";

	(void)state;
	check("x", REQUEST("DELETE", STATUS), "HTTP/1.1 405 ", end);
	check("x", REQUEST("OPTIONS", "*"), "HTTP/1.1 405 ", end);
	check("x",
	      "POST " STATUS " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	      "Content-Length: 2\r\n\r\n{}",
	      "HTTP/1.1 405 ", end);
	check("x", REQUEST("HEAD", STATUS), "HTTP/1.1 405 ", "\r\n\r\n");
}

static void test_too_large(void **state)
{
	char request[16384], response[4096];
	struct event_base *base = event_base_new();
	struct api *api;
	int length;

	(void)state;
	assert_int_equal(api_open(base, socket_path, NULL, tell_status, "x", &api), 0);
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
	api_close(api);
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
	struct api *api;

	(void)state;
	assert_int_equal(api_open(base, socket_path, NULL, tell_status, "x", &api), 0);
	assert_int_equal(stat(socket_path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0600);
	api_close(api);
	assert_int_not_equal(access(socket_path, F_OK), 0);
	api_close(NULL);
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
	struct api *api;
	FILE *file;

	(void)state;
	assert_int_equal(api_open(base, socket_path, NULL, tell_status, "x", &api), -EADDRINUSE);
	assert_null(api);
	close(connect_unix());
	close(fd);
	unlink(socket_path);

	file = fopen(socket_path, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(api_open(base, socket_path, NULL, tell_status, "x", &api), -EADDRINUSE);
	assert_int_equal(access(socket_path, F_OK), 0);
	unlink(socket_path);
	event_base_free(base);
}

static void test_long_path(void **state)
{
	struct event_base *base = event_base_new();
	char path[256];
	struct api *api;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/%0200d", 0);
	assert_int_equal(api_open(base, path, NULL, tell_status, "x", &api), -ENAMETOOLONG);
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
	struct api *api;
	int fd;

	(void)state;
	assert_int_equal(api_open(base, socket_path, NULL, tell_status, "x", &api), 0);
	fd = connect_unix();
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	none = limit;
	none.rlim_cur = (rlim_t)fd;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	loop_once(base);
	assert_true(loop_once(base) > 0.5);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	expect(base, fd, REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	api_close(api);
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
	struct api *api;
	int fd;

	(void)state;
	fd = listen_tcp(&endpoint);
	assert_int_equal(api_open(base, socket_path, &endpoint, tell_status, "x", &api),
			 -EADDRINUSE);
	assert_int_not_equal(access(socket_path, F_OK), 0);
	close(fd);
	assert_int_equal(api_open(base, socket_path, &endpoint, tell_status, "x", &api), 0);
	expect(base, connect_tcp(&endpoint), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	expect(base, connect_unix(), REQUEST("GET", STATUS), "HTTP/1.1 200 ", "0.71}\n");
	api_close(api);

	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &endpoint.address), 1);
	assert_int_equal(api_open(base, socket_path, &endpoint, tell_status, "x", &api),
			 -EADDRNOTAVAIL);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_status),	 TEST(test_no_status),	    TEST(test_other_path),
		TEST(test_other_method), TEST(test_too_large),	    TEST(test_nonsense),
		TEST(test_socket_file),	 TEST(test_stale_socket),   TEST(test_foreign_file),
		TEST(test_long_path),	 TEST(test_no_descriptors), TEST(test_tcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
