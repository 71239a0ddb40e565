/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stands in for the kernel under bpf/select.h: its clock is the simulation's, and its
 * maps are those of the balancer whose turn it is.
 */
#ifndef PLIMSOLL_SIMULATE_KERNEL_H
#define PLIMSOLL_SIMULATE_KERNEL_H

#define __BPF_HELPERS__ /* this here is instead of libbpf's */
#define SEC(name)
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

#include <linux/types.h>

static inline void *bpf_map_lookup_elem(void *map, const void *key);
static inline __u64 bpf_ktime_get_ns(void);
static inline __u32 bpf_get_prandom_u32(void);

static inline __u64 bpf_ktime_get_coarse_ns(void)
{
	return bpf_ktime_get_ns();
}

/* Of a jiffy_ns that nobody has written. */
static inline __u64 bpf_jiffies64(void)
{
	return bpf_ktime_get_ns() / 4000000;
}

/* As the kernel does it: until the callback returns something else than 0. */
#define bpf_loop(count, callback, context, flags)                                                  \
	do {                                                                                       \
		for (__u32 number = 0; number < (count); number++)                                 \
			if (callback(number, context))                                             \
				break;                                                             \
	} while (0)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include "load_update.h"
#include "maps.h"
#include "select.h"
#pragma GCC diagnostic pop

#endif
