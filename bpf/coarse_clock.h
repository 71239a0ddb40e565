/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CLOCK_MONOTONIC to the jiffy, for one load: the kernel's own coarse clock costs 15 ns a packet. Jiffies
 * are counted by that clock, so once it is known how far apart they are, they stay so.
 */
#ifndef PLIMSOLL_COARSE_CLOCK_H
#define PLIMSOLL_COARSE_CLOCK_H

#include <linux/types.h>

#include <bpf/bpf_helpers.h>

const volatile __u64 jiffy_ns = 4000000; /* user space knows, and writes it before loading */
static __u64 jiffies_began_ns; /* 0 = not known yet */

static __always_inline __u64 coarse_now_ns(void)
{
	__u64 counted = bpf_jiffies64() * jiffy_ns;

	if (!jiffies_began_ns)
		jiffies_began_ns = bpf_ktime_get_coarse_ns() - counted;
	return jiffies_began_ns + counted;
}

#endif
