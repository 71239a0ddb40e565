/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration that is changed without a file, by the rules of one. */
#ifndef PLIMSOLL_CONFIG_AMEND_H
#define PLIMSOLL_CONFIG_AMEND_H

#include "config.h"

#define AMEND_WRONG_MAX 512

/* A backend of which nothing is said yet. */
void backend_begin(struct backend_config *backend);

/* Says one thing of it, as a file would. 0, or -EINVAL and what is wrong. */
int backend_set(struct backend_config *backend, const char *key, const char *text,
		char wrong[AMEND_WRONG_MAX]);

/* Puts it at the end. 0 or -ENOMEM. */
int service_append(struct service_config *service, const struct backend_config *backend);
void service_remove(struct service_config *service, const struct backend_config *backend);

/* Whether a file with all of this would be right. 0, or -errno and what is wrong. */
int config_check(const struct config *config, char wrong[AMEND_WRONG_MAX]);

#endif
