/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "explain.h"

#include <string.h>

#include "table.h"

#define INDENT 4
#define MANUAL_COLUMNS 76

static void explain_mapping(const struct mapping *mapping, enum config_role role, int indent,
			    FILE *out);

static void print_default(const struct field *field, FILE *out)
{
	if (field->required)
		fprintf(out, "required\n");
	else if (field->fallback)
		fprintf(out, "default %s\n", field->fallback);
	else
		fprintf(out, "optional\n");
}

static void explain_field(const struct field *field, enum config_role role, int indent, FILE *out)
{
	char expected[EXPECTED_MAX];

	fprintf(out, "%*s%s: ", indent, "", field->key);
	print_default(field, out);
	fprintf(out, "%*s%s\n", indent + INDENT, "", field->sentence);
	fprintf(out, "%*sExpected: %s.\n", indent + INDENT, "", field_expected(field, expected));
	if (field->mapping)
		explain_mapping(field->mapping, role, indent + INDENT, out);
}

static void explain_mapping(const struct mapping *mapping, enum config_role role, int indent,
			    FILE *out)
{
	const struct field *field;

	for (field = mapping->fields; field->key; field++) {
		if (field->roles & FOR(role))
			explain_field(field, role, indent, out);
	}
}

void config_explain(enum config_role role, FILE *out)
{
	explain_mapping(&config_mapping, role, 0, out);
}

/* A line that began with one of these would be taken for a macro. */
static bool begins_macro(const char *text)
{
	return *text == '.' || *text == '\'';
}

void print_manual_text(FILE *out, const char *text)
{
	size_t column = 0, length;

	while (*text) {
		length = strcspn(text, " ");
		if (column && column + length > MANUAL_COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		fprintf(out, "%s%s%.*s", column ? " " : "",
			!column && begins_macro(text) ? "\\&" : "", (int)length, text);
		column += length + 1;
		text += length + strspn(text + length, " ");
	}
	fputc('\n', out);
}

static void list_mapping(const struct mapping *mapping, enum config_role role, FILE *out);

static void list_field(const struct field *field, enum config_role role, FILE *out)
{
	char expected[EXPECTED_MAX], text[EXPECTED_MAX + 16];

	fprintf(out, ".It Ic %s : ", field->key);
	print_default(field, out);
	print_manual_text(out, field->sentence);
	snprintf(text, sizeof(text), "Expected: %s.", field_expected(field, expected));
	print_manual_text(out, text);
	if (field->mapping)
		list_mapping(field->mapping, role, out);
}

static void list_mapping(const struct mapping *mapping, enum config_role role, FILE *out)
{
	const struct field *field;

	fputs(".Bl -tag -width Ds\n", out);
	for (field = mapping->fields; field->key; field++) {
		if (field->roles & FOR(role))
			list_field(field, role, out);
	}
	fputs(".El\n", out);
}

void config_explain_manual(enum config_role role, FILE *out)
{
	list_mapping(&config_mapping, role, out);
}
