/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the daemons' common part need of each other. */
#ifndef PLIMSOLL_DAEMON_PRIVATE_H
#define PLIMSOLL_DAEMON_PRIVATE_H

#include "daemon.h"

/* The journal of what is changed of this host. Says what went wrong; 0 or -errno. */
int daemon_open_host(struct daemon *daemon);

/* Until daemon_take_place() has happened, the predecessor's daemon runs beside us: not for ever. */
void daemon_limit_patience(struct daemon *daemon);

#endif
