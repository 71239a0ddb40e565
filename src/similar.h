/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How far two words are apart: for guessing what a mistyped one should have been. */
#ifndef PLIMSOLL_SIMILAR_H
#define PLIMSOLL_SIMILAR_H

#include <stddef.h>

#define WORD_LENGTH_MAX 32

/*
 * Levenshtein's distance: how many letters to put in, leave out or change. Words longer than
 * WORD_LENGTH_MAX resemble nothing: the distance to them is SIZE_MAX.
 */
size_t word_distance(const char *a, const char *b);

#endif
