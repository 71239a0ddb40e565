/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the two daemons have in common: arguments, configuration, runtime directory, event loop, neighbours,
 * host settings, readiness and an orderly end. One thread; libevent's loop runs everything.
 */
#ifndef PLIMSOLL_DAEMON_H
#define PLIMSOLL_DAEMON_H

#include <event2/event.h>
#include <stdbool.h>

#include "attach.h"
#include "config.h"
#include "host.h"
#include "http/http.h"
#include "neighbour.h"
#include "options.h"
#include "runtime.h"

extern const struct option_row daemon_options[];

struct daemon {
	const char *verb;
	struct config *config;
	struct runtime runtime;
	bool inherited; /* a predecessor's data path is in place */
	struct host *host;
	struct event_base *base;
	struct event *asked, *hang_up;
	const char *config_path;
	void (*reload)(void *context);
	void *reload_context;
	struct neighbours *neighbours;
	struct event *neighbour_readable, *neighbour_timer;
	struct http *http;
	const struct daemon_place *place;
	void *place_context;
	struct event *place_timer;
	bool ready;
	bool limited; /* beside a predecessor, and not for ever */
	bool leaves; /* told to go without taking anything back */
	int failure; /* that has ended the loop */
};

/*
 * Reads the arguments and the configuration, takes the instance and opens the loop. Says what is
 * wrong. Returns 0, or the exit status with which to end.
 */
int daemon_open(struct daemon *daemon, enum config_role role, int argc, char **argv);

/* Follows the neighbours; changed is called as neighbour.h says. 0 or -errno. */
int daemon_watch_neighbours(struct daemon *daemon, neighbour_changed *changed, void *context);

/* Answers these routes on the instance's socket, and on listen: where it is configured. */
int daemon_serve(struct daemon *daemon, const struct http_route *routes, void *context);

/* A timer of the loop, freed by the caller. NULL if there is no memory. */
struct event *daemon_every(struct daemon *daemon, unsigned int milliseconds, event_callback_fn call,
			   void *context);

/* Tells systemd and whoever reads the log that traffic flows. */
void daemon_ready(struct daemon *daemon, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What SIGHUP is to do. 0 or -ENOMEM. */
int daemon_on_reload(struct daemon *daemon, void (*reload)(void *context), void *context);

/* Tells systemd that the file is read again, and that this is done. */
void daemon_reloading(const struct daemon *daemon);
void daemon_reloaded(const struct daemon *daemon);

/* HTTP in TCP where another configuration wants it. Says what went wrong, and stays then. 0 or -errno. */
int daemon_move_listen(struct daemon *daemon, const struct config *from, const struct config *to);

/* Takes back what of the host's one configuration needed and the other does not. */
void daemon_release_host(struct daemon *daemon, const struct config *gone,
			 const struct config *stays);

/* The configuration in force as a file that says the same: {"role", "file", "config"}. */
void daemon_answer_config(const struct daemon *daemon, struct http_request *request);

/*
 * Whether another daemon of this instance runs beside us, to be succeeded. Until daemon_take_place()
 * nothing may be done that it would notice; failing or hanging, we leave it to it.
 */
bool daemon_succeeds(const struct daemon *daemon);

/* Whether a signal has asked us to end, which the loop will hear of: no place is taken any more then. */
bool daemon_is_to_end(void);

/* What takes long has come a step ahead: whoever waits for us may wait on. */
void daemon_step(const struct daemon *daemon);

/* All is ready, and from here on there is no way back: the programs are replaced next. */
void daemon_commit(struct daemon *daemon);

/* The programs are in place: the other daemon goes. From here on the host is ours. 0 or -errno. */
int daemon_take_place(struct daemon *daemon);

/*
 * From here on it is looked at now and then whether the programs are still there, and ours. Who takes one off is
 * told of, and it is put back. A successor that was ended after it had replaced them can no longer tell us to
 * go: then we go, without taking anything back. 0 or -ENOMEM.
 */
struct daemon_place {
	enum attachment (*look)(const void *context); /* the worst of all */
	void (*put_back)(void *context); /* those that are gone; says what came of it */
};

int daemon_watch_place(struct daemon *daemon, const struct daemon_place *place, void *context);

/* Until a signal or daemon_fail() ends it. 0, or what failed. */
int daemon_run(struct daemon *daemon);
void daemon_fail(struct daemon *daemon, int err);

/*
 * Whether what is in the kernel and on the host goes with us; err is how it has come to the end, and is
 * told if nothing else has been.
 */
bool daemon_takes_back(const struct daemon *daemon, int err);

/*
 * Closes everything. take_back: undo what was done to the host and remove the instance's pins and
 * files; otherwise they stay for a successor.
 */
void daemon_close(struct daemon *daemon, bool take_back);

#endif
