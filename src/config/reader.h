/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Walks a file's nodes along the tables and writes the values into the structures. */
#ifndef PLIMSOLL_CONFIG_READER_H
#define PLIMSOLL_CONFIG_READER_H

#include "source.h"
#include "table.h"

/*
 * Fills `value`, which is zeroed, with defaults and with what the mapping says. Mistakes are told
 * and counted in the source. Returns 0, also after mistakes; or -ENOMEM.
 */
int read_mapping(struct config_source *source, const struct mapping *mapping, enum config_role role,
		 const yaml_node_t *node, void *value);

/* What the values are if a file says nothing. */
void set_defaults(const struct mapping *mapping, char *value);

#endif
