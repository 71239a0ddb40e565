/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "table.h"

#define INDENT 4

static void explain_mapping(const struct mapping *mapping, enum config_role role, int indent,
			    FILE *out);

static void explain_field(const struct field *field, enum config_role role, int indent, FILE *out)
{
	char expected[EXPECTED_MAX];

	fprintf(out, "%*s%s: ", indent, "", field->key);
	if (field->required)
		fprintf(out, "required\n");
	else if (field->fallback)
		fprintf(out, "default %s\n", field->fallback);
	else
		fprintf(out, "optional\n");
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
