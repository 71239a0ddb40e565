/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* plimsoll check-config FILE, and --explain: what may stand in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "config.h"
#include "log.h"

#define EXIT_USAGE 2

static const char *const role_names[] = {
	[CONFIG_BALANCER] = "balancer",
	[CONFIG_SERVER] = "server",
};

enum { EXPLAIN, FILE_TO_CHECK };

const struct option_row check_config_options[] = {
	[EXPLAIN] = {"--explain", NULL, "tell what may stand in a configuration file",
		     COMPLETE_NOTHING, false},
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

static void print_valid(const char *path, const struct config *config)
{
	size_t backends = 0;
	size_t i;

	for (i = 0; i < config->service_count; i++)
		backends += config->services[i].backend_count;
	printf("%s: a valid %s configuration: %zu service%s, ", path, role_names[config->role],
	       config->service_count, plural(config->service_count));
	if (config->role == CONFIG_BALANCER)
		printf("%zu backend%s\n", backends, plural(backends));
	else
		printf("%zu balancer%s\n", config->balancer_count, plural(config->balancer_count));
}

static int check_file(const char *path)
{
	struct config *config;
	enum config_role role;

	if (config_guess_role(path, &role, stderr) || config_load(path, role, &config, stderr))
		return EXIT_FAILURE;
	print_valid(path, config);
	config_free(config);
	return EXIT_SUCCESS;
}

int check_config_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];

	if (options_parse(check_config_options, argc, argv, values))
		return EXIT_USAGE;
	if (values[EXPLAIN])
		return explain_roles(values[FILE_TO_CHECK]);
	if (values[FILE_TO_CHECK])
		return check_file(values[FILE_TO_CHECK]);
	log_error("say which file: plimsoll check-config balancer.yaml; or --explain");
	return EXIT_USAGE;
}
