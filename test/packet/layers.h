/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames laid down layer by layer, of both families, by the RFCs and nothing else: what is expected of
 * the programs is built by other code than theirs. Lengths and checksums are filled in at the end.
 */
#ifndef PLIMSOLL_TEST_LAYERS_H
#define PLIMSOLL_TEST_LAYERS_H

#include <stdbool.h>

#include "packet.h"

enum protocol {
	HOP_BY_HOP = 0,
	ICMP4 = 1,
	TCP = 6,
	UDP = 17,
	ROUTING = 43,
	FRAGMENT = 44,
	ESP = 50,
	ICMP6 = 58,
	DESTINATION_OPTIONS = 60,
};

#define DONT_FRAGMENT 0x4000
#define MORE_FRAGMENTS 0x2000

struct ip_fields {
	const char *source, *destination; /* of one family, which decides for the version */
	uint8_t protocol; /* of what follows */
	uint8_t ttl; /* 0 = 64; IS_ZERO = 0 */
	uint8_t tos;
	uint16_t identification;
	uint16_t fragment; /* flags and offset, in units of 8 bytes */
	const uint8_t *options; /* IPv4 */
	uint8_t options_length; /* a multiple of 4 */
};
#define IS_ZERO 255

void lay_ethernet(struct frame *frame, const char *to, const char *from, uint16_t type);
void lay_vlan(struct frame *frame, uint16_t tag, uint16_t type); /* type: of what follows */
void lay_ip(struct frame *frame, const struct ip_fields *ip);
/* type: NEXT of the layer before is what this one is; of 8 bytes, with `next` in it. */
void lay_extension(struct frame *frame, uint8_t next);
void lay_fragment(struct frame *frame, uint8_t next, uint32_t identification, uint16_t offset_bytes,
		  bool more);
void lay_udp(struct frame *frame, uint16_t source, uint16_t destination);
void lay_tcp(struct frame *frame, uint16_t source, uint16_t destination, uint8_t flags);
void lay_icmp(struct frame *frame, uint8_t type, uint8_t code, uint32_t rest);
void lay_bytes(struct frame *frame, size_t count); /* 0, 1, 2 ... */
void lay_copy(struct frame *frame, const uint8_t *bytes, size_t count);

/* Fills in the lengths of the IP header at `at` and of what it bears, and all checksums. */
void settle(struct frame *frame, size_t at);

#endif
