/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unknown.h"

/* In all lists together: a short file of aliases could otherwise fill the memory. */
#define ITEMS_MAX (2 * (BACKENDS_MAX + SERVICES_MAX))

static void wrong_value(struct config_source *source, const struct field *field,
			const yaml_node_t *node, const char *wrong)
{
	char expected[EXPECTED_MAX];
	char quoted[QUOTED_MAX];

	source_mistake(source, node_line(node), field->key, "%s %s; expected %s",
		       node_quote(node, quoted), wrong, field_expected(field, expected));
}

static void read_text(struct config_source *source, const struct field *field,
		      const yaml_node_t *node, void *value)
{
	const char *text = node_text(node);
	const char *wrong;

	if (node->type != YAML_SCALAR_NODE)
		wrong = "is not a text";
	else if (!text)
		wrong = "holds a NUL byte";
	else
		wrong = field->parse(field, text, value);
	if (wrong)
		wrong_value(source, field, node, wrong);
}

static void refuse_twin(struct config_source *source, const struct field *field,
			const yaml_node_t *node, const char *items, size_t index)
{
	static const char unset[CONFIG_NAME_MAX];
	const char *item = items + index * field->size;
	size_t i;

	/* What could not be read has been told already. */
	if (!memcmp(item, unset, field->size))
		return;
	for (i = 0; i < index; i++) {
		if (!memcmp(items + i * field->size, item, field->size)) {
			wrong_value(source, field, node, "is there twice");
			return;
		}
	}
}

/* The values of a mapping that is no mapping keep their defaults. */
static int read_nested(struct config_source *source, const struct field *field,
		       enum config_role role, const yaml_node_t *node, void *value)
{
	if (node->type == YAML_MAPPING_NODE)
		return read_mapping(source, field->mapping, role, node, value);
	wrong_value(source, field, node, "is not a mapping");
	return 0;
}

static int read_item(struct config_source *source, const struct field *field, enum config_role role,
		     const yaml_node_t *node, char *items, size_t index)
{
	char *item = items + index * field->size;

	if (field->line_offset)
		*(int *)(item + field->line_offset) = node_line(node);
	if (field->mapping)
		return read_nested(source, field, role, node, item);
	read_text(source, field, node, item);
	refuse_twin(source, field, node, items, index);
	return 0;
}

/* NULL if the node is a list of bearable length. */
static const char *list_complaint(struct config_source *source, const struct field *field,
				  const yaml_node_t *node, size_t *count)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return "is not a list";
	*count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (*count == 0 && !field->may_be_empty)
		return "is empty";
	source->items += *count;
	return *count > field->max || source->items > ITEMS_MAX ? "has too many items" : NULL;
}

static int read_list(struct config_source *source, const struct field *field, enum config_role role,
		     const yaml_node_t *node, char *parent)
{
	const char *wrong;
	size_t count, i;
	char *items;
	int err = 0;

	wrong = list_complaint(source, field, node, &count);
	if (wrong) {
		wrong_value(source, field, node, wrong);
		return 0;
	}
	items = calloc(count + 1, field->size);
	if (!items)
		return -ENOMEM;
	*(void **)(parent + field->offset) = items;
	*(size_t *)(parent + field->count_offset) = count;
	for (i = 0; i < count && !err && !source_given_up(source); i++)
		err = read_item(source, field, role, source_item(source, node, i), items, i);
	return err;
}

static int read_value(struct config_source *source, const struct field *field,
		      enum config_role role, const yaml_node_t *node, char *parent)
{
	if (field->list)
		return read_list(source, field, role, node, parent);
	if (field->mapping)
		return read_nested(source, field, role, node, parent + field->offset);
	read_text(source, field, node, parent + field->offset);
	return 0;
}

/* A table whose defaults its own parsers refuse would be our bug: the unit tests read them all. */
void set_defaults(const struct mapping *mapping, char *value)
{
	const struct field *field;

	for (field = mapping->fields; field->key; field++) {
		if (field->fallback)
			field->parse(field, field->fallback, value + field->offset);
		else if (field->mapping && !field->list)
			set_defaults(field->mapping, value + field->offset);
	}
}

/* Tells what is wrong with a key and returns NULL, or returns its row. */
static const struct field *read_key(struct config_source *source, const struct mapping *mapping,
				    enum config_role role, const yaml_node_t *node,
				    const int lines[FIELDS_MAX])
{
	const char *text = node_text(node);
	const struct field *field = text ? field_find(mapping, text) : NULL;
	int line = node_line(node);

	if (!field)
		unknown_key(source, mapping, role, node);
	else if (!(field->roles & FOR(role)))
		source_mistake(source, line, text,
			       "\"%s\" is a key of a %s's configuration; expected a %s's only",
			       text, role == CONFIG_SERVER ? "balancer" : "server",
			       role == CONFIG_SERVER ? "server" : "balancer");
	else if (lines[field - mapping->fields])
		source_mistake(source, line, text,
			       "\"%s\" is given twice; expected it only once, on line %d", text,
			       lines[field - mapping->fields]);
	else
		return field;
	return NULL;
}

static void require(struct config_source *source, const struct mapping *mapping,
		    enum config_role role, int line, const int lines[FIELDS_MAX])
{
	char expected[EXPECTED_MAX];
	const struct field *field;

	for (field = mapping->fields; field->key; field++) {
		if (field->required && field->roles & FOR(role) && !lines[field - mapping->fields])
			source_mistake(source, line, field->key, "is missing in %s; expected %s",
				       mapping->name, field_expected(field, expected));
	}
}

int read_mapping(struct config_source *source, const struct mapping *mapping, enum config_role role,
		 const yaml_node_t *node, void *value)
{
	int lines[FIELDS_MAX] = {0}; /* of each field's key */
	const yaml_node_pair_t *pair;
	const struct field *field;
	yaml_node_t *key;
	int err = 0;

	set_defaults(mapping, value);
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		if (err || source_given_up(source))
			return err;
		key = yaml_document_get_node(&source->document, pair->key);
		field = read_key(source, mapping, role, key, lines);
		if (!field)
			continue;
		lines[field - mapping->fields] = node_line(key);
		err = read_value(source, field, role,
				 yaml_document_get_node(&source->document, pair->value), value);
	}
	require(source, mapping, role, node_line(node), lines);
	return err;
}
