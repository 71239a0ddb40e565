/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long each CPU was not idle, by the books that the kernel keeps anyway and that /proc/stat has its
 * idle time from (kernel/time/tick-sched.c). Time that interrupts take from an idle CPU is in them.
 * Only who looks pays, however many instances there are on one host.
 *
 * They are per-CPU variables, and where those are, kernels without CONFIG_KALLSYMS_ALL do not
 * tell. But a task knows the run queue of its CPU, the kernel's BTF knows how far apart two
 * variables are (settings.idle_distance), and one CPU's copies are as far from another's as
 * those of any other variable, one of our own maps for example.
 */
#ifndef PLIMSOLL_IDLE_BOOKS_H
#define PLIMSOLL_IDLE_BOOKS_H

#include "server_maps.h"

#include <bpf/bpf_core_read.h>

struct cfs_rq {
	struct rq *rq;
} __attribute__((preserve_access_index));

struct sched_entity {
	struct cfs_rq *cfs_rq;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	struct sched_entity se;
} __attribute__((preserve_access_index));

struct rq {
	struct task_struct *curr;
	struct task_struct *idle;
	int cpu;
	int online;
} __attribute__((preserve_access_index));

struct tick_sched {
	__s64 idle_entrytime;
	__s64 idle_sleeptime;
	__s64 iowait_sleeptime;
} __attribute__((preserve_access_index));

struct busy_count {
	__u64 run_queue; /* of this CPU */
	__s64 idle_distance;
	__u64 now;
	__u64 busy_ns; /* sum over CPUs, since they were booted */
	__u64 idle_ns;
	__u32 cpus; /* that are online */
	__u32 failed;
};

static __always_inline __u64 slept_ns(const struct tick_sched *tick)
{
	__s64 slept = 0, waited = 0;

	bpf_core_read(&slept, sizeof(slept), &tick->idle_sleeptime);
	bpf_core_read(&waited, sizeof(waited), &tick->iowait_sleeptime);
	return slept + waited;
}

/* Up to now, the current stretch of sleep included. Off by a moment where that just ends or begins. */
static __always_inline __u64 idle_ns(const struct rq *run_queue, const struct tick_sched *tick,
				     __u64 now)
{
	struct task_struct *current = 0, *idle = 0;
	__u64 before, slept;
	__s64 since = 0;
	int try;

	/* A stretch that ends meanwhile would be missing, or be there twice. */
#pragma unroll
	for (try = 0; try < 2; try++) {
		before = slept_ns(tick);
		bpf_core_read(&since, sizeof(since), &tick->idle_entrytime);
		bpf_core_read(&current, sizeof(current), &run_queue->curr);
		slept = slept_ns(tick);
		if (slept == before)
			break;
	}
	bpf_core_read(&idle, sizeof(idle), &run_queue->idle);
	return current == idle && since ? slept + now - since : slept;
}

/* For bpf_loop(). */
static long busy_count_cpu(__u32 cpu, struct busy_count *count)
{
	struct cpu_time *here, *there;
	__u32 zero = 0;
	int number = -1, online = 0;
	__u64 address, idle;

	here = bpf_map_lookup_elem(&cpu_times, &zero);
	there = bpf_map_lookup_percpu_elem(&cpu_times, &zero, cpu);
	if (!here || !there)
		return 1;
	address = (void *)there - (void *)here;
	/* One thing after the other: a difference of pointers may be added, pointers may not. */
	asm volatile("" : "+r"(address));
	address += count->run_queue;
	bpf_core_read(&number, sizeof(number), &((struct rq *)address)->cpu);
	if (number != (int)cpu) {
		count->failed = 1;
		return 1;
	}
	bpf_core_read(&online, sizeof(online), &((struct rq *)address)->online);
	if (!online)
		return 0;
	idle = idle_ns((void *)address, (void *)(address + count->idle_distance), count->now);
	count->idle_ns += idle;
	count->busy_ns += count->now - idle;
	count->cpus++;
	return 0;
}

static __always_inline int idle_books_exist(void)
{
	return bpf_core_field_exists(struct task_struct, se.cfs_rq) &&
	       bpf_core_field_exists(struct cfs_rq, rq) &&
	       bpf_core_field_exists(struct rq, online) &&
	       bpf_core_field_exists(struct tick_sched, idle_sleeptime);
}

/* Returns 0 where the kernel's books are not to be found. */
static __always_inline int idle_books_read(struct busy_count *count, __u32 cpu_count)
{
	struct cfs_rq *queue = 0;
	struct rq *run_queue = 0;
	struct task_struct *task;

	if (!count->idle_distance || !idle_books_exist())
		return 0;
	task = (void *)bpf_get_current_task();
	bpf_core_read(&queue, sizeof(queue), &task->se.cfs_rq);
	bpf_core_read(&run_queue, sizeof(run_queue), &queue->rq);
	count->run_queue = (__u64)run_queue;
	bpf_loop(cpu_count, busy_count_cpu, count, 0);
	/* Without dynamic ticks nothing is ever booked. */
	return !count->failed && count->idle_ns;
}

#endif
