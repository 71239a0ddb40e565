/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll weight`, and what the verbs that change a backend while its balancer runs have in common. */
#include "cli/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "log.h"
#include "shared.h"

enum { WEIGHT_SERVICE, WEIGHT_BACKEND, WEIGHT, WEIGHT_INSTANCE, WEIGHT_JSON };

const struct option_row weight_options[] = {
	[WEIGHT_SERVICE] = {"SERVICE", NULL, "by its name or its address", COMPLETE_SERVICE, true},
	[WEIGHT_BACKEND] = {"BACKEND", NULL, "by its address", COMPLETE_BACKEND, true},
	[WEIGHT] = {"WEIGHT", NULL, "a whole number from 1 to 1000; the others' stay",
		    COMPLETE_NOTHING, true},
	[WEIGHT_INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
			     COMPLETE_INSTANCE, false},
	[WEIGHT_JSON] = {"--json", NULL, "the answer for machines; errors too", COMPLETE_NOTHING,
			 false},
	{0},
};

_Static_assert(WEIGHT_MAX == 1000, "the help of WEIGHT");

bool change_path(const struct target *target, bool with_backend, char path[PATH_TEXT_MAX])
{
	if (client_service_path(target->service, with_backend ? "/backends/" : "/backends",
				with_backend ? target->backend : "", path))
		return true;
	answer_fail(target->json, "no service and no backend has so long a name");
	return false;
}

void change_print_backend(const struct target *target, const json_t *answer)
{
	const json_t *backend = json_object_get(answer, "backend");
	const char *state = json_string_value(json_object_get(backend, "state"));

	printf("%s of %s: weight %s, ", target->backend, target->service,
	       format_field(backend, "weight", UNIT_COUNT).text);
	if (state && !strcmp(state, "draining"))
		printf("draining: no new connections, %s left\n",
		       format_field(backend, "open_connections", UNIT_COUNT).text);
	else
		printf("new connections: yes\n");
	if (json_array_size(json_object_get(backend, "changed")))
		printf("The balancer's file says otherwise; this holds, for a next daemon "
		       "too, until it is read again.\n");
}

/* A server's daemon would only say that nothing is changed there. */
static int require_balancer(const struct target *target, const char *instance)
{
	json_t *identity = answer_get(target->json, instance, IDENTITY_PATH);
	const char *role = json_string_value(json_object_get(identity, "role"));
	int err = identity ? 0 : -EIO;

	if (identity && (!role || strcmp(role, "balancer") != 0)) {
		answer_fail(target->json,
			    "instance %s is no balancer; services and backends are a balancer's",
			    instance);
		err = -EINVAL;
	}
	json_decref(identity);
	return err;
}

int change_instance(const struct target *target, char *instance)
{
	int err = answer_instance(target->json, target->instance, instance);

	return err ? err : require_balancer(target, instance);
}

int change_tell(const struct target *target, json_t *answer, int err,
		void (*print)(const struct target *target, const json_t *answer))
{
	const char *warning = json_string_value(json_object_get(answer, "warning"));

	if (err)
		answer_fail(target->json, "%s", client_error(answer));
	else if (target->json)
		answer_print(answer, JSON_INDENT(2));
	else
		print(target, answer);
	if (!target->json && warning)
		log_warning("%s", warning);
	json_decref(answer);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int change_backend(const struct target *target, json_t *change)
{
	char instance[INSTANCE_NAME_MAX], path[PATH_TEXT_MAX];
	int status = EXIT_FAILURE, err;
	json_t *answer;

	if (!change_instance(target, instance) && change_path(target, true, path)) {
		err = client_post(instance, path, change, &answer);
		status = change_tell(target, answer, err, change_print_backend);
	}
	json_decref(change);
	return status;
}

/* False if it is none, and told. */
static bool read_weight(const char *text, int *weight)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	*weight = (int)number;
	if (end != text && !*end && !errno && number >= 1 && number <= WEIGHT_MAX)
		return true;
	log_error(
		"\"%s\" is no weight: a whole number from 1 to %d is; \"plimsoll drain\" keeps new "
		"connections away",
		text, WEIGHT_MAX);
	return false;
}

int weight_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	struct target target;
	int weight;

	if (options_parse(weight_options, argc, argv, values) ||
	    !read_weight(values[WEIGHT], &weight))
		return EXIT_USAGE;
	target = (struct target){values[WEIGHT_SERVICE], values[WEIGHT_BACKEND],
				 values[WEIGHT_INSTANCE], values[WEIGHT_JSON] != NULL};
	return answer_end(change_backend(&target, json_pack("{s:i}", "weight", weight)));
}
