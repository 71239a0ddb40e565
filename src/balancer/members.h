/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Backends that are added and removed by hand. It holds until the file is read again.
 */
#ifndef PLIMSOLL_BALANCER_MEMBERS_H
#define PLIMSOLL_BALANCER_MEMBERS_H

#include "balancer/balancer_private.h"
#include "config/amend.h"

/* A backend as a JSON object has it. 0, or -EINVAL and what is wrong. */
int member_read(json_t *object, struct backend_config *backend, char wrong[AMEND_WRONG_MAX]);

/*
 * Adds what the JSON object says to service i: {"address": "10.1.0.5", "weight": 2}. Who is leaving
 * stays. *j is its number. text may be NULL. Returns 0; -EINVAL, -EEXIST or another -errno and what is
 * wrong.
 */
int member_add(struct balancer *balancer, size_t i, const char *text, size_t length, size_t *j,
	       char wrong[AMEND_WRONG_MAX]);

/*
 * Removes backend j of service i: when its last connection has ended or, with now, at once. *open: how
 * many it has had. The others' numbers change if it is gone. Returns 0, or -errno and what is wrong.
 */
int member_remove(struct balancer *balancer, size_t i, size_t j, bool now, uint32_t *open,
		  char wrong[AMEND_WRONG_MAX]);

#endif
