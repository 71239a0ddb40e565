/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/format.h"

#include <stdio.h>

/* Four digits at most, then the next prefix; never a fraction of a single thing. */
static struct formatted scaled(double number, double limit, const char *unit)
{
	static const char prefixes[] = {'k', 'M', 'G', 'T', 'P'};
	struct formatted out;
	size_t i = 0;

	if (number < limit) {
		snprintf(out.text, sizeof(out.text), "%.0f%s", number, unit);
		return out;
	}
	number /= 1000;
	while (number >= 999.95 && i < sizeof(prefixes) - 1) {
		number /= 1000;
		i++;
	}
	snprintf(out.text, sizeof(out.text), "%.1f%c%s", number, prefixes[i], unit);
	return out;
}

static struct formatted rate(double number)
{
	struct formatted out;

	if (number >= 999.95)
		return scaled(number, 999999.5, "");
	snprintf(out.text, sizeof(out.text), "%.1f", number);
	return out;
}

static struct formatted fraction(double number)
{
	struct formatted out;

	if (number > 0 && number * 100 <= 0.5)
		snprintf(out.text, sizeof(out.text), "<1%%");
	else
		snprintf(out.text, sizeof(out.text), "%.0f%%", number * 100);
	return out;
}

static struct formatted long_duration(unsigned long seconds)
{
	struct formatted out;

	if (seconds < 3600)
		snprintf(out.text, sizeof(out.text), "%lum%02lus", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(out.text, sizeof(out.text), "%luh%02lum", seconds / 3600,
			 seconds / 60 % 60);
	else
		snprintf(out.text, sizeof(out.text), "%lud%02luh", seconds / 86400,
			 seconds / 3600 % 24);
	return out;
}

/* The limits are where printf would round up to one digit more. */
static struct formatted duration(double us)
{
	struct formatted out;

	if (us < 999.5)
		snprintf(out.text, sizeof(out.text), "%.0fus", us);
	else if (us < 99950)
		snprintf(out.text, sizeof(out.text), "%.1fms", us / 1e3);
	else if (us < 999500)
		snprintf(out.text, sizeof(out.text), "%.0fms", us / 1e3);
	else if (us < 59950000)
		snprintf(out.text, sizeof(out.text), "%.1fs", us / 1e6);
	else
		return long_duration((unsigned long)(us / 1e6 + 0.5));
	return out;
}

static struct formatted format_number(double number, enum unit unit)
{
	switch (unit) {
	case UNIT_BYTES:
		return scaled(number, 999.5, "B");
	case UNIT_RATE:
		return rate(number);
	case UNIT_FRACTION:
		return fraction(number);
	case UNIT_MICROSECONDS:
		return duration(number);
	case UNIT_MILLISECONDS:
		return duration(number * 1e3);
	case UNIT_SECONDS:
		return duration(number * 1e6);
	case UNIT_TEXT:
	case UNIT_COUNT:
		break;
	}
	return scaled(number, 999999.5, "");
}

bool field_number(const json_t *object, const char *key, double *number)
{
	const json_t *value = json_object_get(object, key);

	*number = json_number_value(value);
	return json_is_number(value);
}

struct formatted format_field(const json_t *object, const char *key, enum unit unit)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct formatted out;
	double number;

	if (unit != UNIT_TEXT && field_number(object, key, &number))
		return format_number(number, unit);
	snprintf(out.text, sizeof(out.text), "%s", unit == UNIT_TEXT && text ? text : "-");
	return out;
}
