/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of both families, layer by layer: VLAN tags, an IP packet around another, extension headers.
 * Like packet.h, it shares nothing with bpf/: an address is IPv6's if there is a colon in it.
 */
#ifndef PLIMSOLL_TEST_STACK_H
#define PLIMSOLL_TEST_STACK_H

#include <stdbool.h>

#include "packet.h"

struct ip_layer {
	const char *source, *destination; /* NULL: there is no such layer */
	uint8_t traffic_class;
	uint8_t ttl; /* 0 = 64 */
	uint16_t id;
	bool may_fragment;
	uint32_t flow_label;
	const uint8_t *between; /* options, or extension headers as they are */
	uint16_t between_length;
	uint8_t first; /* IPv6: the protocol of the first extension header */
};

struct layers {
	const char *mac_to, *mac_from;
	uint8_t vlans; /* 1: 802.1Q, number 7; 2: 802.1ad, number 9, before it */
	struct ip_layer outer, ip;
	uint8_t transport; /* IPPROTO_*: 6 TCP, 17 UDP; any other has 8 bytes of something */
	uint16_t source_port, destination_port;
	uint8_t flags; /* enum tcp_flag */
	uint16_t payload;
};

void layers_build(struct frame *frame, const struct layers *layers);

/* Bytes of a frame so made before the innermost IP header. */
size_t layers_before_ip(const struct layers *layers);
size_t layers_before_transport(const struct layers *layers);

#endif
