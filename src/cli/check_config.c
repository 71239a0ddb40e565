/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* plimsoll check-config FILE: is it right? And --explain: what may stand in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/commands.h"
#include "config.h"
#include "log.h"

static const char *const role_names[] = {
	[CONFIG_BALANCER] = "balancer",
	[CONFIG_SERVER] = "server",
};

enum { EXPLAIN, JSON, FILE_TO_CHECK };

const struct option_row check_config_options[] = {
	[EXPLAIN] = {"--explain", NULL, "tell what may stand in a configuration file",
		     COMPLETE_NOTHING, false},
	[JSON] = {"--json", NULL, "the result for machines; mistakes too", COMPLETE_NOTHING, false},
	[FILE_TO_CHECK] =
		{"FILE", "balancer|server",
		 "the file to check; with --explain: balancer or server, for its keys alone",
		 COMPLETE_FILE, false},
	{0},
};

static void explain(enum config_role role)
{
	printf("The keys of a %s's configuration:\n\n", role_names[role]);
	config_explain(role, stdout);
}

/* role: NULL for both. */
static int explain_roles(const char *role)
{
	bool found = false;

	for (size_t i = 0; i < sizeof(role_names) / sizeof(role_names[0]); i++) {
		if (role && strcmp(role, role_names[i]))
			continue;
		if (found)
			putchar('\n');
		explain((enum config_role)i);
		found = true;
	}
	if (found)
		return EXIT_SUCCESS;
	log_error("there is no role \"%s\" to explain; balancer and server are", role);
	return EXIT_USAGE;
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static size_t count_backends(const struct config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->service_count; i++)
		count += config->services[i].backend_count;
	return count;
}

static void print_valid(const char *path, const struct config *config)
{
	size_t backends = count_backends(config);

	printf("%s: a valid %s configuration: %zu service%s, ", path, role_names[config->role],
	       config->service_count, plural(config->service_count));
	if (config->role == CONFIG_BALANCER)
		printf("%zu backend%s\n", backends, plural(backends));
	else
		printf("%zu balancer%s\n", config->balancer_count, plural(config->balancer_count));
}

static json_t *describe_valid(const char *path, const struct config *config)
{
	json_t *answer =
		json_pack("{s:s, s:s, s:i, s:[]}", "file", path, "role", role_names[config->role],
			  "services", (int)config->service_count, "mistakes");

	if (config->role == CONFIG_BALANCER)
		json_object_set_new(answer, "backends",
				    json_integer((json_int_t)count_backends(config)));
	else
		json_object_set_new(answer, "balancers",
				    json_integer((json_int_t)config->balancer_count));
	return answer;
}

static void list_mistake(const char *path, int line, const char *key, const char *message,
			 void *mistakes)
{
	json_t *mistake =
		json_pack("{s:s, s:s?, s:s}", "file", path, "key", key, "message", message);

	json_object_set_new(mistake, "line", line ? json_integer(line) : json_null());
	json_array_append_new(mistakes, mistake);
}

static json_t *describe_mistakes(const char *path, json_t *mistakes)
{
	return json_pack("{s:o, s:O}", "error",
			 json_sprintf("%s is no valid configuration; see \"mistakes\"", path),
			 "mistakes", mistakes);
}

static int read_file(const char *path, struct config **config, config_mistake *tell, void *context)
{
	enum config_role role;
	int err = config_guess_role(path, &role, tell, context);

	return err ? err : config_read(path, role, config, tell, context);
}

static int check_file(const char *path)
{
	struct config *config = NULL;

	if (read_file(path, &config, config_print_mistake, stderr))
		return EXIT_FAILURE;
	print_valid(path, config);
	config_free(config);
	return EXIT_SUCCESS;
}

static int check_file_json(const char *path)
{
	struct config *config = NULL;
	json_t *mistakes = json_array(), *answer;
	int err = read_file(path, &config, list_mistake, mistakes);

	answer = err ? describe_mistakes(path, mistakes) : describe_valid(path, config);
	answer_print(answer, JSON_INDENT(2));
	json_decref(answer);
	json_decref(mistakes);
	config_free(config);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int check_config_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];

	if (options_parse(check_config_options, argc, argv, values))
		return EXIT_USAGE;
	if (values[EXPLAIN] && values[JSON]) {
		log_error(
			"--explain is for people, --json for the check of a file; expected one of them");
		return EXIT_USAGE;
	}
	if (values[EXPLAIN])
		return answer_end(explain_roles(values[FILE_TO_CHECK]));
	if (values[FILE_TO_CHECK])
		return answer_end(values[JSON] ? check_file_json(values[FILE_TO_CHECK]) :
						 check_file(values[FILE_TO_CHECK]));
	log_error("say which file: plimsoll check-config balancer.yaml; or --explain");
	return EXIT_USAGE;
}
