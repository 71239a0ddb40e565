/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll show`: what a daemon tells, for people or for machines. */
#include "cli/show.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "log.h"
#include "runtime.h"

#define EXIT_USAGE 2
#define NUMBER_DIGITS 9 /* as many as the daemon sends */

enum { INSTANCE, JSON };

const struct option_row show_options[] = {
	[INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	[JSON] = {"--json", NULL, "everything, for machines; errors too", COMPLETE_NOTHING, false},
	{0},
};

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
static int show(const char *wanted, bool json)
{
	char instance[sizeof(((struct runtime *)NULL)->name)];
	json_t *answer = NULL;
	int err, found;

	found = runtime_find(wanted, instance, sizeof(instance));
	if (found)
		answer = no_instance(wanted);
	err = found ? found : client_get(instance, "/api/v1/status", &answer);
	if (json)
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
	const char *values[OPTIONS_MAX];
	int status;

	if (options_parse(show_options, argc, argv, values))
		return EXIT_USAGE;
	status = show(values[INSTANCE], values[JSON]);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("cannot write the answer: %m");
		return EXIT_FAILURE;
	}
	return status;
}
