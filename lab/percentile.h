/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_LAB_PERCENTILE_H
#define PLIMSOLL_LAB_PERCENTILE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* For qsort(). */
static inline int percentile_compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* The smallest of the sorted values that is not below that share of them (nearest rank). */
static inline double percentile(const uint64_t *sorted, size_t count, double share)
{
	/* 0.999 * 1000 is a little more than 999. */
	size_t rank = (size_t)ceil(share * (double)count - 1e-9);

	if (!count)
		return 0;
	return (double)sorted[rank ? rank - 1 : 0];
}

#endif
