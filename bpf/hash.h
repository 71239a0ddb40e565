/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hash of a flow: fast, and unpredictable to those who do not know the seed. */
#ifndef PLIMSOLL_HASH_H
#define PLIMSOLL_HASH_H

#include <linux/types.h>

/* Every bit of x reaches every bit of the result. */
static inline __attribute__((always_inline)) __u64 hash_mix(__u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	return x;
}

/* Addresses and ports in network byte order, so that all balancers agree. */
static inline __attribute__((always_inline)) __u64 hash_flow(__u64 seed, __be32 source,
							     __be32 destination, __be16 source_port,
							     __be16 destination_port, __u8 protocol)
{
	__u64 hash = hash_mix(seed ^ ((__u64)source << 32 | destination));

	return hash_mix(hash ^
			((__u64)source_port << 32 | (__u64)destination_port << 16 | protocol));
}

/* Where a service stands among SERVICE_PLACES: 6 bits. */
static inline __attribute__((always_inline)) __u32 hash_place(__be32 address, __be16 port)
{
	return (address + port * 0x10001U) * 0x9e3779b1U >> 26;
}

#endif
