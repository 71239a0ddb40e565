// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "layers.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *grow(struct frame *frame, size_t count)
{
	uint8_t *at = &frame->bytes[frame->length];

	if (frame->length + count > FRAME_MAX)
		abort();
	memset(at, 0, count);
	frame->length += count;
	return at;
}

static void put_16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void put_32(uint8_t *at, uint32_t value)
{
	put_16(at, value >> 16);
	put_16(at + 2, value);
}

void lay_ethernet(struct frame *frame, const char *to, const char *from, uint16_t type)
{
	uint8_t *at;

	frame->length = 0;
	at = grow(frame, 14);
	mac_parse(to, at);
	mac_parse(from, at + 6);
	put_16(at + 12, type);
}

void lay_vlan(struct frame *frame, uint16_t tag, uint16_t type)
{
	uint8_t *at = grow(frame, 4);

	put_16(at, tag);
	put_16(at + 2, type);
}

static void lay_ipv4(struct frame *frame, const struct ip_fields *ip)
{
	size_t length = 20 + ip->options_length;
	uint8_t *at = grow(frame, length);

	at[0] = 0x40 | length / 4;
	at[1] = ip->tos;
	put_16(at + 4, ip->identification);
	put_16(at + 6, ip->fragment);
	at[8] = ip->ttl == IS_ZERO ? 0 : ip->ttl ? ip->ttl : 64;
	at[9] = ip->protocol;
	inet_pton(AF_INET, ip->source, at + 12);
	inet_pton(AF_INET, ip->destination, at + 16);
	if (ip->options_length)
		memcpy(at + 20, ip->options, ip->options_length);
}

void lay_ip(struct frame *frame, const struct ip_fields *ip)
{
	uint8_t *at;

	if (!strchr(ip->source, ':')) {
		lay_ipv4(frame, ip);
		return;
	}
	at = grow(frame, 40);
	at[0] = 0x60;
	at[6] = ip->protocol;
	at[7] = ip->ttl == IS_ZERO ? 0 : ip->ttl ? ip->ttl : 64;
	inet_pton(AF_INET6, ip->source, at + 8);
	inet_pton(AF_INET6, ip->destination, at + 24);
}

/* Filled by a PadN option of six bytes. */
void lay_extension(struct frame *frame, uint8_t next)
{
	uint8_t *at = grow(frame, 8);

	at[0] = next;
	at[2] = 1;
	at[3] = 4;
}

void lay_fragment(struct frame *frame, uint8_t next, uint32_t identification, uint16_t offset_bytes,
		  bool more)
{
	uint8_t *at = grow(frame, 8);

	at[0] = next;
	put_16(at + 2, offset_bytes | more);
	put_32(at + 4, identification);
}

void lay_udp(struct frame *frame, uint16_t source, uint16_t destination)
{
	uint8_t *at = grow(frame, 8);

	put_16(at, source);
	put_16(at + 2, destination);
}

void lay_tcp(struct frame *frame, uint16_t source, uint16_t destination, uint8_t flags)
{
	uint8_t *at = grow(frame, 20);

	put_16(at, source);
	put_16(at + 2, destination);
	put_32(at + 4, 0x01020304);
	at[12] = 5 << 4;
	at[13] = flags;
	put_16(at + 14, 0xfaf0);
}

void lay_icmp(struct frame *frame, uint8_t type, uint8_t code, uint32_t rest)
{
	uint8_t *at = grow(frame, 8);

	at[0] = type;
	at[1] = code;
	put_32(at + 4, rest);
}

void lay_bytes(struct frame *frame, size_t count)
{
	uint8_t *at = grow(frame, count);
	size_t i;

	for (i = 0; i < count; i++)
		at[i] = i;
}

void lay_copy(struct frame *frame, const uint8_t *bytes, size_t count)
{
	memcpy(grow(frame, count), bytes, count);
}

static uint32_t sum_words(const uint8_t *bytes, size_t count)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < count; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static void settle_transport(uint8_t *at, size_t length, uint8_t protocol, uint32_t pseudo_header)
{
	/* By the protocol: how long a header is the least, and where its checksum is. */
	static const uint8_t places[256] = {[ICMP4] = 2, [TCP] = 16, [UDP] = 6, [ICMP6] = 2};
	size_t place = places[protocol];

	if (!place || length < place + 2)
		return;
	if (protocol == UDP)
		put_16(at + 4, length);
	put_16(at + place, 0);
	put_16(at + place,
	       internet_checksum(at, length,
				 protocol == ICMP4 ? 0 : pseudo_header + protocol + length));
}

static void settle_ipv4(struct frame *frame, size_t place)
{
	uint8_t *at = &frame->bytes[place];
	size_t header = (at[0] & 15) * 4, length = frame->length - place;

	put_16(at + 2, length);
	put_16(at + 10, 0);
	put_16(at + 10, internet_checksum(at, header, 0));
	if (!((at[6] << 8 | at[7]) & 0x3fff))
		settle_transport(at + header, length - header, at[9], sum_words(at + 12, 8));
}

static void settle_ipv6(struct frame *frame, size_t place)
{
	uint8_t *at = &frame->bytes[place];
	size_t header = 40, length = frame->length - place;
	uint8_t next = at[6];

	put_16(at + 4, length - header);
	while (header + 8 <= length &&
	       (next == HOP_BY_HOP || next == DESTINATION_OPTIONS || next == ROUTING)) {
		next = at[header];
		header += (at[header + 1] + 1) * 8;
	}
	if (header <= length)
		settle_transport(at + header, length - header, next, sum_words(at + 8, 32));
}

void settle(struct frame *frame, size_t place)
{
	if (frame->bytes[place] >> 4 == 4)
		settle_ipv4(frame, place);
	else
		settle_ipv6(frame, place);
}
