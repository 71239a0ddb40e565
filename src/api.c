/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "api.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define STATUS_PATH "/api/v1/status"
#define HEADERS_MAX_BYTES 8192 /* a GET needs a few hundred */
#define BODY_MAX_BYTES 1024 /* and no body at all; read only to refuse it politely */
#define TIMEOUT_SECONDS 10 /* of silence in the middle of a request or between two */
#define BACKLOG 16
#define NUMBER_DIGITS 9 /* a double's own 17 would turn 0.71 into 0.70999999999999996 */

struct api {
	struct evhttp *http;
	struct event *resume;
	struct evconnlistener *listeners[2];
	size_t listener_count;
	api_status *status;
	void *context;
	char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "" until it is bound */
};

/* Takes over body, which may be NULL for want of memory. */
static void send_json(struct evhttp_request *request, int code, json_t *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(NUMBER_DIGITS));

	json_decref(body);
	if (!text)
		code = HTTP_INTERNAL;
	evhttp_add_header(headers, "Content-Type", "application/json");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	/* libevent would send the body of an answer to HEAD, too. */
	if (text && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
		evbuffer_add_printf(evhttp_request_get_output_buffer(request), "%s\n", text);
	free(text);
	evhttp_send_reply(request, code, NULL, NULL);
}

static void send_error(struct evhttp_request *request, int code, const char *message)
{
	send_json(request, code, json_pack("{s:s}", "error", message));
}

static void answer(struct evhttp_request *request, void *context)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
	struct api *api = context;
	json_t *status;

	if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET");
		send_error(request, HTTP_BADMETHOD, "only GET is allowed here");
		return;
	}
	if (!path || strcmp(path, STATUS_PATH)) {
		send_error(request, HTTP_NOTFOUND, "no such path; there is " STATUS_PATH);
		return;
	}
	status = api->status(api->context);
	if (status)
		send_json(request, HTTP_OK, status);
	else
		send_error(request, HTTP_INTERNAL, "the daemon cannot tell its status now");
}

/* Nobody listens behind it any more. A file that is no socket is not ours to replace. */
static bool socket_abandoned(const struct sockaddr_un *address)
{
	bool refused = false;
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		refused = errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *generic = (const struct sockaddr *)address;

	/* The file gets the mode of the socket: no moment in which others may open it. */
	if (fchmod(fd, S_IRUSR | S_IWUSR))
		return -errno;
	if (!bind(fd, generic, sizeof(*address)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (!socket_abandoned(address))
		return -EADDRINUSE;
	if (unlink(address->sun_path))
		return -errno;
	return bind(fd, generic, sizeof(*address)) ? -errno : 0;
}

/*
 * Without this a process that has run out of file descriptors would spin: the waiting connection
 * makes the listener readable for ever.
 */
static void accept_failed(struct evconnlistener *listener, void *context)
{
	(void)context;
	log_warning("cannot take a connection to the API: %s; trying again in a second",
		    strerror(errno));
	evconnlistener_disable(listener);
}

static void accept_again(evutil_socket_t fd, short events, void *context)
{
	struct api *api = context;
	size_t i;

	(void)fd;
	(void)events;
	for (i = 0; i < api->listener_count; i++)
		evconnlistener_enable(api->listeners[i]);
}

/* Takes over fd, which listens, whatever happens. */
static int serve(struct api *api, struct event_base *base, int fd)
{
	struct evconnlistener *listener;

	listener = evconnlistener_new(base, NULL, NULL,
				      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	if (!evhttp_bind_listener(api->http, listener)) {
		evconnlistener_free(listener);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener, accept_failed);
	api->listeners[api->listener_count++] = listener;
	return 0;
}

static int open_unix(struct api *api, struct event_base *base, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = -1, err;

	if (strlen(path) >= sizeof(address.sun_path)) {
		err = -ENAMETOOLONG;
		goto out;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	err = bind_unix(fd, &address);
	if (err)
		goto out;
	memcpy(api->socket_path, path, strlen(path) + 1);
	if (listen(fd, BACKLOG)) {
		err = -errno;
		goto out;
	}
	err = serve(api, base, fd);
	fd = -1;
out:
	if (err)
		log_error("cannot listen on %s: %s", path,
			  err == -EADDRINUSE ? "another process answers on it, or it is no socket" :
					       strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

static const char *tcp_advice(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "another process has it (\"ss -ltnp\" names it); "
		       "stop that, or give another address to \"listen:\"";
	case -EADDRNOTAVAIL:
		return "no interface of this host has that address; give one of its own to "
		       "\"listen:\"";
	case -EACCES:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	default:
		return strerror(-err);
	}
}

static int open_tcp(struct api *api, struct event_base *base, const struct endpoint *endpoint)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = endpoint->address,
		.sin_port = htons(endpoint->port),
	};
	char text[ENDPOINT_TEXT_MAX];
	int fd, on = 1, err;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG)) {
		err = -errno;
		goto out;
	}
	err = serve(api, base, fd);
	fd = -1;
out:
	if (err)
		log_error("cannot listen on %s: %s", endpoint_format(endpoint, text),
			  tcp_advice(err));
	if (fd >= 0)
		close(fd);
	return err;
}

static int open_http(struct api *api, struct event_base *base)
{
	const struct timeval second = {.tv_sec = 1};

	api->http = evhttp_new(base);
	api->resume = event_new(base, -1, EV_PERSIST, accept_again, api);
	if (!api->http || !api->resume || event_add(api->resume, &second)) {
		log_error("cannot open the API: out of memory");
		return -ENOMEM;
	}
	/* All methods reach answer(), which refuses in JSON; libevent would in HTML. */
	evhttp_set_allowed_methods(api->http, 0xffff);
	evhttp_set_max_headers_size(api->http, HEADERS_MAX_BYTES);
	evhttp_set_max_body_size(api->http, BODY_MAX_BYTES);
	evhttp_set_timeout(api->http, TIMEOUT_SECONDS);
	evhttp_set_gencb(api->http, answer, api);
	return 0;
}

int api_open(struct event_base *base, const char *socket_path, const struct endpoint *listen,
	     api_status *status, void *context, struct api **result)
{
	struct api *api = calloc(1, sizeof(*api));
	int err;

	*result = NULL;
	if (!api)
		return -ENOMEM;
	api->status = status;
	api->context = context;
	err = open_http(api, base);
	if (err)
		goto out;
	err = open_unix(api, base, socket_path);
	if (err)
		goto out;
	if (listen)
		err = open_tcp(api, base, listen);
out:
	if (err)
		api_close(api);
	else
		*result = api;
	return err;
}

void api_close(struct api *api)
{
	if (!api)
		return;
	if (api->socket_path[0])
		unlink(api->socket_path);
	if (api->resume)
		event_free(api->resume);
	if (api->http)
		evhttp_free(api->http);
	free(api);
}
