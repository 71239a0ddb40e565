/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration as a file with every key that its role may have: reading it gives the same one. */
#include <ctype.h>
#include <string.h>

#include "config.h"
#include "format.h"
#include "table.h"

#define INDENT 2

static void write_fields(const struct mapping *mapping, enum config_role role, const char *value,
			 int indent, FILE *out);

/* Without quotes YAML takes it as it is, in a list in brackets too. */
static bool is_plain(const char *text)
{
	const char *c = text;

	if (!isalnum((unsigned char)*c) && *c != '/')
		return false;
	while (isalnum((unsigned char)*c) || (*c && strchr("._/-%", *c)))
		c++;
	return !*c;
}

static void write_text(const char *text, FILE *out)
{
	if (is_plain(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	}
	fputc('"', out);
}

/* "[eth0, eth1]" */
static void write_texts(const struct field *field, const char *items, size_t count, FILE *out)
{
	char text[FIELD_TEXT_MAX];

	fputs(" [", out);
	for (size_t i = 0; i < count; i++) {
		fputs(i ? ", " : "", out);
		item_format(field, items + i * field->size, text);
		write_text(text, out);
	}
	fputs("]\n", out);
}

static bool is_flat(const struct mapping *mapping)
{
	const struct field *field;

	for (field = mapping->fields; field->key; field++)
		if (field->mapping || field->list)
			return false;
	return true;
}

/* "{address: 10.1.0.3, weight: 1}" */
static void write_flat(const struct mapping *mapping, enum config_role role, const char *value,
		       FILE *out)
{
	const struct field *field;
	char text[FIELD_TEXT_MAX];
	bool first = true;

	fputc('{', out);
	for (field = mapping->fields; field->key; field++) {
		if (!(field->roles & FOR(role)) || !field_format(field, value, text))
			continue;
		fprintf(out, "%s%s: ", first ? "" : ", ", field->key);
		write_text(text, out);
		first = false;
	}
	fputs("}\n", out);
}

static void write_items(const struct field *field, enum config_role role, const char *items,
			size_t count, int indent, FILE *out)
{
	fputs(count ? "\n" : " []\n", out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%*s- ", indent, "");
		if (is_flat(field->mapping))
			write_flat(field->mapping, role, items + i * field->size, out);
		else
			write_fields(field->mapping, role, items + i * field->size, indent + INDENT,
				     out);
	}
}

static void write_list(const struct field *field, enum config_role role, const char *parent,
		       int indent, FILE *out)
{
	const char *items = *(char *const *)(parent + field->offset);
	size_t count = *(const size_t *)(parent + field->count_offset);

	fprintf(out, "%s:", field->key);
	if (field->mapping)
		write_items(field, role, items, count, indent + INDENT, out);
	else
		write_texts(field, items, count, out);
}

/* False if nothing was written. */
static bool write_field(const struct field *field, enum config_role role, const char *parent,
			int indent, bool first, FILE *out)
{
	char text[FIELD_TEXT_MAX];
	bool nested = field->list || field->mapping;

	if (!(field->roles & FOR(role)) || (!nested && !field_format(field, parent, text)))
		return false;
	/* The first one of an item stands behind its dash. */
	if (!first)
		fprintf(out, "%*s", indent, "");
	if (field->list) {
		write_list(field, role, parent, indent, out);
	} else if (field->mapping) {
		fprintf(out, "%s: ", field->key);
		write_flat(field->mapping, role, parent + field->offset, out);
	} else {
		fprintf(out, "%s: ", field->key);
		write_text(text, out);
		fputc('\n', out);
	}
	return true;
}

static void write_fields(const struct mapping *mapping, enum config_role role, const char *value,
			 int indent, FILE *out)
{
	const struct field *field;
	bool first = true;

	for (field = mapping->fields; field->key; field++)
		first &= !write_field(field, role, value, indent, first, out);
}

void config_write(const struct config *config, FILE *out)
{
	write_fields(&config_mapping, config->role, (const char *)config, 0, out);
}
