/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "ring.h"

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

uint32_t schedule_size(const struct ring_member *members, size_t count)
{
	uint64_t sum = 0, divisor = 0;

	for (size_t i = 0; i < count; i++) {
		sum += members[i].weight;
		divisor = gcd(divisor, members[i].weight);
	}
	if (!sum)
		return 0;
	/* What does not come out even is spread over as many slots as there are. */
	return sum / divisor > SCHEDULE_MAX ? SCHEDULE_MAX : (uint32_t)(sum / divisor);
}

/* At each step everybody gains its weight; the richest takes the slot and pays the sum. */
int schedule_build(const struct ring_member *members, size_t count, uint32_t *slots, uint32_t size)
{
	int64_t *credit = calloc(count + 1, sizeof(*credit));
	int64_t sum = 0;

	if (!credit)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sum += members[i].weight;
	for (uint32_t slot = 0; slot < size; slot++) {
		size_t richest = 0;

		for (size_t i = 0; i < count; i++) {
			credit[i] += members[i].weight;
			if (credit[i] > credit[richest])
				richest = i;
		}
		credit[richest] -= sum;
		slots[slot] = members[richest].id;
	}
	free(credit);
	return 0;
}
