/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll show`: what a daemon tells, for people or for machines. */
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "log.h"

enum { SERVICE, BACKEND, CONFIG, INSTANCE, JSON };

const struct option_row show_options[] = {
	[SERVICE] = {"SERVICE", NULL, "only this one, in detail; by its name or address",
		     COMPLETE_SERVICE, false},
	[BACKEND] = {"BACKEND", NULL, "only this one of its backends, by its address",
		     COMPLETE_BACKEND, false},
	[CONFIG] = {"--config", NULL,
		    "the configuration in force instead, with what was changed by hand, as a file",
		    COMPLETE_NOTHING, false},
	[INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	[JSON] = {"--json", NULL, "everything, for machines; errors too", COMPLETE_NOTHING, false},
	{0},
};

/* What of the status is asked for. */
struct subject {
	json_t *service; /* NULL: all */
	json_t *backend; /* NULL: all of the service's */
};

static json_t *find(bool json, const char *kind, const json_t *list, const char *word)
{
	json_t *found = show_find(list, word);
	char *names;

	if (found)
		return found;
	names = show_names(list);
	answer_fail(json, "there is no %s \"%s\" here; there are: %s", kind, word,
		    names && *names ? names : "none");
	free(names);
	return NULL;
}

/* False if there is no such thing, and told. */
static bool find_subject(const char **values, const json_t *status, struct subject *subject)
{
	bool json = values[JSON];

	*subject = (struct subject){0};
	if (!values[SERVICE])
		return true;
	subject->service =
		find(json, "service", json_object_get(status, "services"), values[SERVICE]);
	if (!subject->service || !values[BACKEND])
		return subject->service;
	subject->backend = find(json, "backend", json_object_get(subject->service, "backends"),
				values[BACKEND]);
	return subject->backend;
}

static void show_subject(const struct subject *subject, json_t *status, bool json)
{
	if (json)
		answer_print(subject->backend ? subject->backend :
			     subject->service ? subject->service :
						status,
			     JSON_INDENT(2));
	else if (subject->backend)
		show_render_backend(stdout, subject->service, subject->backend, wants_colour());
	else if (subject->service)
		show_render_service(stdout, subject->service, wants_colour());
	else
		show_render(stdout, status, wants_colour());
}

/* Returns the exit status. */
static int show_config(bool json, const char *instance)
{
	json_t *answer;
	int err = client_get(instance, "/api/v1/config", &answer);

	if (err)
		answer_fail(json, "%s", client_error(answer));
	else if (json)
		answer_print(answer, JSON_INDENT(2));
	else
		fputs(json_string_value(json_object_get(answer, "config")), stdout);
	json_decref(answer);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Likewise. */
static int show(const char **values)
{
	char instance[INSTANCE_NAME_MAX];
	struct subject subject;
	json_t *status;
	bool found;

	if (answer_instance(values[JSON], values[INSTANCE], instance))
		return EXIT_FAILURE;
	if (values[CONFIG] && values[SERVICE]) {
		log_error("--config shows all of the configuration; leave \"%s\" out",
			  values[SERVICE]);
		return EXIT_USAGE;
	}
	if (values[CONFIG])
		return show_config(values[JSON], instance);
	status = answer_status(values[JSON], instance);
	if (!status)
		return EXIT_FAILURE;
	found = find_subject(values, status, &subject);
	if (found)
		show_subject(&subject, status, values[JSON]);
	json_decref(status);
	return found ? EXIT_SUCCESS : EXIT_FAILURE;
}

int show_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];

	if (options_parse(show_options, argc, argv, values))
		return EXIT_USAGE;
	return answer_end(show(values));
}
