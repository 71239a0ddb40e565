/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A daemon's socket in a directory of its own, for the tests of both its ends. */
#ifndef PLIMSOLL_TEST_HTTP_FIXTURE_H
#define PLIMSOLL_TEST_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/http.h"

#define STATUS "/api/v1/status"
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

static char directory[64];
static char socket_path[96];

static inline void tell_status(struct http_request *request, void *context)
{
	http_send_json(request, HTTP_OK,
		       context ? json_pack("{s:s,s:f}", "role", (char *)context, "share", 0.71) :
				 NULL);
}

static inline void tell_name(struct http_request *request, void *context)
{
	(void)context;
	http_send_json(request, HTTP_OK, json_pack("{s:s}", "name", request->names[0]));
}

/* Answers with what it was sent, and of what. */
static inline void tell_change(struct http_request *request, void *context)
{
	size_t length;
	const char *body = http_body(request, &length);

	(void)context;
	http_send_json(request, HTTP_OK,
		       json_pack("{s:s,s:s,s:s%}", "service", request->names[0], "backend",
				 request->names[1], "body", body ? body : "", length));
}

static const struct http_route routes[] = {
	{EVHTTP_REQ_GET, false, STATUS, tell_status},
	{EVHTTP_REQ_GET, false, "/api/v1/services/*", tell_name},
	{EVHTTP_REQ_POST, true, "/api/v1/services/*/backends/*", tell_change},
	{0},
};

static inline int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/plimsoll-test-api-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/api.sock", directory);
	return chmod(directory, 0755);
}

static inline int remove_directory(void **state)
{
	(void)state;
	unlink(socket_path);
	return rmdir(directory);
}

static inline struct sockaddr_un unix_address(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, socket_path);
	return address;
}

/* A socket that listens without a loop behind it. */
static inline int listen_unix(void)
{
	struct sockaddr_un address = unix_address();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(fd, 1), errno);
	return fd;
}

#endif
