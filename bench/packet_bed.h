/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A balancer loaded for measuring: its service, servers with live load, and a flow table. */
#ifndef PLIMSOLL_BENCH_PACKET_BED_H
#define PLIMSOLL_BENCH_PACKET_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"

#include "packet_recipe.h"

#define BED_VIP "10.1.0.100"
#define BED_PORT 80
#define BED_MAC "02:00:00:00:01:02"
#define BED_SERVER_MAC "02:00:00:00:00:11"
#define BED_CLIENT "10.1.0.50"
#define BED_OWN "10.1.0.2"

struct bed_kind {
	uint32_t flow_entries; /* slots of the flow table, a power of two */
	bool traceable;
	enum forward forward;
	uint8_t protocol; /* of the service; 0 = TCP */
};

struct bed {
	const struct bed_kind *kind;
	struct balancer_bpf *skeleton;
	int program;
	uint32_t ifindex;
};

/* Makes the network in a namespace of our own; once. Returns the interface's index, or -errno. */
int bed_network(void);

/* kind stays the caller's. Returns 0 or -errno. */
int bed_open(struct bed *bed, uint32_t ifindex, const struct bed_kind *kind);
void bed_close(struct bed *bed);

/* Reports of the servers that are fresh for long, and older than any of variants_fill(). */
void bed_refresh(const struct bed *bed);

/* Reports of the first server in packets from `frame`, each newer than the one before. */
void variants_fill(int map, const struct frame *frame);

uint64_t bed_verdicts(const struct bed *bed, uint32_t verdict);

#endif
