/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_MANUAL_H
#define PLIMSOLL_MANUAL_H

#include "options.h"

extern const struct option_row manual_options[];

/* Prints a page of the manual, or the names of all. Returns the exit status. */
int manual(const struct verb *verbs, int argc, char **argv);

#endif
