/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the two halves of the server's packet benchmark share. */
#ifndef PLIMSOLL_BENCH_PACKET_SERVER_RECIPE_H
#define PLIMSOLL_BENCH_PACKET_SERVER_RECIPE_H

#include <linux/types.h>

#define SERVER_HEADERS_LENGTH 64 /* of what a program may change: the same in every run */
#define SERVER_REPORT_LENGTH 32

/* The one entry of `recipe`. */
struct server_recipe {
	__u64 slot; /* of the connection, in the meter; 0 = none */
	__u32 frame_length;
	__u32 pad;
	__u8 headers[SERVER_HEADERS_LENGTH];
};

#endif
