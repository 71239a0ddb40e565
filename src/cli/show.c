/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll show`: what a daemon tells, for people or for machines. */
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Of a list, by its name or address, a new reference; NULL and told if there is none. */
static json_t *find(bool json, const char *kind, const json_t *list, const char *word)
{
	json_t *found = show_find(list, word);
	char *names;

	if (found)
		return json_incref(found);
	names = show_names(list);
	answer_fail(json, "there is no %s \"%s\" here; there are: %s", kind, word,
		    names && *names ? names : "none");
	free(names);
	return NULL;
}

/* Likewise. Of a server's services the identity has all that there is. */
static json_t *ask_service(bool json, const char *instance, const char *wanted)
{
	json_t *identity = answer_get(json, instance, IDENTITY_PATH), *service = NULL;
	const char *role = json_string_value(json_object_get(identity, "role"));
	char path[PATH_TEXT_MAX];

	if (identity)
		service = find(json, "service", json_object_get(identity, "services"), wanted);
	if (service && role && !strcmp(role, "balancer")) {
		json_decref(service);
		service = client_service_path(wanted, "", "", path) ?
				  answer_get(json, instance, path) :
				  NULL;
	}
	json_decref(identity);
	return service;
}

/* Returns the exit status, as those below. */
static int show_all(bool json, const char *instance)
{
	json_t *status = answer_get(json, instance, STATUS_PATH);
	int result = status ? EXIT_SUCCESS : EXIT_FAILURE;

	if (status && json)
		answer_print(status, JSON_INDENT(2));
	else if (status)
		show_render(stdout, status, wants_colour());
	json_decref(status);
	return result;
}

static int show_service(bool json, const char *instance, const char *wanted)
{
	json_t *service = ask_service(json, instance, wanted);
	int result = service ? EXIT_SUCCESS : EXIT_FAILURE;

	if (service && json)
		answer_print(service, JSON_INDENT(2));
	else if (service)
		show_render_service(stdout, service, wants_colour());
	json_decref(service);
	return result;
}

static int show_backend(bool json, const char *instance, const char *wanted, const char *address)
{
	json_t *service = ask_service(json, instance, wanted), *backend = NULL;
	int result;

	if (service)
		backend = find(json, "backend", json_object_get(service, "backends"), address);
	if (backend && json)
		answer_print(backend, JSON_INDENT(2));
	else if (backend)
		show_render_backend(stdout, service, backend, wants_colour());
	result = backend ? EXIT_SUCCESS : EXIT_FAILURE;
	json_decref(backend);
	json_decref(service);
	return result;
}

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

static int show(const char **values)
{
	char instance[INSTANCE_NAME_MAX];
	bool json = values[JSON];

	if (answer_instance(json, values[INSTANCE], instance))
		return EXIT_FAILURE;
	if (values[CONFIG] && values[SERVICE]) {
		log_error("--config shows all of the configuration; leave \"%s\" out",
			  values[SERVICE]);
		return EXIT_USAGE;
	}
	if (values[CONFIG])
		return show_config(json, instance);
	if (values[BACKEND])
		return show_backend(json, instance, values[SERVICE], values[BACKEND]);
	if (values[SERVICE])
		return show_service(json, instance, values[SERVICE]);
	return show_all(json, instance);
}

int show_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];

	if (options_parse(show_options, argc, argv, values))
		return EXIT_USAGE;
	return answer_end(show(values));
}
