/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll reload`: the daemon reads its file again, and what differs comes into force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "log.h"

enum { CHECK, INSTANCE, JSON };

const struct option_row reload_options[] = {
	[CHECK] = {"--check", NULL, "only tell what would change", COMPLETE_NOTHING, false},
	[INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	[JSON] = {"--json", NULL, "the answer for machines; errors too", COMPLETE_NOTHING, false},
	{0},
};

static void print_sentences(const json_t *list, const char *indent)
{
	const json_t *sentence;
	size_t i;

	json_array_foreach (list, i, sentence)
		printf("%s%s\n", indent, json_string_value(sentence));
}

static void print_answer(const json_t *answer)
{
	const json_t *changes = json_object_get(answer, "changes");
	const json_t *undone = json_object_get(answer, "undone");
	bool checked = json_is_true(json_object_get(answer, "checked"));
	size_t count = json_array_size(changes), by_hand = json_array_size(undone);

	print_sentences(changes, "");
	if (by_hand)
		printf("%zu change%s made by hand %s undone by the file:\n", by_hand,
		       by_hand == 1 ? "" : "s",
		       checked	    ? "would be" :
		       by_hand == 1 ? "is" :
				      "are");
	print_sentences(undone, "  ");
	if (!count)
		printf("%s: nothing to change\n",
		       json_string_value(json_object_get(answer, "file")));
	else
		printf("%s %s: %zu change%s\n", json_string_value(json_object_get(answer, "file")),
		       checked ? "is not in force" : "is in force", count, count == 1 ? "" : "s");
}

static void print_mistakes(const json_t *mistakes)
{
	const json_t *mistake;
	size_t i;

	json_array_foreach (mistakes, i, mistake) {
		const char *key = json_string_value(json_object_get(mistake, "key"));
		json_int_t line = json_integer_value(json_object_get(mistake, "line"));

		fprintf(stderr, "%s:", json_string_value(json_object_get(mistake, "file")));
		if (line)
			fprintf(stderr, "%lld:", line);
		fprintf(stderr, " %s%s%s\n", key ? key : "", key ? ": " : "",
			json_string_value(json_object_get(mistake, "message")));
	}
}

static int tell(const json_t *answer, bool failed, bool json)
{
	const json_t *mistakes = json_object_get(answer, "mistakes");

	if (json)
		answer_print(answer, JSON_INDENT(2));
	else if (!failed)
		print_answer(answer);
	else if (mistakes)
		print_mistakes(mistakes);
	if (failed && !json)
		log_error("%s", mistakes ? "the file is refused: nothing has changed" :
					   client_error(answer));
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int reload_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	char instance[INSTANCE_NAME_MAX];
	json_t *question, *answer;
	int status, err;

	if (options_parse(reload_options, argc, argv, values))
		return EXIT_USAGE;
	if (answer_instance(values[JSON], values[INSTANCE], instance))
		return answer_end(EXIT_FAILURE);
	question = json_pack("{s:b}", "check", values[CHECK] != NULL);
	err = client_post(instance, "/api/v1/reload", question, &answer);
	status = tell(answer, err, values[JSON]);
	json_decref(question);
	json_decref(answer);
	return answer_end(status);
}
