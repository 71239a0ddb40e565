/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_BALANCER_H
#define PLIMSOLL_BALANCER_H

/* `plimsoll balancer`: argv[0] is the verb. Returns the exit status. */
int balancer_command(int argc, char **argv);

#endif
