/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A configuration file as a tree of YAML nodes that know their lines, and the place where its
 * mistakes are told and counted.
 */
#ifndef PLIMSOLL_CONFIG_SOURCE_H
#define PLIMSOLL_CONFIG_SOURCE_H

#include <stdbool.h>
#include <yaml.h>

#include "config.h"

/* Enough to mend a file by; more would only hide the first ones. */
#define MISTAKES_MAX 50

struct config_source {
	const char *path;
	config_mistake *tell;
	void *context; /* for tell() */
	unsigned int mistakes;
	size_t items; /* of all lists so far */
	yaml_document_t document;
	yaml_node_t *root; /* a mapping */
};

/*
 * Reads and parses a file, to be closed by source_close(). Returns 0 or -errno, and then there is
 * nothing to close; -EINVAL if it is not a YAML mapping. What was wrong has been told.
 */
int source_open(struct config_source *source, const char *path, config_mistake *tell,
		void *context);
void source_close(struct config_source *source);

/* Tells one. line: 0 and key: NULL where there is none. */
void source_mistake(struct config_source *source, int line, const char *key, const char *format,
		    ...) __attribute__((format(printf, 4, 5)));

/* Nobody reads any further: MISTAKES_MAX have been told. */
bool source_given_up(const struct config_source *source);

/* The value of a key in a mapping, or NULL; any node may be asked, also NULL. */
yaml_node_t *source_value(struct config_source *source, const yaml_node_t *mapping,
			  const char *key);

/* An item of a list, or NULL. */
yaml_node_t *source_item(struct config_source *source, const yaml_node_t *list, size_t index);

int node_line(const yaml_node_t *node);

/* The text of a scalar, or NULL if it holds a NUL byte or is no scalar. */
const char *node_text(const yaml_node_t *node);

/* The text of a scalar in quotes, fit for a terminal and of bearable length; or "a list". */
#define QUOTED_MAX 80
const char *node_quote(const yaml_node_t *node, char quoted[QUOTED_MAX]);

#endif
