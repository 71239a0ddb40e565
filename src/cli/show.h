/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_SHOW_H
#define PLIMSOLL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The status of a daemon of either role, as doc/api.md has it, for people. */
void show_render(FILE *out, json_t *status, bool colour);

#endif
