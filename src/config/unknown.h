/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A key that no table has: tells what was probably meant, or what there is. */
#ifndef PLIMSOLL_CONFIG_UNKNOWN_H
#define PLIMSOLL_CONFIG_UNKNOWN_H

#include "source.h"
#include "table.h"

void unknown_key(struct config_source *source, const struct mapping *mapping, enum config_role role,
		 const yaml_node_t *node);

#endif
