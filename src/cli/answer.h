/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How every verb answers. To people on stdout, and what went wrong on stderr; to machines (--json) both as
 * JSON on stdout, where an object with "error" is an answer, too. Only of a mistyped command line do
 * machines hear on stderr, like people.
 */
#ifndef PLIMSOLL_ANSWER_H
#define PLIMSOLL_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define EXIT_USAGE 2

#define INSTANCE_NAME_MAX 64

/* Colours are for terminals that want them. */
bool wants_colour(void);

/* On stdout. The flags of json_dumpf() beside those that all answers have: JSON_INDENT(2), say. */
void answer_print(const json_t *answer, size_t flags);

/* Says what went wrong, in the manner that is asked for. Returns EXIT_FAILURE. */
int answer_fail(bool json, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As runtime_find(), and the failure is told in either manner. */
int answer_instance(bool json, const char *wanted, char name[INSTANCE_NAME_MAX]);

/* What the instance's daemon answers on a path, a new reference; NULL and told if it does not. */
json_t *answer_get(bool json, const char *instance, const char *path);

/* Everything; and who it is, its role and what its services are called: with thousands of them much less. */
#define STATUS_PATH "/api/v1/status"
#define IDENTITY_PATH "/api/v1/instance"

/* Flushes what was printed. Returns the status, or EXIT_FAILURE if it could not be written. */
int answer_end(int status);

#endif
