/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is to be where, out of a file or out of a daemon's status: subject.h says how it looks. */
#ifndef PLIMSOLL_DOCTOR_PLAN_H
#define PLIMSOLL_DOCTOR_PLAN_H

#include <jansson.h>
#include <stdbool.h>

#include "config.h"

json_t *plan_of_config(const struct config *config);
json_t *plan_of_status(const json_t *status);

/* A sentence of what the one has and the other has not; false if they are alike. */
bool plan_difference(const json_t *file, const json_t *daemon, char *text, size_t size);

/* The VIPs, each once: an array of strings, a new reference. */
json_t *plan_vips(const json_t *plan);

/* A balancer's backends, or a server's balancers, each once: likewise. */
json_t *plan_partners(const json_t *plan);

#endif
