/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `plimsoll complete -- WORDS`: what may stand in place of the last word. For the scripts in
 * packaging/completion, which know nothing of verbs and options themselves: a candidate a line,
 * with a tab and what it means; a tab and "files" where names of files are wanted.
 */
#include "cli/complete.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "runtime.h"

struct line {
	char **words; /* behind the verb */
	size_t count; /* the unfinished last one not included */
	const char *last;
	int prefix; /* characters before it that belong to each candidate, too: "--instance=" */
	const struct option_row *rows;
};

static void offer(const struct line *line, const char *word, const char *help)
{
	if (word && !strncmp(word, line->last, strlen(line->last)))
		printf("%.*s%s\t%s\n", line->prefix, line->last - line->prefix, word,
		       help ? help : "");
}

static const struct option_row *find_option(const struct option_row *rows, const char *word,
					    size_t length)
{
	const struct option_row *row;

	for (row = rows; row->name; row++)
		if (!is_operand(row) && !strncmp(row->name, word, length) && !row->name[length])
			return row;
	return NULL;
}

static bool takes_value(const struct line *line, const char *word)
{
	const struct option_row *row = find_option(line->rows, word, strlen(word));

	return row && takes_word(row);
}

/* The word that stands in the place of an operand, from 0; NULL if there is none. */
static const char *operand_word(const struct line *line, size_t place)
{
	size_t i, found = 0;

	for (i = 0; i < line->count; i++) {
		if (line->words[i][0] == '-')
			i += takes_value(line, line->words[i]);
		else if (found++ == place)
			return line->words[i];
	}
	return NULL;
}

static const char *option_word(const struct line *line, const char *name)
{
	size_t i, length = strlen(name);

	for (i = 0; i < line->count; i++) {
		if (!strcmp(line->words[i], name))
			return i + 1 < line->count ? line->words[i + 1] : NULL;
		if (!strncmp(line->words[i], name, length) && line->words[i][length] == '=')
			return line->words[i] + length + 1;
	}
	return NULL;
}

static void offer_instance(const char *name, void *context)
{
	offer(context, name, "instance");
}

/* What the instance meant answers; NULL if it does not. */
static json_t *ask_instance(const struct line *line, const char *path)
{
	char instance[sizeof(((struct runtime *)NULL)->name)];
	json_t *answer = NULL;

	if (runtime_find(option_word(line, "--instance"), instance, sizeof(instance)))
		return NULL;
	if (!client_get(instance, path, &answer))
		return answer;
	json_decref(answer);
	return NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void offer_services(const struct line *line)
{
	json_t *identity = ask_instance(line, IDENTITY_PATH), *service;
	size_t i;

	json_array_foreach (json_object_get(identity, "services"), i, service) {
		offer(line, text_of(service, "name"), text_of(service, "address"));
		if (!text_of(service, "name"))
			offer(line, text_of(service, "address"), "service");
	}
	json_decref(identity);
}

/* Of the service that the line names; of all, if it names none. */
static const char *service_word(const struct line *line)
{
	const struct option_row *row;
	size_t place = 0;

	for (row = line->rows; row->name; row++) {
		if (row->completion == COMPLETE_SERVICE)
			return is_operand(row) ? operand_word(line, place) :
						 option_word(line, row->name);
		place += is_operand(row);
	}
	return NULL;
}

static void offer_backends(const struct line *line)
{
	const char *wanted = service_word(line);
	char path[PATH_TEXT_MAX] = "/api/v1/backends";
	json_t *answer, *backend;
	size_t i;

	if (wanted && !client_service_path(wanted, "", "", path))
		return;
	answer = ask_instance(line, path);
	json_array_foreach (json_object_get(answer, "backends"), i, backend)
		offer(line, text_of(backend, "address"), text_of(backend, "state"));
	json_decref(answer);
}

/* "a|b|c" */
static void offer_choices(const struct line *line, const char *choices)
{
	char *copy = strdup(choices), *rest = copy, *word;

	while (copy && (word = strsep(&rest, "|")))
		offer(line, word, "");
	free(copy);
}

static void offer_value(const struct line *line, const struct option_row *row)
{
	if (row->value && strchr(row->value, '|'))
		offer_choices(line, row->value);
	switch (row->completion) {
	case COMPLETE_NOTHING:
		break;
	case COMPLETE_FILE:
		puts("\tfiles");
		break;
	case COMPLETE_INSTANCE:
		runtime_each(offer_instance, (void *)line);
		break;
	case COMPLETE_SERVICE:
		offer_services(line);
		break;
	case COMPLETE_BACKEND:
		offer_backends(line);
		break;
	}
}

static bool is_given(const struct line *line, const char *option)
{
	size_t i;

	for (i = 0; i < line->count; i++)
		if (!strcmp(line->words[i], option))
			return true;
	return false;
}

static void offer_options(const struct line *line)
{
	const struct option_row *row;

	for (row = line->rows; row->name; row++)
		if (!is_operand(row) && !is_given(line, row->name))
			offer(line, row->name, row->help);
	offer(line, "--help", "tell the arguments");
}

static void offer_operand(const struct line *line)
{
	const struct option_row *row;
	size_t place = 0;

	for (row = line->rows; row->name; row++) {
		if (is_operand(row) && !operand_word(line, place++)) {
			offer_value(line, row);
			return;
		}
	}
	offer_options(line);
}

static void complete_argument(struct line *line)
{
	const char *equals = strchr(line->last, '=');
	const struct option_row *row = NULL;

	if (line->count)
		row = find_option(line->rows, line->words[line->count - 1],
				  strlen(line->words[line->count - 1]));
	if (row && takes_word(row)) {
		offer_value(line, row);
	} else if (line->last[0] != '-') {
		offer_operand(line);
	} else if (!equals) {
		offer_options(line);
	} else {
		row = find_option(line->rows, line->last, (size_t)(equals - line->last));
		line->prefix = (int)(equals + 1 - line->last);
		line->last = equals + 1;
		if (row)
			offer_value(line, row);
	}
}

static void complete_verb(const struct verb *verbs, const struct line *line)
{
	const struct verb *verb;

	for (verb = verbs; verb->name; verb++)
		offer(line, verb->name, verb->help);
	if (line->last[0] == '-') {
		offer(line, "--help", "list the verbs");
		offer(line, "--version", "tell the version");
	}
}

int complete(const struct verb *verbs, int argc, char **argv)
{
	const struct verb *verb;
	struct line line = {.last = argc ? argv[argc - 1] : ""};

	if (argc < 2) {
		complete_verb(verbs, &line);
		return EXIT_SUCCESS;
	}
	line.words = argv + 1;
	line.count = (size_t)argc - 2;
	for (verb = verbs; verb->name; verb++) {
		if (strcmp(verb->name, argv[0]))
			continue;
		line.rows = verb->options;
		complete_argument(&line);
	}
	return EXIT_SUCCESS;
}
