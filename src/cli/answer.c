/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "log.h"
#include "runtime.h"

#define NUMBER_DIGITS 9 /* as many as the daemon sends */

_Static_assert(INSTANCE_NAME_MAX == sizeof(((struct runtime *)NULL)->name), "instance name");

bool wants_colour(void)
{
	const char *refused = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(refused && *refused) &&
	       !(terminal && !strcmp(terminal, "dumb"));
}

void answer_print(const json_t *answer, size_t flags)
{
	json_dumpf(answer, stdout, flags | JSON_REAL_PRECISION(NUMBER_DIGITS));
	putchar('\n');
}

static void print_error(const char *text)
{
	json_t *answer = json_pack("{s:s}", "error", text);

	answer_print(answer, JSON_INDENT(2));
	json_decref(answer);
}

int answer_fail(bool json, const char *format, ...)
{
	va_list arguments;
	char text[1024];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (json)
		print_error(text);
	else
		log_error("%s", text);
	return EXIT_FAILURE;
}

/* runtime_find() tells people by itself, and what there is to choose from. */
int answer_instance(bool json, const char *wanted, char name[INSTANCE_NAME_MAX])
{
	int err;

	client_wait(isatty(STDERR_FILENO) ? CLIENT_PATIENT_SHOWN : CLIENT_PATIENT);
	err = runtime_find(wanted, name, INSTANCE_NAME_MAX);

	if (err && json && wanted)
		answer_fail(true, "there is no instance %s", wanted);
	else if (err && json)
		answer_fail(true, "no instance to ask; --instance NAME names one");
	return err;
}

json_t *answer_get(bool json, const char *instance, const char *path)
{
	json_t *answer = NULL;

	if (!client_get(instance, path, &answer))
		return answer;
	answer_fail(json, "%s", client_error(answer));
	json_decref(answer);
	return NULL;
}

int answer_end(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	log_error("cannot write the answer: %m");
	return EXIT_FAILURE;
}
