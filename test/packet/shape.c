/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "shape.h"

#include <arpa/inet.h>
#include <string.h>

#define ETHERNET 14
#define TCP 20
#define PROTOCOL_TCP 6
#define PROTOCOL_IPV4 4
#define PROTOCOL_IPV6 41
#define PROTOCOL_OPTIONS 60

static void put_16(uint8_t *to, uint32_t value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static int is_ipv6(const char *address)
{
	return strchr(address, ':') != NULL;
}

static void put_address(uint8_t *to, const char *text)
{
	struct ip_address address = ip_address(text);

	if (is_ipv6(text))
		memcpy(to, &address, 16);
	else
		memcpy(to, &address.word[3], 4);
}

static void put_ipv4(uint8_t *ip, const char *source, const char *destination, uint8_t protocol,
		     uint8_t traffic_class, size_t header, size_t total)
{
	ip[0] = 0x40 | header / 4;
	ip[1] = traffic_class;
	put_16(&ip[2], total);
	put_16(&ip[6], 0x4000);
	ip[8] = 64;
	ip[9] = protocol;
	put_address(&ip[12], source);
	put_address(&ip[16], destination);
	put_16(&ip[10], 0);
	put_16(&ip[10], internet_checksum(ip, header, 0));
}

static void put_ipv6(uint8_t *ip, const char *source, const char *destination, uint8_t protocol,
		     uint8_t traffic_class, size_t payload)
{
	put_16(&ip[0], 0x6000 | traffic_class << 4);
	put_16(&ip[4], payload);
	ip[6] = protocol;
	ip[7] = 64;
	put_address(&ip[8], source);
	put_address(&ip[24], destination);
}

/* Of addresses, length and protocol. */
static uint32_t pseudo_header(const uint8_t *ip, size_t length)
{
	size_t first = ip[0] >> 4 == 6 ? 8 : 12, last = ip[0] >> 4 == 6 ? 40 : 20;
	uint32_t sum = PROTOCOL_TCP + length;

	for (size_t i = first; i < last; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	return sum;
}

static void put_tcp(uint8_t *tcp, const struct shape *shape, const uint8_t *ip)
{
	size_t header = TCP + shape->tcp_options_length, length = header + shape->payload;

	put_16(&tcp[0], shape->source_port);
	put_16(&tcp[2], shape->destination_port);
	put_16(&tcp[4], 0x0102);
	put_16(&tcp[6], 0x0304);
	put_16(&tcp[8], 0x0506);
	put_16(&tcp[10], 0x0708);
	tcp[12] = header / 4 << 4;
	tcp[13] = shape->flags;
	put_16(&tcp[14], 0xfaf0);
	if (shape->tcp_options_length)
		memcpy(&tcp[TCP], shape->tcp_options, shape->tcp_options_length);
	for (size_t i = 0; i < shape->payload; i++)
		tcp[header + i] = i;
	put_16(&tcp[16], internet_checksum(tcp, length, pseudo_header(ip, length)));
}

void shape_build(struct frame *frame, const struct shape *shape)
{
	size_t segment = TCP + shape->tcp_options_length + shape->payload;
	size_t base = is_ipv6(shape->source) ? 40 : 20;
	size_t between = is_ipv6(shape->source) && shape->between_length ?
				 shape->between_length + 1U :
				 shape->between_length;
	uint8_t *ip = &frame->bytes[ETHERNET];

	memset(frame, 0, sizeof(*frame));
	frame->length = ETHERNET + base + between + segment;
	mac_parse(shape->mac_to, &frame->bytes[0]);
	mac_parse(shape->mac_from, &frame->bytes[6]);
	if (base == 40) {
		put_16(&frame->bytes[12], 0x86dd);
		put_ipv6(ip, shape->source, shape->destination,
			 between ? PROTOCOL_OPTIONS : PROTOCOL_TCP, shape->traffic_class,
			 between + segment);
		ip[40] = PROTOCOL_TCP;
		if (between)
			memcpy(&ip[41], shape->between, shape->between_length);
	} else {
		put_16(&frame->bytes[12], 0x0800);
		if (between)
			memcpy(&ip[20], shape->between, between);
		put_ipv4(ip, shape->source, shape->destination, PROTOCOL_TCP, shape->traffic_class,
			 base + between, base + between + segment);
	}
	put_tcp(&ip[base + between], shape, ip);
}

void outer_put(struct frame *frame, const struct outer *outer)
{
	size_t inner = frame->length - ETHERNET, header = is_ipv6(outer->source) ? 40 : 20;
	uint8_t *ip = &frame->bytes[ETHERNET];
	uint8_t protocol = ip[0] >> 4 == 6 ? PROTOCOL_IPV6 : PROTOCOL_IPV4;

	if (outer->protocol)
		protocol = outer->protocol;
	memmove(ip + header, ip, inner);
	memset(ip, 0, header);
	frame->length += header;
	put_16(&frame->bytes[12], header == 40 ? 0x86dd : 0x0800);
	if (header == 40)
		put_ipv6(ip, outer->source, outer->destination, protocol, outer->traffic_class,
			 inner);
	else
		put_ipv4(ip, outer->source, outer->destination, protocol, outer->traffic_class,
			 header, header + inner);
}

uint16_t shape_checksum(const struct frame *frame)
{
	const uint8_t *ip = &frame->bytes[ETHERNET];
	size_t header = ip[0] >> 4 == 6 ? 40 : (ip[0] & 15) * 4;
	size_t length = frame->length - ETHERNET - header;

	return internet_checksum(&ip[header], length, pseudo_header(ip, length));
}
