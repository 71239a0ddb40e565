/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Putting BPF programs onto interfaces so that they stay when the daemon dies, and taking them off
 * again. A link is pinned and outlives us; where the kernel has no tcx (Linux before 6.6), tc has a filter,
 * which outlives us by itself, and a marker file in the instance's directory says that it is ours.
 */
#ifndef PLIMSOLL_ATTACH_H
#define PLIMSOLL_ATTACH_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime.h"

/* Where our filters stand in tc's list: any number does, but it must always be the same. */
#define ATTACH_TC_PRIORITY 94
#define ATTACH_TC_HANDLE 1
#define ATTACH_XDP_PIN "xdp-" /* and the interface */

/* Attach types of tcx: linux/bpf.h may be older than the kernel. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS 47
/* So many programs of tcx are looked at on an interface: as many as the kernel takes. */
#define ATTACH_TCX_MAX 64

/* libbpf's messages become debug messages of ours: what matters is told in our words. */
void libbpf_quiet(void);

/* Where an instance pins what has this name. */
void pin_path(const struct runtime *runtime, const char *name, char path[PATH_MAX]);

/* Pins it there. Whoever opens the pin meanwhile finds what was there before, or this. */
int pin_replace(const struct runtime *runtime, int object, const char *name);

/* Says why a skeleton could not be loaded. -EPROTO has been told of by inherit_open(). */
void tell_load_failure(int err);

/* All of an array map (BPF_F_MMAPABLE) as memory; protection as for mmap(). NULL if it cannot. */
void *map_view(const struct bpf_map *map, int protection);

/* A program and the predecessor's, which it replaces; -1 where there is none. */
struct program {
	int now, before;
};

/* The program's pin tells a successor which it replaces. Fills in `before`; to be closed. */
struct program program_of(const struct runtime *runtime, const struct bpf_program *program);
int program_keep(const struct runtime *runtime, const struct bpf_program *program);

void program_forget(struct program *program);

/* To go back. */
struct program program_swapped(struct program program);

/*
 * In the driver (native), or behind it (generic). Unless firm, a program that is there stays as it is, and
 * one that the driver refuses is attached behind it, with a warning.
 */
struct xdp_wish {
	bool native, firm;
};

/*
 * Attaches, or replaces a predecessor's program atomically: no packet passes without one, unless the mode
 * has to change. *native tells which it is now. Says what went wrong; 0 or -errno.
 */
int attach_xdp(const struct runtime *runtime, struct program program, const char *interface,
	       int ifindex, struct xdp_wish wish, bool *native);

/* Takes it off again. */
void detach_xdp(const struct runtime *runtime, const char *interface);

/* Likewise for tc, by tcx if the kernel has it; direction is BPF_TC_INGRESS or BPF_TC_EGRESS. */
int attach_tc(const struct runtime *runtime, struct program program, const char *interface,
	      int ifindex, enum bpf_tc_attach_point direction);

/* Where the link of tcx is pinned, if it is one. */
void attach_tcx_path(const char *pins, const char *interface, enum bpf_tc_attach_point direction,
		     char path[PATH_MAX]);

/* Takes our programs off tc, and the qdisc if it was us who put it there. */
void detach_tc(const struct runtime *runtime, const char *interface, int ifindex);

/* What has become of a program that was attached; the worse, the more. */
enum attachment {
	ATTACHMENT_OURS, /* or nobody tells, as where the interface is gone */
	ATTACHMENT_GONE, /* somebody has taken it off */
	ATTACHMENT_OTHERS, /* another program runs in its place */
};

enum attachment look_at_xdp(const struct runtime *runtime, const char *interface, int ifindex,
			    int program);
enum attachment look_at_tc(const struct runtime *runtime, const char *interface, int ifindex,
			   enum bpf_tc_attach_point direction, int program);

/* Says that what had been taken off is there again. */
void tell_put_back(const char *interface);

/* Takes our programs off the interfaces that are no longer configured: is_attached says of which not. */
void detach_others(const struct runtime *runtime,
		   bool (*is_attached)(const char *interface, const void *context),
		   const void *context);

/* Attaches a tracing program and pins its link in place of a predecessor's. */
int attach_tracing(const struct runtime *runtime, struct bpf_program *program, const char *name);

/* Sums a value of `words` 64-bit counters over all CPUs. 0 or -errno. */
int percpu_sum(int map, uint32_t key, uint64_t *sum, size_t words);

#endif
