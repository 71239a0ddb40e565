/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The clock that the kernel's programs use, too. */
#ifndef PLIMSOLL_CLOCK_H
#define PLIMSOLL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC, as bpf_ktime_get_ns() has it. */
static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* What the kernel counts as one jiffy: its coarse clocks go in steps of that. */
static inline uint64_t jiffy_length_ns(void)
{
	struct timespec length;

	clock_getres(CLOCK_MONOTONIC_COARSE, &length);
	return (uint64_t)length.tv_sec * 1000000000 + (uint64_t)length.tv_nsec;
}

#endif
