/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of verbs, and the help that is made from it. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "balancer/balancer.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/manual.h"
#include "daemon.h"
#include "log.h"
#include "options.h"
#include "server/server.h"
#include "similar.h"

#define EXIT_USAGE 2
#define MISTYPED_MAX 2 /* letters by which a word may differ from the verb meant */

static int complete_command(int argc, char **argv);
static int manual_command(int argc, char **argv);

static const struct option_row complete_options[] = {
	{"WORDS", NULL, "behind \"--\", those of a command line; the last may be unfinished",
	 COMPLETE_NOTHING, true},
	{0},
};

static const struct verb verbs[] = {
	{"balancer", balancer_command, "run the balancer in the foreground", daemon_options},
	{"server", server_command, "run the agent of a server in the foreground", daemon_options},
	{"show", show_command, "show services, backends, their load and what became of packets",
	 show_options},
	{"top", top_command, "show backends and their load live, in an order that one chooses",
	 top_options},
	{"trace", trace_command, "tell what becomes of chosen packets as they pass, and why",
	 trace_options},
	{"where", where_command, "tell which backend a connection has, or would get, and why",
	 where_options},
	{"load", load_command, "tell how loaded an application is, on its server", load_options},
	{"weight", weight_command, "give a backend another weight while the balancer runs",
	 weight_options},
	{"drain", drain_command, "send a backend no new connections, and keep those it has",
	 drain_options},
	{"undrain", undrain_command, "send a drained backend new connections again",
	 undrain_options},
	{"add", add_command, "add a backend to a service while the balancer runs", add_options},
	{"remove", remove_command, "remove a backend when its last connection has ended",
	 remove_options},
	{"reload", reload_command, "read the configuration file again, and change what differs",
	 reload_options},
	{"doctor", doctor_command, "tell what is wrong here, why it matters, and what mends it",
	 doctor_options},
	{"check-config", check_config_command, "tell every mistake in a configuration file",
	 check_config_options},
	{"complete", complete_command, "tell shells what may come next on a command line",
	 complete_options},
	{"manual", manual_command, "print a page of the manual, in mdoc", manual_options},
	{0},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]) - 1)

static int complete_command(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--")) {
		log_error(
			"\"--\" and the words of a command line are missing; see \"plimsoll complete "
			"--help\"");
		return EXIT_USAGE;
	}
	return complete(verbs, argc - 2, argv + 2);
}

static int manual_command(int argc, char **argv)
{
	return manual(verbs, argc, argv);
}

static void print_help(void)
{
	size_t i;

	printf("Plimsoll is a layer-4 load balancer whose servers report their load in-band.\n\n"
	       "usage: plimsoll VERB [ARGUMENTS]; without a verb: show\n\n");
	for (i = 0; i < VERB_COUNT; i++)
		printf("  %-14s %s\n", verbs[i].name, verbs[i].help);
	printf("\n\"plimsoll VERB --help\" tells its arguments, \"plimsoll --version\" the version.\n");
}

static bool asks_for_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static const struct verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < VERB_COUNT; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* The verb that was probably meant: one that begins so, or is spelled nearly so. */
static const struct verb *guess_verb(const char *word)
{
	size_t length = strlen(word), i;

	if (length < 2)
		return NULL;
	for (i = 0; i < VERB_COUNT; i++)
		if (!strncmp(verbs[i].name, word, length))
			return &verbs[i];
	for (i = 0; i < VERB_COUNT; i++)
		if (word_distance(word, verbs[i].name) <= MISTYPED_MAX)
			return &verbs[i];
	return NULL;
}

static int refuse_word(const char *word)
{
	const char *kind = word[0] == '-' ? "option" : "verb";
	const struct verb *guess = guess_verb(word);

	if (guess)
		log_error("unknown %s \"%s\"; did you mean \"%s\"?", kind, word, guess->name);
	else
		log_error("unknown %s \"%s\"; \"plimsoll --help\" lists what there is", kind, word);
	return EXIT_USAGE;
}

static int run_verb(int argc, char **argv)
{
	const struct verb *verb = find_verb(argv[0]);

	if (!verb)
		return refuse_word(argv[0]);
	if (asks_for_help(argc, argv)) {
		verb_print_help(stdout, verb);
		return 0;
	}
	log_name(verb->name);
	return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
	char *bare[] = {"show", NULL};
	char *help[] = {argc > 2 ? argv[2] : NULL, "--help", NULL};

	if (argc < 2)
		return run_verb(1, bare);
	if (!strcmp(argv[1], "help") && argc > 2)
		return run_verb(2, help);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help();
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("plimsoll %s\n", PLIMSOLL_VERSION);
		return 0;
	}
	return run_verb(argc - 1, argv + 1);
}
