/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What no single value shows: twins, an address in two roles, limits that contradict each other. */
#ifndef PLIMSOLL_CONFIG_CHECK_H
#define PLIMSOLL_CONFIG_CHECK_H

#include "config.h"
#include "source.h"

/*
 * Tells and counts mistakes in the source. What could not be read (0, "") is passed over. Returns
 * 0, also after mistakes; or -ENOMEM.
 */
int check_consistency(struct config_source *source, const struct config *config);

#endif
