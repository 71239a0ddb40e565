/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The map `services`, which both halves in the kernel have: a key for each service, and one for each VIP. */
#ifndef PLIMSOLL_SERVICE_KEYS_H
#define PLIMSOLL_SERVICE_KEYS_H

#include "config.h"
#include "shared.h"

struct service_key service_key(const struct service_config *service);

/* Deletes the keys of what the configuration does not name. */
void service_keys_prune(int map, const struct config *config);

#endif
