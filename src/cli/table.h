/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON objects as the lines of a table, in colours where they are wanted. */
#ifndef PLIMSOLL_TABLE_H
#define PLIMSOLL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/format.h"

#define SCREEN_COLUMNS 100 /* what is printed keeps to, where names are not overlong */

enum tone {
	TONE_PLAIN,
	TONE_STRONG,
	TONE_FAINT,
	TONE_BAD,
	TONE_BAR,
};

/* What begins and ends a tone; "" without colour. */
const char *tone_on(enum tone tone, bool colour);
const char *tone_off(enum tone tone, bool colour);

struct column {
	const char *title;
	const char *key;
	enum unit unit; /* text stands on the left, numbers on the right */
	bool reported; /* as old as the report; for table_tone() */
	bool bar; /* of number signs: how much of the largest in the column */
};

typedef enum tone table_tone(const struct column *column, const json_t *row);

/* A bar, which must be the last column, takes the room that is left and goes where there is none. */
void table_print(FILE *out, const struct column *columns, size_t count, const json_t *rows,
		 table_tone *tone, bool colour);

/* A text in words from `left` on, where the cursor stands, to the end of the line and below. */
void print_wrapped(FILE *out, const char *text, size_t left);

#endif
