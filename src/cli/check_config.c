/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* plimsoll check-config FILE, and --explain: what may stand in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "config.h"

#define EXIT_USAGE 2

static const char *const role_names[] = {
	[CONFIG_BALANCER] = "balancer",
	[CONFIG_SERVER] = "server",
};

static int usage(void)
{
	fputs("usage: plimsoll check-config FILE\n"
	      "       plimsoll check-config --explain [balancer|server]\n",
	      stderr);
	return EXIT_USAGE;
}

static void explain(enum config_role role)
{
	printf("The keys of a %s's configuration:\n\n", role_names[role]);
	config_explain(role, stdout);
}

static int explain_command(int argc, char **argv)
{
	if (argc == 0) {
		explain(CONFIG_BALANCER);
		putchar('\n');
		explain(CONFIG_SERVER);
	} else if (argc == 1 && !strcmp(argv[0], "balancer")) {
		explain(CONFIG_BALANCER);
	} else if (argc == 1 && !strcmp(argv[0], "server")) {
		explain(CONFIG_SERVER);
	} else {
		return usage();
	}
	return EXIT_SUCCESS;
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
	if (argc >= 2 && !strcmp(argv[1], "--explain"))
		return explain_command(argc - 2, argv + 2);
	if (argc != 2 || argv[1][0] == '-')
		return usage();
	return check_file(argv[1]);
}
