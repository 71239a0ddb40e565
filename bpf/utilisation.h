/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU utilisation of the host: what each CPU was not idle, summed up when somebody wants to know. By
 * the kernel's own books (idle_books.h); where it has none, by ours: each CPU's time outside
 * the idle task, booked at every switch of tasks, and the softirqs that are served while the
 * idle task runs, which is where a network card's packets are worked on.
 */
#ifndef PLIMSOLL_UTILISATION_H
#define PLIMSOLL_UTILISATION_H

#include "idle_books.h"
#include "server_maps.h"

/* Sampled no more often than this: shorter stretches are noise. */
#define UTILISATION_WINDOW_NS 50000000ULL
/* Where no answer leaves, and so nobody asks, no more often than this. */
#define UTILISATION_IDLE_WINDOW_NS 200000000ULL
#define CPUS_MAX 512

static __always_inline void cpu_switch(int to_idle, __u64 now)
{
	struct cpu_time *cpu;
	__u32 zero = 0;

	cpu = bpf_map_lookup_elem(&cpu_times, &zero);
	if (!cpu)
		return;
	if (!cpu->idle && cpu->since_ns)
		cpu->busy_ns += now - cpu->since_ns;
	cpu->since_ns = now;
	cpu->idle = to_idle;
	cpu->interrupts = 0;
}

/* A busy CPU's interrupts are booked with what they interrupt. */
static __always_inline void cpu_interrupt(int begins)
{
	struct cpu_time *cpu;
	__u32 zero = 0;
	__u64 now;

	cpu = bpf_map_lookup_elem(&cpu_times, &zero);
	if (!cpu || !cpu->idle || cpu->interrupts == (__u32)begins)
		return;
	now = bpf_ktime_get_ns();
	if (!begins)
		cpu->busy_ns += now - cpu->since_ns;
	cpu->since_ns = now;
	cpu->interrupts = begins;
}

/* The same, by our own books. Offline CPUs are idle there. */
static __always_inline void traced_sum(struct busy_count *count, __u32 cpu_count)
{
	__u32 zero = 0;
	__u32 i;

	count->cpus = cpu_count;
	for (i = 0; i < CPUS_MAX && i < cpu_count; i++) {
		struct cpu_time *cpu = bpf_map_lookup_percpu_elem(&cpu_times, &zero, i);

		if (!cpu)
			break;
		count->busy_ns += cpu->busy_ns;
		if ((!cpu->idle || cpu->interrupts) && cpu->since_ns)
			count->busy_ns += count->now - cpu->since_ns;
	}
}

/* Of its own for the verifier, which otherwise walks through the loop once for each way that leads here. */
__attribute__((noinline)) int utilisation_work_out(struct metrics *metrics,
						   struct server_settings *settings,
						   __u64 window_ns, __u64 now)
{
	struct busy_count count = {.now = now};
	__u64 last, elapsed, sample;
	__s64 spent;

	if (!metrics || !settings || !settings->cpu_count)
		return 0;
	last = metrics->utilisation_ns;
	elapsed = now - last;
	if (__sync_val_compare_and_swap(&metrics->utilisation_ns, last, now) != last)
		return 0;
	count.idle_distance = settings->idle_distance;
	if (!count.idle_distance)
		traced_sum(&count, settings->cpu_count);
	else if (!idle_books_read(&count, settings->cpu_count))
		return 0;
	/* Another CPU that switches while it is read can make the sum fall by a little. */
	spent = count.busy_ns - metrics->busy_ns;
	if (spent < 0)
		spent = 0;
	metrics->busy_ns = count.busy_ns;
	/* Nanoseconds over microseconds times 2^16/1000: neither overflows nor loses. */
	sample = (__u64)spent * 65536 / 1000 / (elapsed * count.cpus / 1000 + 1);
	if (sample > 65535)
		sample = 65535;
	if (!last)
		metrics->utilisation = 0;
	else if (elapsed > 4 * window_ns)
		metrics->utilisation = sample;
	else
		metrics->utilisation = (metrics->utilisation + sample) / 2;
	return 1;
}

/* Brings metrics->utilisation up to date, if that is longer ago than the window. */
static __always_inline void utilisation_update(struct metrics *metrics,
					       struct server_settings *settings, __u64 window_ns,
					       __u64 now)
{
	if ((__s64)(now - metrics->utilisation_ns) >= (__s64)window_ns)
		utilisation_work_out(metrics, settings, window_ns, now);
}

#endif
