/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration file is read again by a daemon that runs: what there is to change, and what of it
 * was changed by hand. All or nothing: with one mistake there is nothing to change.
 */
#ifndef PLIMSOLL_RELOAD_H
#define PLIMSOLL_RELOAD_H

#include <jansson.h>

#include "config.h"
#include "http/http.h"

struct reload {
	const char *path;
	struct config *config; /* as the file is now; NULL: refused */
	json_t *changes; /* sentences, of all that differs from what is in force */
	json_t *undone; /* those of them that undo what was changed by hand */
	json_t *mistakes; /* {"file", "line", "key", "message"} each: why it is refused */
};

/*
 * Reads. in_force: what the daemon goes by now; file: what the file said when it was last read. Always
 * to be closed. Returns 0, or -EINVAL or another -errno with mistakes to tell.
 */
int reload_read(struct reload *reload, const char *path, const struct config *in_force,
		const struct config *file);
void reload_close(struct reload *reload);

/* It is refused for another reason; key may be NULL. */
void reload_refuse(struct reload *reload, const char *key, const char *message);

/* Whoever asked is told by HTTP, the log one by one. checked: nothing was to be changed in any case. */
void reload_answer(const struct reload *reload, struct http_request *request, bool checked);
void reload_log(const struct reload *reload);

/* {"check": true} or nothing. False if it is anything else, which has been answered. */
bool reload_asked(struct http_request *request, bool *check);

/* What is logged as an error from now on refuses the reload, until reload_listen(NULL). */
void reload_listen(struct reload *reload);

#endif
