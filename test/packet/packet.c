/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "packet.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET_BYTES 14
#define IP_BYTES 20
#define TCP_BYTES 20

static void must(int holds, const char *what, const char *text)
{
	if (holds)
		return;
	fprintf(stderr, "test packet: %s: %s\n", what, text);
	abort();
}

void mac_parse(const char *text, uint8_t mac[6])
{
	must(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		    &mac[4], &mac[5]) == 6,
	     "not a MAC address", text);
}

uint32_t address_bytes(const char *text)
{
	struct in_addr address;

	must(inet_pton(AF_INET, text, &address) == 1, "not an address", text);
	return address.s_addr;
}

struct ip_address ip_address(const char *text)
{
	char mapped[INET6_ADDRSTRLEN + sizeof("::ffff:")];
	struct ip_address address;

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	must(inet_pton(AF_INET6, mapped, &address) == 1, "not an address", text);
	return address;
}

uint16_t internet_checksum(const uint8_t *bytes, size_t length, uint32_t sum)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put_16(uint8_t *to, uint16_t value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static void put_address(uint8_t *to, const char *text)
{
	uint32_t address = address_bytes(text);

	memcpy(to, &address, sizeof(address));
}

#define CHECKSUM_AT 10 /* where it is in the header */

static void put_ethernet(uint8_t *eth, const struct segment *segment)
{
	mac_parse(segment->mac_to, &eth[0]);
	mac_parse(segment->mac_from, &eth[6]);
	put_16(&eth[12], 0x0800);
}

static void put_ip(uint8_t *ip, const struct segment *segment, size_t header, size_t total)
{
	ip[0] = 0x40 | header / 4;
	ip[1] = segment->tos;
	put_16(&ip[2], total);
	put_16(&ip[4], 0x1d2e); /* identification */
	put_16(&ip[6], 0x4000); /* don't fragment */
	ip[8] = segment->ttl ? segment->ttl : 64;
	ip[9] = 6;
	put_address(&ip[12], segment->source);
	put_address(&ip[16], segment->destination);
	if (segment->options_length)
		memcpy(&ip[IP_BYTES], segment->options, segment->options_length);
	put_16(&ip[CHECKSUM_AT], internet_checksum(ip, header, 0));
}

/* ip must be there already: its addresses are in the checksum. */
static void put_tcp(uint8_t *tcp, const struct segment *segment, const uint8_t *ip)
{
	size_t i, length = TCP_BYTES + segment->payload;
	uint32_t pseudo_header = 6 + length;

	put_16(&tcp[0], segment->source_port);
	put_16(&tcp[2], segment->destination_port);
	put_16(&tcp[4], 0x0102); /* sequence and acknowledgement number */
	put_16(&tcp[6], 0x0304);
	put_16(&tcp[8], 0x0506);
	put_16(&tcp[10], 0x0708);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = segment->flags;
	put_16(&tcp[14], 0xfaf0); /* window */
	for (i = 0; i < segment->payload; i++)
		tcp[TCP_BYTES + i] = i;
	for (i = 12; i < IP_BYTES; i += 2)
		pseudo_header += ip[i] << 8 | ip[i + 1];
	put_16(&tcp[16], internet_checksum(tcp, length, pseudo_header));
}

/* The header's checksum follows what is patched, unless it is patched itself. */
static void apply_patches(struct frame *frame, const struct segment *segment, size_t header)
{
	size_t i, count = sizeof(segment->patches) / sizeof(*segment->patches);
	uint8_t *ip = &frame->bytes[ETHERNET_BYTES];
	bool checksum_patched = false;

	for (i = 0; i < count && segment->patches[i].at; i++) {
		frame->bytes[segment->patches[i].at] = segment->patches[i].is;
		checksum_patched |= segment->patches[i].at == ETHERNET_BYTES + CHECKSUM_AT;
	}
	if (i == 0 || checksum_patched)
		return;
	put_16(&ip[CHECKSUM_AT], 0);
	put_16(&ip[CHECKSUM_AT], internet_checksum(ip, header, 0));
}

void frame_build(struct frame *frame, const struct segment *segment)
{
	size_t header = IP_BYTES + segment->options_length;
	size_t total = header + TCP_BYTES + segment->payload;
	uint8_t *ip = &frame->bytes[ETHERNET_BYTES];

	memset(frame, 0, sizeof(*frame));
	frame->length = ETHERNET_BYTES + total + segment->padding;
	must(frame->length <= FRAME_MAX, "too long", segment->source);
	put_ethernet(frame->bytes, segment);
	put_ip(ip, segment, header, total);
	put_tcp(&ip[header], segment, ip);
	apply_patches(frame, segment, header);
	if (segment->cut)
		frame->length = segment->cut;
}
