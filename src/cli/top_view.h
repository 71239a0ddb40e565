/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `plimsoll top` shows: the backends of all services, in an order, as many as there is room for. */
#ifndef PLIMSOLL_TOP_VIEW_H
#define PLIMSOLL_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct top_view {
	char sort; /* the key of one of its orders */
	bool reverse;
	size_t first; /* row that is the uppermost; kept within what there is */
	size_t rows; /* of the screen */
	bool colour;
};

/* The view to begin with. */
struct top_view top_view_usual(void);

/* A key (terminal.h) that was pressed. False if it means nothing to the view. */
bool top_view_key(struct top_view *view, int key);

/* notice: what is to be said, or NULL. */
void top_view_draw(struct top_view *view, FILE *out, json_t *status, const char *notice);

#endif
