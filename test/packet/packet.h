/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ethernet frames with an IPv4 packet and a TCP segment, described as data. Shares nothing with
 * bpf/: what is expected of the programs is built by other code than theirs.
 */
#ifndef PLIMSOLL_TEST_PACKET_H
#define PLIMSOLL_TEST_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "shared.h"

#define FRAME_MAX 2048

/* Where things are in a frame. */
enum frame_offset {
	AT_MAC_TO = 0,
	AT_MAC_FROM = 6,
	AT_ETHERTYPE = 12,
	AT_IP = 14, /* version and header length */
	AT_TOTAL_LENGTH = 16,
	AT_FRAGMENT = 20,
	AT_PROTOCOL = 23,
	AT_IP_CHECKSUM = 24,
	AT_IP_OPTIONS = 34,
};

enum tcp_offset { /* behind the IP header */
		  AT_TCP_DATA_OFFSET = 12,
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
};

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t length;
};

/* One byte that is to be another one than it ought to be. */
struct patch {
	uint16_t at; /* 0 = no patch: the first byte of a MAC address has other ways */
	uint8_t is;
};

struct segment {
	const char *mac_to, *mac_from; /* 02:00:00:00:00:01 */
	const char *source, *destination; /* 10.0.0.1 */
	uint16_t source_port, destination_port;
	uint8_t flags; /* enum tcp_flag */
	uint8_t ttl; /* 0 = 64 */
	uint8_t tos;
	const uint8_t *options; /* of IP: a multiple of 4 */
	uint8_t options_length;
	uint16_t payload; /* bytes of it, counted up */
	uint16_t padding; /* behind the IP packet, as short frames have it */
	struct patch patches[4]; /* applied last; of the checksums only the IP header's follows */
	uint16_t cut; /* to that many bytes; 0 = not at all */
};

void mac_parse(const char *text, uint8_t mac[6]);
uint32_t address_bytes(const char *text); /* in network byte order */
struct ip_address ip_address(const char *text); /* of either family, as maps have it */

/* The Internet checksum (RFC 1071) of bytes, as it is to be written: high byte first. */
uint16_t internet_checksum(const uint8_t *bytes, size_t length, uint32_t sum);

void frame_build(struct frame *frame, const struct segment *segment);

#endif
