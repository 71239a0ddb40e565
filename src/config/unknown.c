/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "unknown.h"

#include <string.h>

#include "similar.h"

#define TYPOS_MAX 2
#define KEYS_TEXT_MAX 160

static const char *find_similar(const struct mapping *mapping, enum config_role role,
				const char *text)
{
	const struct field *field;
	const char *best = NULL;
	size_t lowest = TYPOS_MAX + 1;
	size_t typos;

	for (field = mapping->fields; field->key; field++) {
		typos = word_distance(text, field->key);
		if ((field->roles & FOR(role)) && typos < lowest && typos < strlen(text)) {
			lowest = typos;
			best = field->key;
		}
	}
	return best;
}

static void list_keys(const struct mapping *mapping, enum config_role role,
		      char keys[KEYS_TEXT_MAX])
{
	const struct field *field;
	size_t used = 0;

	keys[0] = '\0';
	for (field = mapping->fields; field->key && used < KEYS_TEXT_MAX; field++) {
		if (field->roles & FOR(role))
			used += (size_t)snprintf(keys + used, KEYS_TEXT_MAX - used, "%s%s",
						 used ? ", " : "one of ", field->key);
	}
}

void unknown_key(struct config_source *source, const struct mapping *mapping, enum config_role role,
		 const yaml_node_t *node)
{
	const char *text = node_text(node);
	const char *similar = text ? find_similar(mapping, role, text) : NULL;
	char keys[KEYS_TEXT_MAX];
	char quoted[QUOTED_MAX];

	if (similar)
		snprintf(keys, sizeof(keys), "\"%s\"?", similar);
	else
		list_keys(mapping, role, keys);
	source_mistake(source, node_line(node), text, "%s is not a key of %s; expected %s",
		       node_quote(node, quoted), mapping->name, keys);
}
