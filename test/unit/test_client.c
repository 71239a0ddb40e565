/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line's client. libcurl blocks, so the daemon is a child. */
#include "http_fixture.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/wait.h>

#include "cli/client.h"

#define LATE_US 1900000 /* libcurl looks once a second */

/* Serves until it is killed; the pipe tells when it listens. */
static pid_t start_daemon(void)
{
	struct event_base *base;
	struct http *http;
	int ready[2];
	char byte;
	pid_t child;

	assert_return_code(pipe(ready), errno);
	child = fork();
	assert_return_code(child, errno);
	if (!child) {
		base = event_base_new();
		if (!http_open(base, socket_path, routes, "balancer", &http) &&
		    write(ready[1], "", 1) == 1)
			event_base_dispatch(base);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void stop_daemon(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void check_client(const char *path, int err, const char *error)
{
	json_t *answer;

	assert_int_equal(client_get_from(socket_path, "edge", path, &answer), err);
	if (error)
		assert_non_null(strstr(client_error(answer), error));
	else
		assert_string_equal(json_string_value(json_object_get(answer, "role")), "balancer");
	json_decref(answer);
}

static void test_client(void **state)
{
	pid_t child = start_daemon();

	(void)state;
	/* Whatever the environment says, the way leads through the socket. */
	setenv("http_proxy", "http://192.0.2.1:1", 1);
	check_client(STATUS, 0, NULL);
	check_client("/nothing", -ESRCH, "no such path");
	unsetenv("http_proxy");
	stop_daemon(child);
	check_client(STATUS, -ECONNREFUSED, "the daemon of instance edge does not run");
	unlink(socket_path);
	check_client(STATUS, -ECONNREFUSED, "the daemon of instance edge does not run");
}

static void test_client_without_instance(void **state)
{
	json_t *answer;

	(void)state;
	assert_int_equal(client_get_from("/nowhere/api.sock", "edge", STATUS, &answer), -ENOENT);
	assert_string_equal(client_error(answer),
			    "there is no instance edge: /nowhere does not exist");
	json_decref(answer);
}

/* A child, because root may open everything and cannot become itself again. */
static void test_client_without_permission(void **state)
{
	pid_t daemon = start_daemon(), child;
	json_t *answer;
	int status;

	(void)state;
	if (geteuid())
		chmod(socket_path, 0);
	child = fork();
	assert_return_code(child, errno);
	if (!child) {
		if (!geteuid() && setuid(65534))
			_exit(1);
		_exit(client_get_from(socket_path, "edge", STATUS, &answer) != -EACCES ||
		      !strstr(client_error(answer), "may not talk to instance edge"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	stop_daemon(daemon);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void answer_late(int listener)
{
	static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n"
				       "{\"role\":\"balancer\"}";
	int fd = accept(listener, NULL, NULL);
	char request[4096];

	if (read(fd, request, sizeof(request)) <= 0)
		_exit(1);
	usleep(LATE_US);
	_exit(write(fd, response, strlen(response)) <= 0);
}

/* What somebody who asks a slow daemon reads on stderr meanwhile. */
static void ask_slow_daemon(bool shown, char *told, size_t size)
{
	int listener = listen_unix(), before = dup(STDERR_FILENO), status;
	FILE *file = tmpfile();
	pid_t child = fork();

	assert_return_code(child, errno);
	if (!child)
		answer_late(listener);
	assert_non_null(file);
	assert_return_code(dup2(fileno(file), STDERR_FILENO), errno);
	client_wait(shown ? CLIENT_PATIENT_SHOWN : CLIENT_PATIENT);
	check_client(STATUS, 0, NULL);
	client_wait(CLIENT_BRIEF);
	fflush(stderr);
	assert_return_code(dup2(before, STDERR_FILENO), errno);
	rewind(file);
	told[fread(told, 1, size - 1, file)] = '\0';
	fclose(file);
	close(before);
	close(listener);
	unlink(socket_path);
	assert_int_equal(waitpid(child, &status, 0), child);
}

static void test_client_waits(void **state)
{
	char told[256];

	(void)state;
	ask_slow_daemon(true, told, sizeof(told));
	assert_non_null(strstr(told, "waiting for the daemon of instance edge: 1 s"));
	assert_non_null(strstr(told, "\r\033[K"));
	ask_slow_daemon(false, told, sizeof(told));
	assert_string_equal(told, "");
}

static void test_service_path(void **state)
{
	char path[PATH_TEXT_MAX], word[PATH_TEXT_MAX] = {0};

	(void)state;
	assert_true(client_service_path("web", "", "", path));
	assert_string_equal(path, "/api/v1/services/web");
	assert_true(client_service_path("a/b", "/backends/", "fd00::1", path));
	assert_string_equal(path, "/api/v1/services/a%2Fb/backends/fd00%3A%3A1");
	memset(word, 'a', sizeof(word) - sizeof("/api/v1/services/"));
	assert_true(client_service_path(word, "", "", path));
	assert_false(client_service_path(word, "", "b", path));
}

/* Something else on the socket: an answer, but not a daemon's. */
static void test_client_nonsense(void **state)
{
	static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
	int listener = listen_unix(), fd;
	char request[4096];
	pid_t child;

	(void)state;
	child = fork();
	assert_return_code(child, errno);
	if (!child) {
		fd = accept(listener, NULL, NULL);
		if (read(fd, request, sizeof(request)) > 0 &&
		    write(fd, response, strlen(response)) > 0)
			_exit(0);
		_exit(1);
	}
	check_client(STATUS, -EBADMSG, "answered no JSON object");
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_client),
		TEST(test_client_without_instance),
		TEST(test_client_without_permission),
		TEST(test_client_waits),
		TEST(test_service_path),
		TEST(test_client_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
