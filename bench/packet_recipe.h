/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the two halves of the packet benchmark share: how the next packet is made. */
#ifndef PLIMSOLL_BENCH_PACKET_RECIPE_H
#define PLIMSOLL_BENCH_PACKET_RECIPE_H

#include <linux/types.h>

#define HEADERS_LENGTH 96 /* Ethernet, IPv4 with our option, TCP: what a program may change */
#define REPORT_VARIANTS 16384 /* each newer than the one before; a power of two */

/* The one entry of `recipe`. Flows are told apart by the client's address and port. */
struct recipe {
	__u64 counter; /* packets made so far */
	__u32 flows; /* a power of two: so many take turns; 0 = every packet is a new one's */
	__u32 frame_length;
	__u32 with_report;
	__u32 pad;
	__u8 headers[HEADERS_LENGTH];
};

/* A keyed option, and the IP checksum that goes with it. */
struct report_variant {
	__u8 option[32];
	__u16 checksum;
	__u8 pad[30];
};

#endif
