/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU utilisation of the host: each CPU's time outside the idle task, booked at every switch of tasks and
 * summed when a report wants it.
 */
#ifndef PLIMSOLL_UTILISATION_H
#define PLIMSOLL_UTILISATION_H

#include "server_maps.h"

/* Sampled no more often than this: shorter stretches are noise. */
#define UTILISATION_WINDOW_NS 50000000ULL
#define CPUS_MAX 512

static __always_inline void cpu_switch(int to_idle)
{
	__u64 now = bpf_ktime_get_ns();
	struct cpu_time *cpu;
	__u32 zero = 0;

	cpu = bpf_map_lookup_elem(&cpu_times, &zero);
	if (!cpu)
		return;
	if (!cpu->idle && cpu->since_ns)
		cpu->busy_ns += now - cpu->since_ns;
	cpu->since_ns = now;
	cpu->idle = to_idle;
}

static __always_inline __u64 busy_sum(__u32 cpu_count, __u64 now)
{
	__u64 sum = 0;
	__u32 zero = 0;
	__u32 i;

	for (i = 0; i < CPUS_MAX && i < cpu_count; i++) {
		struct cpu_time *cpu = bpf_map_lookup_percpu_elem(&cpu_times, &zero, i);

		if (!cpu)
			break;
		sum += cpu->busy_ns;
		if (!cpu->idle && cpu->since_ns)
			sum += now - cpu->since_ns;
	}
	return sum;
}

/* Brings metrics->utilisation up to date, if it is time. */
static __always_inline void utilisation_update(struct metrics *metrics, __u32 cpu_count, __u64 now)
{
	__u64 last = metrics->utilisation_ns;
	__u64 elapsed = now - last;
	__u64 busy, sample;

	if (!cpu_count || elapsed < UTILISATION_WINDOW_NS ||
	    __sync_val_compare_and_swap(&metrics->utilisation_ns, last, now) != last)
		return;
	busy = busy_sum(cpu_count, now);
	/* Nanoseconds over microseconds times 2^16/1000: neither overflows nor loses. */
	sample = (busy - metrics->busy_ns) * 65 / (elapsed * cpu_count / 1000 + 1);
	if (sample > 65535)
		sample = 65535;
	if (!last)
		metrics->utilisation = 0;
	else
		metrics->utilisation = (metrics->utilisation + sample) / 2;
	metrics->busy_ns = busy;
}

#endif
