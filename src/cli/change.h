/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the verbs that change a backend while its balancer runs have in common. */
#ifndef PLIMSOLL_CHANGE_H
#define PLIMSOLL_CHANGE_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/client.h"

/* Of whom, whatever it is that is changed. */
struct target {
	const char *service, *backend, *instance;
	bool json;
};

/* "/api/v1/services/web/backends/10.1.0.11", or without the last; false, and told, if it is too long. */
bool change_path(const struct target *target, bool with_backend, char path[PATH_TEXT_MAX]);

/* The instance that is meant, a balancer's. 0 or -errno, and told. */
int change_instance(const struct target *target, char *instance);

/* One line of how the backend in the answer is now, and what the file has to do with it. */
void change_print_backend(const struct target *target, const json_t *answer);

/* Makes one, and tells what came of it. Takes over change. Returns the exit status. */
int change_backend(const struct target *target, json_t *change);

/* Tells what came of it; err: of the exchange. Takes over answer. Returns the exit status. */
int change_tell(const struct target *target, json_t *answer, int err,
		void (*print)(const struct target *target, const json_t *answer));

#endif
