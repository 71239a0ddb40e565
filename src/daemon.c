/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon_private.h"
#include "log.h"

#define EXIT_USAGE 2
#define NEIGHBOUR_REFRESH_MS 1000

enum { CONFIG, INSTANCE, TAKEOVER, LOG_FORMAT, VERBOSE };

const struct option_row daemon_options[] = {
	[CONFIG] = {"--config", "FILE", "the configuration file, as balancer.yaml or server.yaml",
		    COMPLETE_FILE, true},
	[INSTANCE] = {"--instance", "NAME", "where several run on one kernel: which one this is",
		      COMPLETE_INSTANCE, false},
	[TAKEOVER] =
		{"--takeover", NULL,
		 "beside the daemon that runs: get ready, take its place, and tell it to go; if "
		 "not ready, and no further for 10 s, it stays",
		 COMPLETE_NOTHING, false},
	[LOG_FORMAT] = {"--log-format", "text|json",
			"what a line of the log looks like; text if absent", COMPLETE_NOTHING,
			false},
	[VERBOSE] = {"--verbose", NULL, "log every step", COMPLETE_NOTHING, false},
	{0},
};

/* A data path that goes on from a predecessor must survive our failure to follow it. */
static bool has_predecessor(const struct runtime *runtime)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/settings", runtime->pins);
	return access(path, F_OK) == 0;
}

/* For who wants to know what runs here: a link to the file, in the instance's directory. */
static void link_config(const struct daemon *daemon)
{
	const char *config = daemon->config_path;
	char whole[PATH_MAX], path[PATH_MAX];

	runtime_path(daemon->runtime.name, "config", path, sizeof(path));
	unlink(path); /* a predecessor's */
	if (!realpath(config, whole) || symlink(whole, path))
		log_warning("%s: cannot be made a link to %s: %s; plimsoll doctor will ask for "
			    "--config",
			    path, config, strerror(errno));
}

int daemon_open_host(struct daemon *daemon)
{
	char path[PATH_MAX];
	int err;

	runtime_path(daemon->runtime.name, "journal", path, sizeof(path));
	err = host_open(path, &daemon->host);
	if (err)
		log_error("%s: cannot open the journal of changes to this host: %s", path,
			  strerror(-err));
	return err;
}

/* The signal that has asked us to end: seen by the loop in `asking`, an eventfd, and at once by who is busy. */
static volatile sig_atomic_t asked_by;
static int asking = -1;

static void ask(int signal)
{
	const uint64_t one = 1;
	int err = errno;

	if (!asked_by)
		asked_by = signal;
	(void)!write(asking, &one, sizeof(one));
	errno = err;
}

/* For good: a second Ctrl-C must not stop us from tidying up. What a SIGHUP asks for, a start does anyway. */
static int catch_signals(void)
{
	const struct sigaction action = {.sa_handler = ask, .sa_flags = SA_RESTART};

	asking = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (asking < 0 || sigaction(SIGINT, &action, NULL) || sigaction(SIGTERM, &action, NULL) ||
	    sigaction(RUNTIME_RETIRE, &action, NULL) || signal(SIGHUP, SIG_IGN) == SIG_ERR ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		log_error("cannot listen to signals: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

bool daemon_is_to_end(void)
{
	return asked_by;
}

static void end(evutil_socket_t fd, short events, void *context)
{
	struct daemon *daemon = context;

	(void)fd;
	(void)events;
	daemon->leaves = asked_by == RUNTIME_RETIRE;
	if (daemon->leaves) {
		log_event(LOG_NOTICE, "leaving", NULL, "told to go and leave the data path");
	} else {
		log_event(LOG_NOTICE, "stopping", NULL, "%s: stopping",
			  asked_by == SIGINT ? "interrupted" : "terminated");
		sd_notify(0, "STOPPING=1");
	}
	event_base_loopbreak(daemon->base);
}

/* For people as check-config has it, for machines as any other line. */
static void tell_mistake(const char *path, int line, const char *key, const char *message,
			 void *context)
{
	const struct log_field fields[] = {
		{"file", path, 0},
		{"line", NULL, line},
		{"key", key ? key : "", 0},
		{0},
	};

	if (context)
		log_event(LOG_ERROR, "config-mistake", fields, "%s:%d: %s%s%s", path, line,
			  key ? key : "", key ? ": " : "", message);
	else
		config_print_mistake(path, line, key, message, stderr);
}

/* Returns 0 or -EINVAL, having said what is wrong. */
static int choose_log(const char **values, bool *json)
{
	const char *format = values[LOG_FORMAT] ? values[LOG_FORMAT] : "text";

	*json = !strcmp(format, "json");
	if (!*json && strcmp(format, "text") != 0) {
		log_error("--log-format: \"%s\" is no format; text and json are", format);
		return -EINVAL;
	}
	log_format(*json ? LOG_JSON : LOG_TEXT);
	if (values[VERBOSE])
		log_verbose();
	return 0;
}

static int open_loop(struct daemon *daemon)
{
	daemon->base = event_base_new();
	if (!daemon->base)
		return -ENOMEM;
	daemon->asked = event_new(daemon->base, asking, EV_READ, end, daemon);
	return daemon->asked && !event_add(daemon->asked, NULL) ? 0 : -ENOMEM;
}

int daemon_open(struct daemon *daemon, enum config_role role, int argc, char **argv)
{
	const char *values[OPTIONS_MAX], *name;
	bool json;
	int err;

	memset(daemon, 0, sizeof(*daemon));
	daemon->verb = argv[0];
	daemon->runtime.lock = daemon->runtime.holder = daemon->runtime.successor = -1;
	if (options_parse(daemon_options, argc, argv, values) || choose_log(values, &json))
		return EXIT_USAGE;
	name = values[INSTANCE] ? values[INSTANCE] : argv[0];
	log_instance(name);
	daemon->config_path = values[CONFIG];
	if (config_read(values[CONFIG], role, &daemon->config, tell_mistake, json ? daemon : NULL))
		return EXIT_FAILURE;
	log_limit_repeats(); /* of a file's mistakes each counts */
	err = catch_signals();
	if (!err)
		err = values[TAKEOVER] ? runtime_join(&daemon->runtime, name) :
					 runtime_open(&daemon->runtime, name);
	if (err) {
		config_free(daemon->config);
		return EXIT_FAILURE;
	}
	daemon->inherited = has_predecessor(&daemon->runtime);
	daemon_limit_patience(daemon);
	/* The journal is the other daemon's as long as it runs. */
	err = daemon_succeeds(daemon) ? 0 : daemon_open_host(daemon);
	if (!err && !open_loop(daemon))
		return 0;
	daemon_close(daemon, !daemon->inherited);
	return EXIT_FAILURE;
}

static void receive_neighbours(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	neighbours_receive(context);
}

static void refresh_neighbours(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	neighbours_refresh(context);
}

int daemon_watch_neighbours(struct daemon *daemon, neighbour_changed *changed, void *context)
{
	int err = neighbours_open(changed, context, &daemon->neighbours);

	if (err) {
		log_error("cannot follow the neighbours by netlink: %s", strerror(-err));
		return err;
	}
	daemon->neighbour_readable =
		event_new(daemon->base, neighbours_fd(daemon->neighbours), EV_READ | EV_PERSIST,
			  receive_neighbours, daemon->neighbours);
	daemon->neighbour_timer =
		daemon_every(daemon, NEIGHBOUR_REFRESH_MS, refresh_neighbours, daemon->neighbours);
	if (!daemon->neighbour_readable || !daemon->neighbour_timer ||
	    event_add(daemon->neighbour_readable, NULL))
		return -ENOMEM;
	return 0;
}

int daemon_serve(struct daemon *daemon, const struct http_route *routes, void *context)
{
	const struct config *config = daemon->config;
	char path[PATH_MAX];
	int err;

	runtime_path(daemon->runtime.name, "api.sock", path, sizeof(path));
	err = http_open(daemon->base, path, routes, context, &daemon->http);
	if (err || !config->listening)
		return err;
	err = http_open_tcp(daemon->http, &config->listen, config->listen_given);
	return config->listen_given ? err : 0;
}

struct event *daemon_every(struct daemon *daemon, unsigned int milliseconds, event_callback_fn call,
			   void *context)
{
	struct timeval interval = {
		.tv_sec = milliseconds / 1000,
		.tv_usec = milliseconds % 1000 * 1000,
	};
	struct event *event = event_new(daemon->base, -1, EV_PERSIST, call, context);

	if (event && event_add(event, &interval)) {
		event_free(event);
		return NULL;
	}
	return event;
}

void daemon_ready(struct daemon *daemon, const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (daemon->ready)
		return;
	daemon->ready = true;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	link_config(daemon);
	log_event(LOG_NOTICE, "ready", NULL, "ready: %s", text);
	sd_notifyf(0, "READY=1\nSTATUS=%s", text);
}

int daemon_run(struct daemon *daemon)
{
	if (!daemon->failure)
		event_base_dispatch(daemon->base);
	return daemon->failure;
}

void daemon_fail(struct daemon *daemon, int err)
{
	daemon->failure = err;
	event_base_loopbreak(daemon->base);
}

bool daemon_takes_back(const struct daemon *daemon, int err)
{
	if (err && !log_failed())
		log_error("cannot go on: %s", strerror(-err));
	if (daemon_succeeds(daemon) || daemon->leaves)
		return false;
	return err ? !daemon->inherited : true;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void daemon_close(struct daemon *daemon, bool take_back)
{
	bool succeeds = daemon_succeeds(daemon);

	http_close(daemon->http);
	free_event(daemon->neighbour_readable);
	free_event(daemon->neighbour_timer);
	free_event(daemon->place_timer);
	if (daemon->neighbours)
		neighbours_close(daemon->neighbours);
	free_event(daemon->asked);
	free_event(daemon->hang_up);
	if (daemon->base)
		event_base_free(daemon->base);
	if (daemon->host && take_back)
		host_restore(daemon->host);
	host_close(daemon->host);
	if (take_back)
		runtime_remove(&daemon->runtime);
	runtime_close(&daemon->runtime);
	config_free(daemon->config);
	if (!take_back)
		log_event(LOG_NOTICE, "data-path-stays", NULL,
			  "the data path of instance \"%s\" goes on%s", daemon->runtime.name,
			  succeeds || daemon->leaves ? "" : " without a daemon");
}
