/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "similar.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b, size_t c)
{
	size_t lesser = a < b ? a : b;

	return lesser < c ? lesser : c;
}

size_t word_distance(const char *a, const char *b)
{
	size_t row[WORD_LENGTH_MAX + 1]; /* of the table of all beginnings' distances */
	size_t columns = strlen(b);
	size_t diagonal, above, i, j;

	if (strlen(a) > WORD_LENGTH_MAX || columns > WORD_LENGTH_MAX)
		return SIZE_MAX;
	for (j = 0; j <= columns; j++)
		row[j] = j;
	for (i = 1; a[i - 1]; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= columns; j++) {
			above = row[j];
			row[j] =
				least(diagonal + (a[i - 1] != b[j - 1]), above + 1, row[j - 1] + 1);
			diagonal = above;
		}
	}
	return row[columns];
}
