/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every key that a configuration may have, in one table per mapping. The same row reads a value,
 * gives its default, says what was expected instead of a wrong one, and explains the key to people.
 */
#ifndef PLIMSOLL_CONFIG_TABLE_H
#define PLIMSOLL_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define FIELDS_MAX 24 /* of one mapping, its end included */

struct field;
struct mapping;

/* Returns NULL, or what is wrong with the text: `is not a prime`. */
typedef const char *parse_function(const struct field *field, const char *text, void *value);

struct choice {
	const char *name;
	unsigned int value;
	bool planned; /* in the design, not built yet */
};

struct field {
	const char *key;
	unsigned int roles; /* whose: bits of FOR() */
	bool required;
	const char *sentence;
	const char *expected; /* NULL: one of `choices` */
	const char *fallback; /* the default, as text */

	/*
	 * What the value is: a text (`parse`), a mapping (`mapping`), or, with `list`, a list of
	 * either. For a list, offset and count_offset say where its pointer and its length go, size
	 * is that of an item, and max is how many there may be.
	 */
	parse_function *parse;
	const struct mapping *mapping;
	bool list;
	bool may_be_empty;
	size_t offset;
	size_t size; /* 0: checked, but not kept */
	size_t count_offset;
	size_t line_offset; /* of an item's `int line`; 0: has none */
	uint64_t min; /* of a number or duration */
	uint64_t max;
	const struct choice *choices;
	/* Why a daemon that runs cannot take another value, "what ..."; NULL: it can. */
	const char *fixed;
};

struct mapping {
	const char *name; /* "a service" */
	const struct field *fields; /* the first without a key ends them */
};

#define FOR(role) (1U << (role))

extern const struct mapping config_mapping;
extern const struct mapping service_mapping;

extern const struct choice protocols[];
extern const struct choice forwards[];
extern const struct choice policies[];
extern const struct choice signals[];
extern const struct choice feedbacks[];
extern const struct choice checks[];

/* The row of a key, or NULL. */
const struct field *field_find(const struct mapping *mapping, const char *key);

/* What would be right, in words; `text` may or may not be where they are. */
#define EXPECTED_MAX 160
const char *field_expected(const struct field *field, char text[EXPECTED_MAX]);

#endif
