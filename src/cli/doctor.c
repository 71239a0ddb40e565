/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll doctor`: what is wrong here, why it matters, and the command that mends it. */
#include "doctor/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/table.h"

#define EXIT_UNKNOWN 2 /* it could not be looked at */

enum { CONFIG, INSTANCE, JSON, ALL, EXPLAIN };

const struct option_row doctor_options[] = {
	[CONFIG] = {"--config", "FILE",
		    "the configuration to examine; without it, the one that runs here",
		    COMPLETE_FILE, false},
	[INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	[JSON] = {"--json", NULL, "everything, for machines; errors too", COMPLETE_NOTHING, false},
	[ALL] = {"--all", NULL, "what is well in full, too", COMPLETE_NOTHING, false},
	[EXPLAIN] = {"--explain", NULL, "tell what is looked at, and why; look at nothing",
		     COMPLETE_NOTHING, false},
	{0},
};

static void show_progress(const char *name)
{
	if (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO))
		fprintf(stderr, "\r\033[K%s%s", name ? "looking at " : "", name ? name : "");
}

static void keep_quiet(const char *name)
{
	(void)name;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool is(const json_t *object, enum result result)
{
	return !strcmp(text_of(object, "result"), result_name(result));
}

static enum tone tone_of(const json_t *object)
{
	return is(object, RESULT_WRONG) || is(object, RESULT_UNKNOWN) ? TONE_BAD :
	       is(object, RESULT_ADVICE)			      ? TONE_STRONG :
									TONE_FAINT;
}

static void print_finding(const json_t *finding, const char *name, bool colour)
{
	enum tone tone = tone_of(finding);

	printf("%s%-8s%s%-17s%s\n", tone_on(tone, colour), text_of(finding, "result"),
	       tone_off(tone, colour), name, text_of(finding, "saw"));
}

/* What is well in a line; what is not, with all there is to say. */
static void print_check(const json_t *check, bool all, bool colour)
{
	bool bad = !is(check, RESULT_OK) && !is(check, RESULT_SKIPPED);
	json_t *finding;
	size_t i;

	json_array_foreach (json_object_get(check, "findings"), i, finding) {
		const char *command = text_of(finding, "mend");

		if (bad && !all && (is(finding, RESULT_OK) || is(finding, RESULT_SKIPPED)))
			continue;
		if (!bad && !all && i)
			continue;
		print_finding(finding, text_of(check, "name"), colour);
		if (command && (bad || all))
			printf("%25smend: %s%s%s\n", "", tone_on(TONE_STRONG, colour), command,
			       tone_off(TONE_STRONG, colour));
	}
	if (bad)
		printf("%25swhy: %s\n", "", text_of(check, "why"));
}

static size_t count(const json_t *checks, enum result result)
{
	json_t *check;
	size_t i, found = 0;

	json_array_foreach ((json_t *)checks, i, check)
		found += is(check, result);
	return found;
}

static void print_answer(const json_t *answer, bool all, bool colour)
{
	json_t *checks = json_object_get(answer, "checks"), *check;
	size_t i;

	json_array_foreach (checks, i, check)
		print_check(check, all, colour);
	printf("\n%s %s: %zu checks, %zu well, %zu wrong, %zu with advice, %zu could not be made, %zu "
	       "not applicable\n",
	       text_of(answer, "role"),
	       text_of(answer, "instance") ? text_of(answer, "instance") :
					     text_of(answer, "config"),
	       json_array_size(checks), count(checks, RESULT_OK), count(checks, RESULT_WRONG),
	       count(checks, RESULT_ADVICE), count(checks, RESULT_UNKNOWN),
	       count(checks, RESULT_SKIPPED));
}

static int exit_status(enum result worst)
{
	return worst == RESULT_WRONG   ? EXIT_FAILURE :
	       worst == RESULT_UNKNOWN ? EXIT_UNKNOWN :
					 EXIT_SUCCESS;
}

/* Returns the exit status. */
static int run(const char **values)
{
	bool json = values[JSON];
	struct subject subject;
	enum result worst;
	json_t *answer;

	libbpf_quiet();
	if (subject_open(&subject, values[CONFIG], values[INSTANCE], json)) {
		subject_close(&subject);
		return EXIT_UNKNOWN;
	}
	answer = examine(&subject, json ? keep_quiet : show_progress, &worst);
	if (json)
		answer_print(answer, JSON_INDENT(2));
	else
		print_answer(answer, values[ALL], wants_colour());
	json_decref(answer);
	subject_close(&subject);
	return exit_status(worst);
}

int doctor_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];

	if (options_parse(doctor_options, argc, argv, values))
		return EXIT_USAGE;
	if (!values[EXPLAIN])
		return answer_end(run(values));
	examine_explain(stdout);
	return answer_end(EXIT_SUCCESS);
}
