/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is changed of a backend while the daemon runs: its weight, and whether it drains. It holds until
 * the file is read again.
 */
#ifndef PLIMSOLL_BALANCER_CHANGES_H
#define PLIMSOLL_BALANCER_CHANGES_H

#include "balancer/routes.h"

#define CHANGE_WRONG_MAX 256

struct change {
	uint32_t weight; /* 0: stays */
	bool drains; /* whether that is to change... */
	bool draining; /* ...and to what */
};

/*
 * {"weight": 3}, {"draining": true} or both. text may be NULL. Returns 0, or -EINVAL with a
 * sentence that says what would be right.
 */
int change_parse(const char *text, size_t length, struct change *change,
		 char wrong[CHANGE_WRONG_MAX]);

/*
 * Changes backend j of service i, all or nothing. *warning: what the change has led to, or NULL. Returns
 * 0 or -errno.
 */
int change_apply(struct sources *sources, size_t i, size_t j, const struct change *change,
		 const char **warning);

#endif
