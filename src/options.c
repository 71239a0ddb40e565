/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "log.h"
#include "similar.h"

#define MISTYPED_MAX 2 /* letters by which an option may differ from the one meant */

bool is_operand(const struct option_row *row)
{
	return row->name[0] != '-';
}

bool takes_word(const struct option_row *row)
{
	return row->value && row->value[0] != '[';
}

static int refuse_option(const struct option_row *rows, const char *verb, const char *word)
{
	const struct option_row *row;

	for (row = rows; row->name; row++) {
		if (is_operand(row) || word_distance(word, row->name) > MISTYPED_MAX)
			continue;
		log_error("unknown option \"%s\"; did you mean \"%s\"?", word, row->name);
		return -EINVAL;
	}
	log_error("unknown option \"%s\"; see \"plimsoll %s --help\"", word, verb);
	return -EINVAL;
}

/* The options for getopt_long(), which answers with their place in the table, from 1. */
static void list_options(const struct option_row *rows, struct option known[OPTIONS_MAX])
{
	size_t i, count = 0;

	for (i = 0; rows[i].name; i++) {
		if (is_operand(&rows[i]))
			continue;
		known[count++] = (struct option){
			.name = rows[i].name + strlen("--"),
			.has_arg = takes_word(&rows[i]) ? required_argument :
				   rows[i].value	? optional_argument :
							  no_argument,
			.val = (int)i + 1,
		};
	}
	known[count] = (struct option){0};
}

static int parse_options(const struct option_row *rows, int argc, char **argv, const char **values)
{
	struct option known[OPTIONS_MAX];
	int place;

	list_options(rows, known);
	optind = 0; /* for a second table in one process */
	opterr = 0;
	while ((place = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		if (place == ':') {
			log_error("%s needs a value; see \"plimsoll %s --help\"", argv[optind - 1],
				  argv[0]);
			return -EINVAL;
		}
		if (place == '?')
			return refuse_option(rows, argv[0], argv[optind - 1]);
		values[place - 1] = optarg ? optarg : "";
	}
	return 0;
}

/* Where a file is taken, one that stands alone is mostly meant to be it. */
static int refuse_operand(const struct option_row *rows, const char *verb, const char *word)
{
	const struct option_row *row;

	for (row = rows; row->name; row++) {
		if (strcmp(row->name, "--config") != 0 || !row->value)
			continue;
		log_error("unexpected \"%s\"; did you mean \"%s %s\"?", word, row->name, word);
		return -EINVAL;
	}
	log_error("unexpected \"%s\"; see \"plimsoll %s --help\"", word, verb);
	return -EINVAL;
}

static int parse_operands(const struct option_row *rows, int argc, char **argv, const char **values)
{
	size_t i;
	int next = optind;

	for (i = 0; rows[i].name && next < argc; i++)
		if (is_operand(&rows[i]))
			values[i] = argv[next++];
	return next < argc ? refuse_operand(rows, argv[0], argv[next]) : 0;
}

static int require(const struct option_row *row, const char *verb)
{
	log_error("%s%s%s is missing: %s; see \"plimsoll %s --help\"", row->name,
		  row->value ? " " : "", row->value ? row->value : "", row->help, verb);
	return -EINVAL;
}

int options_parse(const struct option_row *rows, int argc, char **argv,
		  const char *values[OPTIONS_MAX])
{
	size_t i;
	int err;

	memset(values, 0, OPTIONS_MAX * sizeof(*values));
	err = parse_options(rows, argc, argv, values);
	if (!err)
		err = parse_operands(rows, argc, argv, values);
	for (i = 0; !err && rows[i].name; i++)
		if (rows[i].required && !values[i])
			err = require(&rows[i], argv[0]);
	return err;
}

static int name_width(const struct option_row *row)
{
	size_t width = strlen(row->name);

	if (row->value && !is_operand(row))
		width += takes_word(row) + strlen(row->value);
	return (int)width;
}

static void print_name(FILE *out, const struct option_row *row)
{
	fputs(row->name, out);
	if (row->value && !is_operand(row))
		fprintf(out, "%s%s", takes_word(row) ? " " : "", row->value);
}

/* "--config FILE [--json] [SERVICE]": one row of that. */
static void print_usage(FILE *out, const struct option_row *row)
{
	fputs(row->required ? "" : "[", out);
	print_name(out, row);
	fputs(row->required ? "" : "]", out);
}

void verb_print_help(FILE *out, const struct verb *verb)
{
	const struct option_row *row;
	int width = 0;

	fprintf(out, "usage: plimsoll %s", verb->name);
	for (row = verb->options; row->name; row++) {
		fputc(' ', out);
		print_usage(out, row);
		width = name_width(row) > width ? name_width(row) : width;
	}
	fprintf(out, "\n\n%s\n%s", verb->help, verb->options->name ? "\n" : "");
	for (row = verb->options; row->name; row++) {
		fputs("  ", out);
		print_name(out, row);
		fprintf(out, "%*s  %s\n", width - name_width(row), "", row->help);
	}
}
