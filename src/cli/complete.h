/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_COMPLETE_H
#define PLIMSOLL_COMPLETE_H

#include "options.h"

/*
 * Prints what may stand in place of the last of these words of a command line, which begin behind
 * "plimsoll". Returns the exit status.
 */
int complete(const struct verb *verbs, int argc, char **argv);

#endif
