/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_SHOW_H
#define PLIMSOLL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/table.h"

/* The status of a daemon of either role, as doc/api.md has it, for people. */
void show_render(FILE *out, json_t *status, bool colour);

/* Parts of it: a table of backends, and how its cells stand out. */
void show_render_backends(FILE *out, const json_t *service, bool colour);
table_tone backend_tone;

/* Whether a backend of that state gets new connections. */
bool show_is_up(const char *state);

/* One of its services, or one backend of that, in detail. */
void show_render_service(FILE *out, json_t *service, bool colour);
void show_render_backend(FILE *out, const json_t *service, json_t *backend, bool colour);

/* The one of a list that has this name or address; NULL if there is none. */
json_t *show_find(const json_t *list, const char *word);

/* What there is in such a list: "web, mail". To be freed; NULL for want of memory. */
char *show_names(const json_t *list);

#endif
