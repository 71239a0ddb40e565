/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs a BPF program over frames, as BPF_PROG_TEST_RUN has it, in a network namespace of the
 * test's own that ends with it: routes and neighbours are real, nothing else sees them.
 */
#ifndef PLIMSOLL_TEST_HARNESS_H
#define PLIMSOLL_TEST_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "packet.h"

/* What a program made of a frame. */
struct outcome {
	uint32_t action; /* XDP_* or TC_ACT_* */
	struct frame frame;
	uint8_t note[64]; /* what XDP has put in front of the frame */
	size_t note_length;
};

/* Ends the program, successfully, if these tests cannot run here. */
void harness_require_root(void);

/*
 * Leaves for a new network namespace, and runs `ip -batch` there over the lines, one link,
 * address, route or neighbour each. Returns 0 or a negative errno.
 */
int network_enter(const char *ip_batch);

/* More such lines, later. */
int network_change(const char *ip_batch);

/* Writes below /proc/sys/net of the namespace. */
int network_set(const char *name, const char *value);

/* As if the frame had come in by that interface. Return 0 or a negative errno. */
int run_xdp(int program, uint32_t ifindex, const struct frame *in, struct outcome *outcome);
int run_tc(int program, uint32_t ifindex, const struct frame *in, struct outcome *outcome);

/* Really sends and delivers what becomes of the frame, by that interface. */
int run_xdp_live(int program, uint32_t ifindex, const struct frame *in);

/* A socket that gets all frames that arrive at the interface. Returns it or a negative errno. */
int capture_open(const char *interface);

/* Waits a second at most for the next frame of that type (ETH_P_*). Returns 0 or -ETIMEDOUT. */
int capture_next(int capture, uint16_t ethertype, struct frame *frame);

/* Reads an entry of a per-CPU map of counters, summed up. */
uint64_t counter_read(int map, uint32_t index);

/* Sets all entries of an array map to zero, on all CPUs; of a hash map, deletes them. */
int map_clear(int map);

#endif
