/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* src/weighting.c with its constants made variable, to try others. */
#ifndef PLIMSOLL_SIMULATE_WEIGHTING_H
#define PLIMSOLL_SIMULATE_WEIGHTING_H

/* Sets the constants: those of weighting.h, but for "name=value name=value". Returns 0 or -EINVAL. */
int weighting_tune(const char *changes);

#endif
