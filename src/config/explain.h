/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of keys as a list of the manual, in mdoc. */
#ifndef PLIMSOLL_CONFIG_EXPLAIN_H
#define PLIMSOLL_CONFIG_EXPLAIN_H

#include <stdio.h>

#include "config.h"

void config_explain_manual(enum config_role role, FILE *out);

/* Plain text without backslashes, in lines that are not too long and none of which is a macro. */
void print_manual_text(FILE *out, const char *text);

#endif
