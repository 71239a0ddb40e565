/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `plimsoll drain` and `undrain`. With --wait, drain ends when the last connection has: a deploy script stops
 * the server then. What ends the waiting before leaves the backend draining, and says so.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/change.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "clock.h"
#include "config/values.h"
#include "log.h"

#define EXIT_TIME_OVER 3
#define EXIT_SIGNAL 128 /* and its number, as shells have it */

#define SECOND_NS 1000000000ULL
#define LONGEST_SECONDS 604800 /* a week */
#define LOOK_MS 500 /* the daemon counts once a second */
#define TELL_NS                                                                                    \
	(10 * SECOND_NS) /* between two lines in a log; on a terminal one line is written anew */
/* A daemon that is restarted or upgraded is away for a while. */
#define SILENCE_NS (60 * SECOND_NS)

enum { SERVICE, BACKEND, INSTANCE, JSON, WAIT };

#define OF_WHOM                                                                                    \
	[SERVICE] = {"SERVICE", NULL, "by its name or its address", COMPLETE_SERVICE, true},       \
	[BACKEND] = {"BACKEND", NULL, "by its address", COMPLETE_BACKEND, true},                   \
	[INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",               \
		      COMPLETE_INSTANCE, false},                                                   \
	[JSON] = {"--json", NULL, "the answer for machines; errors too", COMPLETE_NOTHING, false}

const struct option_row undrain_options[] = {OF_WHOM, {0}};

const struct option_row drain_options[] = {
	OF_WHOM,
	[WAIT] = {"--wait", "[=TIME]",
		  "until no connection is left; at most so long (60 or 60s), if a time is given",
		  COMPLETE_NOTHING, false},
	{0},
};

enum outcome {
	WAITING,
	DRAINED,
	GONE, /* removed meanwhile, which takes as long */
	UNDONE,
	TIME_OVER,
	SILENT, /* the daemon, for too long */
	INTERRUPTED,
};

struct wait {
	const struct target *target;
	const char *instance, *path;
	uint64_t limit_ns; /* UINT64_MAX: none */
	uint64_t began_ns, heard_ns, told_ns;
	json_int_t told_left;
	bool on_line; /* the cursor stands behind a line that is to be written anew */
	bool silent;
	json_t *answer; /* to the change; its backend is the one last heard of */
};

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
	caught = number;
}

/* The second one ends the program whatever it does. */
static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = catch_signal, .sa_flags = (int)SA_RESETHAND};
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		sigaction(ending[i], &action, NULL);
}

static const json_t *backend_of(const struct wait *wait)
{
	return json_object_get(wait->answer, "backend");
}

static json_int_t connections_left(const struct wait *wait)
{
	return json_integer_value(json_object_get(backend_of(wait), "open_connections"));
}

static unsigned long long waited_seconds(const struct wait *wait)
{
	return (now_ns() - wait->began_ns) / SECOND_NS;
}

static void end_line(struct wait *wait)
{
	if (wait->on_line)
		putchar('\n');
	wait->on_line = false;
}

static void tell_progress(struct wait *wait)
{
	bool terminal = isatty(STDOUT_FILENO);
	json_int_t left = connections_left(wait);

	if (wait->target->json ||
	    (!terminal && (left == wait->told_left || now_ns() - wait->told_ns < TELL_NS)))
		return;
	printf("%s%s of %s: %lld left after %llu s%s", terminal ? "\r" : "", wait->target->backend,
	       wait->target->service, left, waited_seconds(wait), terminal ? "\033[K" : "\n");
	fflush(stdout);
	wait->on_line = terminal;
	wait->told_left = left;
	wait->told_ns = now_ns();
}

static void tell_silence(struct wait *wait, const json_t *answer)
{
	end_line(wait);
	if (!wait->silent && !wait->target->json)
		log_warning("%s; waiting for it", client_error(answer));
	wait->silent = true;
}

static enum outcome judge(const json_t *backend)
{
	const char *state = json_string_value(json_object_get(backend, "state"));

	if (json_is_true(json_object_get(backend, "drained")))
		return DRAINED;
	return state && !strcmp(state, "draining") ? WAITING : UNDONE;
}

static enum outcome look(struct wait *wait)
{
	json_t *answer;
	int err = client_get(wait->instance, wait->path, &answer);

	if (!err) {
		wait->heard_ns = now_ns();
		wait->silent = false;
		json_object_set_new(wait->answer, "backend", answer);
		tell_progress(wait);
		return judge(answer);
	}
	if (err != -ESRCH)
		tell_silence(wait, answer);
	json_decref(answer);
	if (err == -ESRCH)
		return GONE;
	return now_ns() - wait->heard_ns < SILENCE_NS ? WAITING : SILENT;
}

static enum outcome wait_for_end(struct wait *wait)
{
	enum outcome outcome = judge(backend_of(wait));
	uint64_t waited;

	while (outcome == WAITING && !caught) {
		waited = now_ns() - wait->began_ns;
		if (waited >= wait->limit_ns)
			return TIME_OVER;
		waited = wait->limit_ns - waited;
		poll(NULL, 0,
		     waited < LOOK_MS * 1000000ULL ? (int)(waited / 1000000) + 1 : LOOK_MS);
		if (!caught)
			outcome = look(wait);
	}
	return outcome == WAITING ? INTERRUPTED : outcome;
}

/* Why nobody waits any longer, though it has not ended; NULL if it has. */
static const char *describe_failure(const struct wait *wait, enum outcome outcome, char text[128])
{
	switch (outcome) {
	case UNDONE:
		return "somebody has taken the drain back, by hand or by a reload";
	case TIME_OVER:
		snprintf(text, 128, "%g s are over", (double)wait->limit_ns / (double)SECOND_NS);
		return text;
	case SILENT:
		snprintf(text, 128, "the daemon of instance %s has not answered for %llu s",
			 wait->instance, SILENCE_NS / SECOND_NS);
		return text;
	case INTERRUPTED:
		return "interrupted";
	default:
		return NULL;
	}
}

/* What stands now, as it goes on after a semicolon. */
static void describe_state(const struct wait *wait, enum outcome outcome, char text[512])
{
	const struct target *target = wait->target;
	json_int_t left = connections_left(wait);

	if (outcome == UNDONE)
		snprintf(text, 512, "%s of %s gets new connections again", target->backend,
			 target->service);
	else
		snprintf(text, 512,
			 "%s of %s goes on draining, %lld connection%s left; \"plimsoll undrain %s "
			 "%s%s%s\" takes that back",
			 target->backend, target->service, left, left == 1 ? "" : "s",
			 target->service, target->backend, target->instance ? " --instance " : "",
			 target->instance ? target->instance : "");
}

static void tell_machines(struct wait *wait, const char *error)
{
	double seconds = (double)(now_ns() - wait->began_ns) / (double)SECOND_NS;

	json_object_set_new(wait->answer, "waited_seconds", json_real(seconds));
	if (error)
		json_object_set_new(wait->answer, "error", json_string(error));
	answer_print(wait->answer, JSON_INDENT(2));
}

static int tell_outcome(struct wait *wait, enum outcome outcome)
{
	char reason[128], state[512], error[sizeof(reason) + sizeof("; ") + sizeof(state)];
	const char *failure = describe_failure(wait, outcome, reason);

	if (failure) {
		describe_state(wait, outcome, state);
		snprintf(error, sizeof(error), "%s; %s", failure, state);
	}
	end_line(wait);
	if (wait->target->json)
		tell_machines(wait, failure ? error : NULL);
	else if (failure)
		log_error("%s", error);
	else
		printf("%s of %s: %s after %llu s; it can be stopped\n", wait->target->backend,
		       wait->target->service, outcome == GONE ? "removed and gone" : "none is left",
		       waited_seconds(wait));
	if (!failure)
		return EXIT_SUCCESS;
	return outcome == INTERRUPTED ? EXIT_SIGNAL + caught :
	       outcome == TIME_OVER   ? EXIT_TIME_OVER :
					EXIT_FAILURE;
}

/* Takes over answer, which is that to the change. */
static int wait_until_drained(const struct target *target, const char *instance, const char *path,
			      uint64_t limit_ns, json_t *answer)
{
	struct wait wait = {
		.target = target,
		.instance = instance,
		.path = path,
		.limit_ns = limit_ns,
		.began_ns = now_ns(),
		.heard_ns = now_ns(),
		.told_ns = now_ns(),
		.answer = answer,
	};
	int status;

	client_wait(CLIENT_BRIEF);
	wait.told_left = connections_left(&wait);
	status = tell_outcome(&wait, wait_for_end(&wait));
	json_decref(answer);
	return status;
}

static int drain_and_wait(const struct target *target, uint64_t limit_ns)
{
	char instance[INSTANCE_NAME_MAX], path[PATH_TEXT_MAX];
	json_t *change, *answer;
	int err;

	if (change_instance(target, instance) || !change_path(target, true, path))
		return EXIT_FAILURE;
	catch_signals();
	change = json_pack("{s:b}", "draining", true);
	err = client_post(instance, path, change, &answer);
	json_decref(change);
	if (err)
		return change_tell(target, answer, err, change_print_backend);
	if (!target->json)
		change_tell(target, json_incref(answer), 0, change_print_backend);
	fflush(stdout);
	return wait_until_drained(target, instance, path, limit_ns, answer);
}

/* "" is no limit; a number without a unit is of seconds. */
static int parse_limit(const char *text, uint64_t *limit_ns)
{
	static const struct field time = {
		.min = SECOND_NS,
		.max = LONGEST_SECONDS * SECOND_NS,
		.size = sizeof(uint64_t),
	};
	bool bare = *text && !text[strspn(text, "0123456789")];
	char seconds[32];

	snprintf(seconds, sizeof(seconds), "%s%s", text, bare ? "s" : "");
	if (!*text ||
	    (strlen(text) < sizeof(seconds) - 1 && !parse_duration(&time, seconds, limit_ns)))
		return 0;
	log_error("--wait: \"%s\" is no time from 1 to %d seconds, such as 60 or 60s", text,
		  LONGEST_SECONDS);
	return EXIT_USAGE;
}

int drain_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	uint64_t limit_ns = UINT64_MAX;
	struct target target;
	int status;

	if (options_parse(drain_options, argc, argv, values) ||
	    (values[WAIT] && parse_limit(values[WAIT], &limit_ns)))
		return EXIT_USAGE;
	target = (struct target){values[SERVICE], values[BACKEND], values[INSTANCE],
				 values[JSON] != NULL};
	status = values[WAIT] ? drain_and_wait(&target, limit_ns) :
				change_backend(&target, json_pack("{s:b}", "draining", true));
	return answer_end(status);
}

int undrain_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	struct target target;

	if (options_parse(undrain_options, argc, argv, values))
		return EXIT_USAGE;
	target = (struct target){values[SERVICE], values[BACKEND], values[INSTANCE],
				 values[JSON] != NULL};
	return answer_end(change_backend(&target, json_pack("{s:b}", "draining", false)));
}
