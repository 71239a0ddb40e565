/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What may stand behind a verb, as rows of one table. The same row is what the verb parses, --help
 * prints, shells complete and the manual describes.
 */
#ifndef PLIMSOLL_OPTIONS_H
#define PLIMSOLL_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#define OPTIONS_MAX 24 /* of one verb, the end of the table included */

/* What a shell may offer in the place of a value. */
enum completion {
	COMPLETE_NOTHING,
	COMPLETE_FILE,
	COMPLETE_INSTANCE,
	COMPLETE_SERVICE,
	COMPLETE_BACKEND,
};

struct option_row {
	const char *name; /* "--json", or, of an operand, "SERVICE" */
	/*
	 * What the option takes, "NAME"; NULL: nothing. "[=NAME]": it may, behind "=" only. "a|b": these words; an
	 * operand may be one, too.
	 */
	const char *value;
	const char *help; /* without a full stop */
	enum completion completion;
	bool required;
};

struct verb {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
	const char *help;
	const struct option_row *options; /* the first without a name ends them */
};

bool is_operand(const struct option_row *row);

/* Whether an option's value may be a word of its own: one that may be left out may not. */
bool takes_word(const struct option_row *row);

/*
 * Parses a verb's arguments: values[i] is what stands in the place of rows[i], "" for an option
 * that takes nothing, NULL if absent. Operands are taken in the order of their rows. Says what is
 * wrong. Returns 0 or -EINVAL.
 */
int options_parse(const struct option_row *rows, int argc, char **argv,
		  const char *values[OPTIONS_MAX]);

/* "usage: plimsoll show [--json]" and what each of them means. */
void verb_print_help(FILE *out, const struct verb *verb);

#endif
