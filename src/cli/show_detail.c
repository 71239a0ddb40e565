/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One service, or one backend, with everything that the daemon tells of it. */
#include <stdlib.h>
#include <string.h>

#include "cli/show.h"
#include "cli/table.h"

#define LABEL_MAX 32

/* The unit that a field's name bears, or that is known of it. */
static const struct {
	const char *end;
	enum unit unit;
} units[] = {
	{"_us", UNIT_MICROSECONDS},	{"_ms", UNIT_MILLISECONDS},	 {"_seconds", UNIT_SECONDS},
	{"_per_second", UNIT_RATE},	{"bytes", UNIT_BYTES},		 {"share", UNIT_FRACTION},
	{"utilisation", UNIT_FRACTION}, {"accept_queue", UNIT_FRACTION}, {"in_force", UNIT_RATE},
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && !strcmp(text + length - tail, end);
}

/* Writes the field's name as a label, without what only says the unit of a number. */
static enum unit read_name(const char *name, char label[LABEL_MAX])
{
	enum unit unit = UNIT_COUNT;
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && unit == UNIT_COUNT; i++) {
		if (!ends_with(name, units[i].end))
			continue;
		unit = units[i].unit;
		if (unit == UNIT_MICROSECONDS || unit == UNIT_MILLISECONDS)
			length -= strlen(units[i].end);
	}
	snprintf(label, LABEL_MAX, "%.*s", (int)length, name);
	for (char *letter = label; *letter; letter++)
		if (*letter == '_')
			*letter = ' ';
	return unit;
}

/* "weight, draining" */
static void print_words(FILE *out, const json_t *words)
{
	json_t *word;
	size_t i;

	json_array_foreach (words, i, word)
		fprintf(out, "%s%s", i ? ", " : "", json_string_value(word));
	if (!json_array_size(words))
		fputs("nothing", out);
}

static void print_value(FILE *out, const json_t *object, const char *name, const json_t *value,
			enum unit unit)
{
	if (json_is_boolean(value))
		fputs(json_is_true(value) ? "yes" : "no", out);
	else if (json_is_array(value))
		print_words(out, value);
	else if (json_is_number(value))
		fputs(format_field(object, name, unit).text, out);
	else
		fputs(json_is_string(value) ? json_string_value(value) : "-", out);
}

/* A line for every field that is no object or list of such. */
static void print_fields(FILE *out, json_t *object, bool colour)
{
	char label[LABEL_MAX];
	const char *name;
	json_t *value;
	enum unit unit;

	json_object_foreach (object, name, value) {
		if (json_is_object(value) || json_is_object(json_array_get(value, 0)))
			continue;
		unit = read_name(name, label);
		fprintf(out, "  %s%-22s%s ", tone_on(TONE_FAINT, colour), label,
			tone_off(TONE_FAINT, colour));
		print_value(out, object, name, value, unit);
		fputc('\n', out);
	}
}

static bool is_called(const json_t *object, const char *word)
{
	const char *name = json_string_value(json_object_get(object, "name"));
	const char *address = json_string_value(json_object_get(object, "address"));

	return (name && !strcmp(name, word)) || (address && !strcmp(address, word));
}

json_t *show_find(const json_t *list, const char *word)
{
	json_t *object;
	size_t i;

	json_array_foreach (list, i, object)
		if (is_called(object, word))
			return object;
	return NULL;
}

char *show_names(const json_t *list)
{
	const char *name;
	json_t *object;
	char *names = NULL;
	size_t i, length;
	FILE *out = open_memstream(&names, &length);

	if (!out)
		return NULL;
	json_array_foreach (list, i, object) {
		name = json_string_value(json_object_get(object, "name"));
		if (!name)
			name = json_string_value(json_object_get(object, "address"));
		fprintf(out, "%s%s", i ? ", " : "", name ? name : "-");
	}
	fclose(out);
	return names;
}

void show_render_service(FILE *out, json_t *service, bool colour)
{
	fprintf(out, "%sservice %s%s\n", tone_on(TONE_STRONG, colour),
		format_field(service, "name", UNIT_TEXT).text, tone_off(TONE_STRONG, colour));
	print_fields(out, service, colour);
	if (json_object_get(service, "backends")) {
		fputc('\n', out);
		show_render_backends(out, service, colour);
	}
}

void show_render_backend(FILE *out, const json_t *service, json_t *backend, bool colour)
{
	fprintf(out, "%sbackend %s of service %s%s\n", tone_on(TONE_STRONG, colour),
		format_field(backend, "address", UNIT_TEXT).text,
		format_field(service, "name", UNIT_TEXT).text, tone_off(TONE_STRONG, colour));
	print_fields(out, backend, colour);
}
