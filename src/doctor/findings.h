/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a check has seen: any number of sentences, each with a result and, where one helps, a command. */
#ifndef PLIMSOLL_DOCTOR_FINDINGS_H
#define PLIMSOLL_DOCTOR_FINDINGS_H

#include <jansson.h>

/* The worst of several is the greatest. */
enum result {
	RESULT_OK,
	RESULT_SKIPPED, /* does not apply here, or not now */
	RESULT_ADVICE, /* works, and could work better */
	RESULT_UNKNOWN, /* could not be looked at */
	RESULT_WRONG,
};

struct findings {
	json_t *list; /* objects with "result", "saw" and "mend" (a command, or null) */
	enum result worst;
};

const char *result_name(enum result result);

void saw(struct findings *findings, enum result result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The command that mends what was seen last. */
void mend(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
