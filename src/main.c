/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of verbs, and the help that is made from it. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "balancer/balancer.h"
#include "cli/commands.h"
#include "log.h"
#include "server/server.h"
#include "similar.h"

#define EXIT_USAGE 2
#define MISTYPED_MAX 2 /* letters by which a word may differ from the verb meant */

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
	const char *arguments;
	const char *options; /* a line each */
};

#define INSTANCE_OF_DAEMON "  --instance NAME  where several run on one kernel: which one this is\n"
#define CONFIG_OF(role) "  --config FILE    the configuration, as in " role ".yaml\n"

static const struct verb verbs[] = {
	{"balancer", balancer_command, "run the balancer in the foreground",
	 "--config FILE [--instance NAME]", CONFIG_OF("balancer") INSTANCE_OF_DAEMON},
	{"server", server_command, "run the agent of a server in the foreground",
	 "--config FILE [--instance NAME]", CONFIG_OF("server") INSTANCE_OF_DAEMON},
	{"show", show_command, "show services, backends, their load and what became of packets",
	 "[--instance NAME] [--json]",
	 "  --instance NAME  whose; not needed where only one runs\n"
	 "  --json           everything, for machines; errors too\n"},
	{"load", load_command, "tell how loaded an application is, on its server",
	 "SERVICE VALUE [--for TIME] [--instance NAME]",
	 "  SERVICE          by its name or its address, as in server.yaml\n"
	 "  VALUE            from 0 to 1; reports bear it in place of the CPU's utilisation\n"
	 "  --for TIME       how long that holds unless it is said again; 5s if absent\n"
	 "  --instance NAME  which server, where several run on one kernel\n"},
	{"check-config", check_config_command, "tell every mistake in a configuration file",
	 "FILE | --explain [balancer|server]",
	 "  --explain        what may stand in a configuration file\n"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(void)
{
	size_t i;

	printf("Plimsoll is a layer-4 load balancer whose servers report their load in-band.\n\n"
	       "usage: plimsoll VERB [ARGUMENTS]; without a verb: show\n\n");
	for (i = 0; i < VERB_COUNT; i++)
		printf("  %-14s %s\n", verbs[i].name, verbs[i].help);
	printf("\n\"plimsoll VERB --help\" tells its arguments, \"plimsoll --version\" the version.\n");
}

static void print_verb_help(const struct verb *verb)
{
	printf("usage: plimsoll %s %s\n\n%s\n", verb->name, verb->arguments, verb->help);
	if (*verb->options)
		printf("\n%s", verb->options);
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
		print_verb_help(verb);
		return 0;
	}
	log_name(verb->name);
	return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
	char *bare[] = {"show", NULL};

	if (argc < 2)
		return run_verb(1, bare);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_help();
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("plimsoll %s\n", PLIMSOLL_VERSION);
		return 0;
	}
	return run_verb(argc - 1, argv + 1);
}
