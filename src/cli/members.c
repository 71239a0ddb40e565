/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll add` and `remove`: other backends while the balancer runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/change.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"

/* Who has just been added needs a moment to answer ARP. */
#define LOOKS 10
#define LOOK_US 100000

enum { ADD_SERVICE, ADD_BACKEND, ADD_WEIGHT, ADD_FORWARD, ADD_INSTANCE, ADD_JSON };

const struct option_row add_options[] = {
	[ADD_SERVICE] = {"SERVICE", NULL, "by its name or its address", COMPLETE_SERVICE, true},
	[ADD_BACKEND] = {"BACKEND", NULL, "the server's own address", COMPLETE_NOTHING, true},
	[ADD_WEIGHT] = {"--weight", "WEIGHT", "a whole number from 1 to 1000; 1 unless given",
			COMPLETE_NOTHING, false},
	[ADD_FORWARD] = {"--forward", "FORWARD", "how packets reach it; l2 unless given",
			 COMPLETE_NOTHING, false},
	[ADD_INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
			  COMPLETE_INSTANCE, false},
	[ADD_JSON] = {"--json", NULL, "the answer for machines; errors too", COMPLETE_NOTHING,
		      false},
	{0},
};

enum { REMOVE_SERVICE, REMOVE_BACKEND, REMOVE_NOW, REMOVE_INSTANCE, REMOVE_JSON };

const struct option_row remove_options[] = {
	[REMOVE_SERVICE] = {"SERVICE", NULL, "by its name or its address", COMPLETE_SERVICE, true},
	[REMOVE_BACKEND] = {"BACKEND", NULL, "by its address", COMPLETE_BACKEND, true},
	[REMOVE_NOW] = {"--now", NULL, "do not wait for its connections: they break",
			COMPLETE_NOTHING, false},
	[REMOVE_INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
			     COMPLETE_INSTANCE, false},
	[REMOVE_JSON] = {"--json", NULL, "the answer for machines; errors too", COMPLETE_NOTHING,
			 false},
	{0},
};

static void print_unsaved(void)
{
	printf("The balancer's file says otherwise; this holds, for a next daemon too, until it "
	       "is read again.\n");
}

static void print_added(const struct target *target, const json_t *answer)
{
	const json_t *backend = json_object_get(answer, "backend");
	const char *cause = json_string_value(json_object_get(backend, "cause"));
	const char *state = json_string_value(json_object_get(backend, "state"));

	printf("%s of %s: added with weight %s", target->backend, target->service,
	       format_field(backend, "weight", UNIT_COUNT).text);
	if (cause && state && strcmp(state, "healthy") != 0)
		printf("; it %s", cause);
	printf("\n");
	if (json_array_size(json_object_get(backend, "changed")))
		print_unsaved();
}

static void print_removed(const struct target *target, const json_t *answer)
{
	const json_t *backend = json_object_get(answer, "backend");
	const char *open = format_field(answer, "connections", UNIT_COUNT).text;

	printf("%s of %s: ", target->backend, target->service);
	if (json_is_object(backend))
		printf("removed: no new connections; it is gone when %s have ended\n", open);
	else
		printf("removed and gone; it had %s connections\n", open);
	print_unsaved();
}

static bool is_asked(const json_t *backend)
{
	const char *state = json_string_value(json_object_get(backend, "state"));

	return state && !strcmp(state, "unknown") && json_is_null(json_object_get(backend, "mac"));
}

/* Puts what the backend is after a moment into the answer. */
static void look_again(const struct target *target, const char *instance, json_t *answer)
{
	char path[PATH_TEXT_MAX];
	json_t *backend;

	for (int i = 0; i < LOOKS && is_asked(json_object_get(answer, "backend")); i++) {
		usleep(LOOK_US);
		if (!change_path(target, true, path) || client_get(instance, path, &backend))
			return;
		json_object_set_new(answer, "backend", backend);
	}
}

/* Takes over backend. */
static int add(const struct target *target, json_t *backend)
{
	char instance[INSTANCE_NAME_MAX], path[PATH_TEXT_MAX];
	int status = EXIT_FAILURE, err;
	json_t *answer;

	if (!change_instance(target, instance) && change_path(target, false, path)) {
		err = client_post(instance, path, backend, &answer);
		if (!err)
			look_again(target, instance, answer);
		status = change_tell(target, answer, err, print_added);
	}
	json_decref(backend);
	return answer_end(status);
}

int add_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	struct target target;

	if (options_parse(add_options, argc, argv, values))
		return EXIT_USAGE;
	target = (struct target){values[ADD_SERVICE], values[ADD_BACKEND], values[ADD_INSTANCE],
				 values[ADD_JSON] != NULL};
	return add(&target, json_pack("{s:s,s:s*,s:s*}", "address", target.backend, "weight",
				      values[ADD_WEIGHT], "forward", values[ADD_FORWARD]));
}

int remove_command(int argc, char **argv)
{
	char instance[INSTANCE_NAME_MAX], path[PATH_TEXT_MAX];
	const char *values[OPTIONS_MAX];
	int status = EXIT_FAILURE, err;
	struct target target;
	json_t *answer;

	if (options_parse(remove_options, argc, argv, values))
		return EXIT_USAGE;
	target = (struct target){values[REMOVE_SERVICE], values[REMOVE_BACKEND],
				 values[REMOVE_INSTANCE], values[REMOVE_JSON] != NULL};
	if (!change_instance(&target, instance) && change_path(&target, true, path)) {
		if (values[REMOVE_NOW])
			strncat(path, "?now=yes", PATH_TEXT_MAX - strlen(path) - 1);
		err = client_delete(instance, path, &answer);
		status = change_tell(&target, answer, err, print_removed);
	}
	return answer_end(status);
}
