/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hash table for the data path: buckets of one cache line with eight slots of one word each. A
 * look-up costs one cache line; a slot is read, written and exchanged whole, so no CPU ever waits
 * for another. A full bucket gives up its least valuable slot.
 *
 * The top 28 bits of a slot are a fingerprint of the key (one of them always set), the rest is the
 * user's; 0 is a free
 * slot. Two keys of one bucket have the same fingerprint once in 2^27: users must bear that.
 */
#ifndef PLIMSOLL_BUCKET_H
#define PLIMSOLL_BUCKET_H

#include "shared.h"

#define BUCKET_FINGERPRINT_SHIFT 36
/* Slots change under our eyes: after so many lost exchanges the packet goes on without. */
#define BUCKET_TRIES 3

/* hash: 64 bits; the low ones choose the bucket. Never 0. */
static __always_inline __u64 bucket_fingerprint(__u64 hash)
{
	return hash >> BUCKET_FINGERPRINT_SHIFT << BUCKET_FINGERPRINT_SHIFT |
	       1ULL << BUCKET_FINGERPRINT_SHIFT;
}

static __always_inline __u64 bucket_read(const __u64 *slot)
{
	return *(volatile const __u64 *)slot;
}

/* The slot with that fingerprint, and its value; NULL if there is none. */
static __always_inline __u64 *bucket_find(struct bucket *bucket, __u64 fingerprint, __u64 *value)
{
	int i;

#pragma unroll
	for (i = 0; i < BUCKET_SLOTS; i++) {
		*value = bucket_read(&bucket->slot[i]);
		if (*value >> BUCKET_FINGERPRINT_SHIFT == fingerprint >> BUCKET_FINGERPRINT_SHIFT)
			return &bucket->slot[i];
	}
	return 0;
}

static __always_inline int bucket_exchange(__u64 *slot, __u64 from, __u64 to)
{
	return __sync_val_compare_and_swap(slot, from, to) == from;
}

#endif
