/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hash of a flow: fast, and unpredictable to those who do not know the seed. */
#ifndef PLIMSOLL_HASH_H
#define PLIMSOLL_HASH_H

#include "shared.h"

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

/* What stands for a service in a packet: for its destination, port and protocol. */
static inline __attribute__((always_inline)) __u32 hash_vip(const struct ip_address *address,
							    __be16 port, __u8 protocol)
{
	const __be32 *word = address->word;
	__u64 x = ((__u64)word[3] << 32 | (__u64)port << 16 | protocol) * 0xd6e8feb86659fd93ULL;

	x ^= ((__u64)word[0] << 32 | word[1]) * 0x9e3779b97f4a7c15ULL;
	x ^= word[2] * 0xff51afd7ed558ccdULL;
	return (x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL >> 32;
}

/* One of 64: where none of our VIPs is, none needs to be looked for. */
static inline __attribute__((always_inline)) __u64 hash_vip_place(const struct ip_address *address)
{
	return 1ULL << ((address->word[1] ^ address->word[3]) * 0x9e3779b1U >> 26);
}

/* Where a service stands among SERVICE_PLACES: 6 bits. */
static inline __attribute__((always_inline)) __u32 hash_place(const struct ip_address *address,
							      __be16 port)
{
	return ((address->word[1] ^ address->word[3]) + port * 0x10001U) * 0x9e3779b1U >> 26;
}

/* The same by addresses of either family. */
static inline __attribute__((always_inline)) __u64
hash_ends(__u64 seed, const struct ip_address *source, const struct ip_address *destination,
	  __be16 source_port, __be16 destination_port, __u8 protocol)
{
	const __be32 *a = source->word, *b = destination->word;

	if (!a[0] && !a[1])
		return hash_flow(seed, a[3], b[3], source_port, destination_port, protocol);
	seed = hash_mix(seed ^ ((__u64)a[0] << 32 | a[1]));
	seed = hash_mix(seed ^ ((__u64)b[0] << 32 | b[1]));
	seed = hash_mix(seed ^ ((__u64)a[2] << 32 | b[2]));
	return hash_flow(seed, a[3], b[3], source_port, destination_port, protocol);
}

#endif
