/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who a daemon is and what its services are called: the short answer, for all who do not need to know how
 * everything is. With thousands of services the status takes seconds.
 */
#ifndef PLIMSOLL_IDENTITY_H
#define PLIMSOLL_IDENTITY_H

#include <jansson.h>

#include "daemon.h"

/* An array of {"name", "address", "protocol"}, a new reference. */
json_t *identity_services(const struct config *config);

void identity_answer(const struct daemon *daemon, struct http_request *request);

#endif
