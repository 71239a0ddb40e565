/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The numbers of the API as people read them. */
#ifndef PLIMSOLL_FORMAT_H
#define PLIMSOLL_FORMAT_H

#include <jansson.h>
#include <stdbool.h>

enum unit {
	UNIT_TEXT, /* as it is */
	UNIT_COUNT, /* 950, 12.3M */
	UNIT_BYTES, /* 950B, 12.3kB */
	UNIT_RATE, /* 127.5, 12345, 1.2M */
	UNIT_FRACTION, /* 0..1, in per cent */
	UNIT_MICROSECONDS, /* 840us, 12.5ms, 3.2s, 2m05s */
	UNIT_MILLISECONDS, /* the same from another unit */
	UNIT_SECONDS,
};

/* By value, so that several may be used in one printf: format_field(...).text. */
struct formatted {
	char text[72];
};

/* "-" for null, for a missing field and for one of another type. */
struct formatted format_field(const json_t *object, const char *key, enum unit unit);

/* False, and *number is 0, for the same. */
bool field_number(const json_t *object, const char *key, double *number);

#endif
