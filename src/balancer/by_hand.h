/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is changed by hand is in no configuration file, and outlives the daemon nevertheless: it stands in
 * the instance's directory, and whoever goes on with the data path goes on with it. It holds until the
 * file is read again, or says something else of the same backend.
 */
#ifndef PLIMSOLL_BALANCER_BY_HAND_H
#define PLIMSOLL_BALANCER_BY_HAND_H

#include "balancer/balancer_private.h"

/*
 * Amends the daemon's configuration by what a predecessor was told, and logs it. Where that cannot be
 * read it is as if nothing had been. 0 or -ENOMEM.
 */
int by_hand_inherit(struct balancer *balancer);

/*
 * Writes down what is in force and not in the file; to be called after each change of either. Says what
 * went wrong; 0 or -errno.
 */
int by_hand_keep(const struct balancer *balancer);

#endif
