/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP segments in either family, with options of TCP, extension headers and outer headers, byte by byte
 * from the RFCs. As packet.h, it shares nothing with bpf/.
 */
#ifndef PLIMSOLL_TEST_SHAPE_H
#define PLIMSOLL_TEST_SHAPE_H

#include "packet.h"

/* The family is that of the addresses. */
struct shape {
	const char *mac_to, *mac_from;
	const char *source, *destination;
	uint16_t source_port, destination_port;
	uint8_t flags; /* enum tcp_flag */
	uint8_t traffic_class; /* IPv4: type of service */
	uint16_t payload;
	const uint8_t *tcp_options; /* a multiple of 4 */
	uint8_t tcp_options_length;
	const uint8_t *
		between; /* IPv4: options; IPv6: a destination options header, without its first byte */
	uint8_t between_length;
};

struct outer {
	const char *source, *destination;
	uint8_t traffic_class;
	uint8_t protocol; /* 0 = what fits the inner packet */
};

void shape_build(struct frame *frame, const struct shape *shape);

/* Puts the frame's packet into another one. */
void outer_put(struct frame *frame, const struct outer *outer);

/* The sum over TCP and its pseudo header; 0 if the checksum in there is right. */
uint16_t shape_checksum(const struct frame *frame);

#endif
