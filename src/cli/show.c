/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll show`: what a daemon tells, for people or for machines. */
#include "cli/show.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "log.h"
#include "runtime.h"

#define EXIT_USAGE 2
#define NUMBER_DIGITS 9 /* as many as the daemon sends */

struct options {
	const char *instance;
	bool json;
};

static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"instance", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	int letter;

	while ((letter = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		switch (letter) {
		case 'i':
			options->instance = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case ':':
			log_error("%s needs a value; see \"plimsoll show --help\"",
				  argv[optind - 1]);
			return EXIT_USAGE;
		default:
			log_error("unknown option %s; see \"plimsoll show --help\"",
				  argv[optind - 1]);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		log_error("unexpected \"%s\"; see \"plimsoll show --help\"", argv[optind]);
		return EXIT_USAGE;
	}
	return 0;
}

static bool wants_colour(void)
{
	const char *refused = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(refused && *refused) &&
	       !(terminal && !strcmp(terminal, "dumb"));
}

static void print_json(const json_t *answer)
{
	json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(NUMBER_DIGITS));
	putchar('\n');
}

/* For machines only: runtime_find() has told people already, and what there is to choose from. */
static json_t *no_instance(const char *given)
{
	if (given)
		return json_pack("{s:o}", "error", json_sprintf("there is no instance %s", given));
	return json_pack("{s:s}", "error", "no instance to ask; --instance NAME names one");
}

/* Returns the exit status. */
static int show(const struct options *options)
{
	char instance[sizeof(((struct runtime *)NULL)->name)];
	json_t *answer = NULL;
	int err, found;

	found = runtime_find(options->instance, instance, sizeof(instance));
	if (found)
		answer = no_instance(options->instance);
	err = found ? found : client_get(instance, "/api/v1/status", &answer);
	if (options->json)
		print_json(answer);
	else if (!err)
		show_render(stdout, answer, wants_colour());
	else if (!found)
		log_error("%s", client_error(answer));
	json_decref(answer);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int show_command(int argc, char **argv)
{
	struct options options = {0};
	int status;

	status = parse_options(argc, argv, &options);
	if (status)
		return status;
	status = show(&options);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("cannot write the answer: %m");
		return EXIT_FAILURE;
	}
	return status;
}
