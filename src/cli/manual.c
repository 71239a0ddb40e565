/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `plimsoll manual`: pages of the manual, in mdoc. What can be known from the tables of verbs, of
 * their options and of the configuration's keys comes from there; what has to be told comes from
 * doc/man, where a file has the name of its page: what stands before its first heading goes before
 * the options, the rest behind them. A verb without such a file has a page as well.
 */
#include "cli/manual.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "config.h"
#include "config/explain.h"
#include "log.h"

#define EXIT_USAGE 2
#define MANUAL_DATE "November 24, 2026"

enum { PAGE, PROSE };

const struct option_row manual_options[] = {
	[PAGE] = {"PAGE", NULL, "its name, such as plimsoll-show.8; without one, all names",
		  COMPLETE_NOTHING, false},
	[PROSE] = {"--prose", "FILE", "what is to be told besides the tables", COMPLETE_FILE,
		   false},
	{0},
};

struct page {
	const char *name;
	char *prose;
	const char *sections; /* the prose from its first heading on */
	int told; /* characters before it */
	const struct verb *verbs;
	const struct verb *verb; /* NULL: plimsoll itself, or a configuration file */
};

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file) {
		log_error("%s: cannot read it: %m", path);
		return NULL;
	}
	if (getdelim(&text, &size, '\0', file) < 0)
		log_error("%s: nothing stands in it", path);
	fclose(file);
	return text;
}

static int read_prose(struct page *page, const char *path)
{
	page->prose = path ? read_file(path) : strdup("");
	if (!page->prose)
		return -1;
	page->sections = strstr(page->prose, ".Sh ");
	if (!page->sections)
		page->sections = page->prose + strlen(page->prose);
	page->told = (int)(page->sections - page->prose);
	return 0;
}

static void print_head(const struct page *page, const char *section, const char *title,
		       const char *purpose)
{
	const char *letter;

	printf(".Dd " MANUAL_DATE "\n.Dt ");
	for (letter = title; *letter; letter++)
		putchar(toupper((unsigned char)*letter));
	printf(" %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n", section, title, purpose);
	printf(".Sh SYNOPSIS\n");
	if (*section == '5')
		printf(".Nm %s\n", title);
	else if (!page->verb)
		printf(".Nm\n.Op Ar verb Op Ar arguments\n");
}

/* With what it takes; that is a word, or behind "=" one that may be left out. */
static void print_name(const struct option_row *row)
{
	if (is_operand(row))
		printf("Ar %s\n", row->name);
	else if (!row->value)
		printf("Fl \\-%s\n", row->name + 2);
	else if (takes_word(row))
		printf("Fl \\-%s Ar %s\n", row->name + 2, row->value);
	else
		printf("Fl \\-%s Ns Op = Ns Ar %.*s\n", row->name + 2,
		       (int)strcspn(row->value + 2, "]"), row->value + 2);
}

static void print_usage(const struct verb *verb)
{
	const struct option_row *row;

	printf(".Nm plimsoll\n.Cm %s\n", verb->name);
	for (row = verb->options; row->name; row++) {
		printf(".%s", row->required ? "" : "Op ");
		print_name(row);
	}
}

static void print_options(const struct option_row *row)
{
	if (!row->name)
		return;
	printf(".Bl -tag -width Ds\n");
	for (; row->name; row++) {
		printf(".It ");
		print_name(row);
		print_manual_text(stdout, row->help);
	}
	printf(".El\n");
}

static void print_verb_page(const struct page *page, const char *title)
{
	print_head(page, "8", title, page->verb->help);
	print_usage(page->verb);
	printf(".Sh DESCRIPTION\n%.*s", page->told, page->prose);
	print_options(page->verb->options);
	if (!strstr(page->sections, ".Sh EXIT STATUS")) /* unless a verb has its own */
		printf(".Sh EXIT STATUS\n0: done. 1: it could not be done; standard error says why. "
		       "2: wrong usage.\n");
	printf("%s.Sh SEE ALSO\n.Xr plimsoll 8\n", page->sections);
}

static void print_main_page(const struct page *page)
{
	const struct verb *verb;

	print_head(page, "8", "plimsoll", "layer-4 load balancer with in-band load reports");
	printf(".Sh DESCRIPTION\n%.*s.Pp\nThe verbs:\n.Bl -tag -width Ds\n", page->told,
	       page->prose);
	for (verb = page->verbs; verb->name; verb++)
		printf(".It Xo\n.Cm %s ,\n.Xr plimsoll-%s 8\n.Xc\n%s.\n", verb->name, verb->name,
		       verb->help);
	printf(".El\n%s.Sh SEE ALSO\n.Xr plimsoll-balancer.yaml 5 ,\n.Xr plimsoll-server.yaml 5\n",
	       page->sections);
}

static void print_config_page(const struct page *page, enum config_role role, const char *title)
{
	print_head(page, "5", title,
		   role == CONFIG_BALANCER ? "configuration of a Plimsoll balancer" :
					     "configuration of the Plimsoll agent on a server");
	printf(".Sh DESCRIPTION\n%.*s.Pp\nThe keys:\n", page->told, page->prose);
	config_explain_manual(role, stdout);
	printf("%s.Sh SEE ALSO\n.Xr plimsoll 8 ,\n.Xr plimsoll-%s 8\n", page->sections,
	       role == CONFIG_BALANCER ? "balancer" : "server");
}

static void list_pages(const struct verb *verbs)
{
	printf("plimsoll.8\nplimsoll-balancer.yaml.5\nplimsoll-server.yaml.5\n");
	for (; verbs->name; verbs++)
		printf("plimsoll-%s.8\n", verbs->name);
}

/* Is the name "plimsoll-VERB.8"? */
static bool names_verb(const char *name, const struct verb *verb)
{
	static const char prefix[] = "plimsoll-";
	size_t length = strlen(verb->name);

	return !strncmp(name, prefix, strlen(prefix)) &&
	       !strncmp(name + strlen(prefix), verb->name, length) &&
	       !strcmp(name + strlen(prefix) + length, ".8");
}

static int print_page(struct page *page)
{
	char title[64];

	if (!strcmp(page->name, "plimsoll.8")) {
		print_main_page(page);
		return EXIT_SUCCESS;
	}
	if (!strcmp(page->name, "plimsoll-balancer.yaml.5")) {
		print_config_page(page, CONFIG_BALANCER, "plimsoll-balancer.yaml");
		return EXIT_SUCCESS;
	}
	if (!strcmp(page->name, "plimsoll-server.yaml.5")) {
		print_config_page(page, CONFIG_SERVER, "plimsoll-server.yaml");
		return EXIT_SUCCESS;
	}
	for (page->verb = page->verbs; page->verb->name; page->verb++) {
		if (!names_verb(page->name, page->verb))
			continue;
		snprintf(title, sizeof(title), "plimsoll-%s", page->verb->name);
		print_verb_page(page, title);
		return EXIT_SUCCESS;
	}
	log_error("there is no page \"%s\"; \"plimsoll manual\" lists those that there are",
		  page->name);
	return EXIT_USAGE;
}

int manual(const struct verb *verbs, int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	struct page page = {.verbs = verbs};
	int status;

	if (options_parse(manual_options, argc, argv, values))
		return EXIT_USAGE;
	if (!values[PAGE]) {
		list_pages(verbs);
		return EXIT_SUCCESS;
	}
	page.name = values[PAGE];
	if (read_prose(&page, values[PROSE]))
		return EXIT_FAILURE;
	status = print_page(&page);
	free(page.prose);
	return status;
}
