/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random numbers that repeat: the same seed, the same run. For workers and the load generator. */
#ifndef PLIMSOLL_LAB_RANDOM_H
#define PLIMSOLL_LAB_RANDOM_H

#include <math.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood 2014): any seed will do, neighbouring ones too. */
static inline uint64_t random_next(struct random *random)
{
	uint64_t x = random->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* Above 0, up to 1: fit for a logarithm. */
static inline double random_unit(struct random *random)
{
	return (double)((random_next(random) >> 11) + 1) * 0x1p-53;
}

static inline double random_exponential(struct random *random, double mean)
{
	return -mean * log(random_unit(random));
}

#endif
