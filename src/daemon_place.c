/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A daemon takes the place of another one, and looks whether it still has it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon_private.h"
#include "log.h"

#define PLACE_LOOK_MS 1000
/* As the texts have it. Thousands of large rings take longer, but each is a step ahead. */
#define TAKEOVER_PATIENCE_SECONDS 10

static char refusal[512];
static size_t refusal_length;

/* In a signal handler, because whatever keeps us from being ready may keep us from the loop, too. */
static void give_up(int signal)
{
	(void)signal;
	(void)!write(STDERR_FILENO, refusal, refusal_length);
	_exit(EXIT_FAILURE);
}

void daemon_limit_patience(struct daemon *daemon)
{
	if (!daemon_succeeds(daemon))
		return;
	refusal_length =
		log_compose(refusal, sizeof(refusal), LOG_ERROR, "takeover-failed",
			    "not ready, and no further for 10 s: nothing is taken over, the other "
			    "daemon stays");
	signal(SIGALRM, give_up);
	daemon->limited = true;
	daemon_step(daemon);
}

void daemon_step(const struct daemon *daemon)
{
	if (daemon->limited)
		alarm(TAKEOVER_PATIENCE_SECONDS);
}

bool daemon_succeeds(const struct daemon *daemon)
{
	return daemon->runtime.holder >= 0;
}

void daemon_commit(struct daemon *daemon)
{
	daemon->limited = false;
	alarm(0);
}

int daemon_take_place(struct daemon *daemon)
{
	int err;

	if (!daemon_succeeds(daemon))
		return 0;
	sd_notifyf(0, "MAINPID=%d", getpid());
	err = runtime_succeed(&daemon->runtime);
	if (err)
		log_error("the predecessor's lock cannot be had: %s", strerror(-err));
	return err ? err : daemon_open_host(daemon);
}

static void look_at_place(evutil_socket_t fd, short events, void *context)
{
	struct daemon *daemon = context;
	enum attachment worst = daemon->place->look(daemon->place_context);

	(void)fd;
	(void)events;
	/* In this order: who holds the successor's lock until we have gone is alive. */
	if (worst == ATTACHMENT_OURS || runtime_is_joined(&daemon->runtime))
		return;
	if (worst == ATTACHMENT_GONE) {
		daemon->place->put_back(daemon->place_context);
		return;
	}
	log_error(
		"another daemon has replaced the programs, and ended before it told this one to go: "
		"this one goes; the next one goes on with what is there");
	daemon->leaves = true;
	daemon_fail(daemon, -ESTALE);
}

int daemon_watch_place(struct daemon *daemon, const struct daemon_place *place, void *context)
{
	daemon->place = place;
	daemon->place_context = context;
	daemon->place_timer = daemon_every(daemon, PLACE_LOOK_MS, look_at_place, daemon);
	return daemon->place_timer ? 0 : -ENOMEM;
}
