/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one configuration says otherwise than another. */
#ifndef PLIMSOLL_CONFIG_COMPARE_H
#define PLIMSOLL_CONFIG_COMPARE_H

#include "config.h"
#include "format.h"

enum difference_kind {
	DIFFERENCE_ADDED,
	DIFFERENCE_REMOVED,
	DIFFERENCE_CHANGED,
};

struct difference {
	enum difference_kind kind;
	/* As it is now; of what is removed, as it was. NULL: it is neither a service's nor a backend's. */
	const struct service_config *service;
	const struct backend_config *backend; /* NULL: it is the service's own */
	char key[64]; /* CHANGED: "policy", "report.max_share" */
	const char *fixed; /* CHANGED: why that key cannot be changed while running; NULL: it can */
	char before[FIELD_TEXT_MAX],
		after[FIELD_TEXT_MAX]; /* CHANGED; "" where there is no value */
};

typedef void difference_found(const struct difference *difference, void *context);

/*
 * Tells each difference, in the order of the new configuration, what is removed at the end. Services
 * are the same if address, port and protocol are, backends of a service if their addresses are.
 */
void config_compare(const struct config *before, const struct config *now, difference_found *found,
		    void *context);

/* "backend 10.1.0.3 of web: weight is 3, was 1". Returns text. */
#define DIFFERENCE_TEXT_MAX (2 * FIELD_TEXT_MAX + 256)
const char *difference_text(const struct difference *difference, char text[DIFFERENCE_TEXT_MAX]);

/* Whether a service has that virtual address; and of lists, whether it is there. */
bool config_has_address(const struct config *config, struct ip_address address);
bool config_has_balancer(const struct config *config, struct ip_address address);
bool config_has_interface(const struct config *config, const char *name);

/* The same service or backend in another configuration, or NULL. `hint`: where it may well be. */
struct service_config *config_find_service(const struct config *config,
					   const struct service_config *service, size_t hint);
struct backend_config *service_find_backend(const struct service_config *service,
					    struct ip_address address, size_t hint);

#endif
