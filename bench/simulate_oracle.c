/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_oracle.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t winner(const struct oracle *oracle, uint32_t a, uint32_t b)
{
	if (b >= oracle->servers || oracle->absent[b])
		return a;
	if (oracle->absent[a])
		return b;
	return (uint64_t)(oracle->assigned[a] + 1) * oracle->capacities[b] <=
			       (uint64_t)(oracle->assigned[b] + 1) * oracle->capacities[a] ?
		       a :
		       b;
}

int oracle_open(struct oracle *oracle, const uint32_t *capacities, const uint32_t *assigned,
		const bool *absent, uint32_t servers)
{
	*oracle = (struct oracle){capacities, assigned, absent, NULL, 1, servers};
	while (oracle->leaves < servers)
		oracle->leaves *= 2;
	oracle->winners = calloc(2 * (size_t)oracle->leaves, sizeof(*oracle->winners));
	if (!oracle->winners)
		return -ENOMEM;
	for (uint32_t i = 0; i < oracle->leaves; i++)
		oracle->winners[oracle->leaves + i] = i;
	for (uint32_t i = oracle->leaves - 1; i; i--)
		oracle->winners[i] =
			winner(oracle, oracle->winners[2 * i], oracle->winners[2 * i + 1]);
	return 0;
}

void oracle_close(struct oracle *oracle)
{
	free(oracle->winners);
}

uint32_t oracle_choose(const struct oracle *oracle)
{
	return oracle->winners[1];
}

void oracle_mend(struct oracle *oracle, uint32_t server)
{
	for (uint32_t i = (oracle->leaves + server) / 2; i; i /= 2)
		oracle->winners[i] =
			winner(oracle, oracle->winners[2 * i], oracle->winners[2 * i + 1]);
}
