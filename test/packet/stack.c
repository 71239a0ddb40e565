/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stack.h"

#include <string.h>

#define ETHERNET_BYTES 14
#define TAG_BYTES 4
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define TCP_BYTES 20
#define UDP_BYTES 8

static bool is_ipv6(const struct ip_layer *ip)
{
	return strchr(ip->source, ':');
}

static void put_16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static size_t header_bytes(const struct ip_layer *ip)
{
	return (is_ipv6(ip) ? IPV6_BYTES : IPV4_BYTES) + ip->between_length;
}

static size_t transport_bytes(const struct layers *layers)
{
	return (layers->transport == 6 ? TCP_BYTES : UDP_BYTES) + layers->payload;
}

size_t layers_before_ip(const struct layers *layers)
{
	return ETHERNET_BYTES + TAG_BYTES * layers->vlans +
	       (layers->outer.source ? header_bytes(&layers->outer) : 0);
}

size_t layers_before_transport(const struct layers *layers)
{
	return layers_before_ip(layers) + header_bytes(&layers->ip);
}

/* Returns where the next layer begins. */
static uint8_t *put_link(uint8_t *to, const struct layers *layers)
{
	static const uint16_t types[] = {0x8100, 0x88a8}, numbers[] = {7, 9};
	const struct ip_layer *next = layers->outer.source ? &layers->outer : &layers->ip;

	mac_parse(layers->mac_to, to);
	mac_parse(layers->mac_from, to + 6);
	to += 12;
	for (int i = layers->vlans - 1; i >= 0; i--, to += TAG_BYTES) {
		put_16(to, types[i]);
		put_16(to + 2, numbers[i]);
	}
	put_16(to, is_ipv6(next) ? 0x86dd : 0x0800);
	return to + 2;
}

static uint8_t *put_ipv4(uint8_t *to, const struct ip_layer *ip, uint8_t protocol, size_t behind)
{
	size_t header = header_bytes(ip);
	struct ip_address source = ip_address(ip->source),
			  destination = ip_address(ip->destination);

	to[0] = (uint8_t)(0x40 | header / 4);
	to[1] = ip->traffic_class;
	put_16(to + 2, header + behind);
	put_16(to + 4, ip->id);
	put_16(to + 6, ip->may_fragment ? 0 : 0x4000);
	to[8] = ip->ttl ? ip->ttl : 64;
	to[9] = protocol;
	memcpy(to + 12, &source.word[3], 4);
	memcpy(to + 16, &destination.word[3], 4);
	if (ip->between_length)
		memcpy(to + IPV4_BYTES, ip->between, ip->between_length);
	put_16(to + 10, internet_checksum(to, header, 0));
	return to + header;
}

static uint8_t *put_ipv6(uint8_t *to, const struct ip_layer *ip, uint8_t protocol, size_t behind)
{
	struct ip_address source = ip_address(ip->source),
			  destination = ip_address(ip->destination);

	put_16(to, 0x6000U | (unsigned int)ip->traffic_class << 4 | ip->flow_label >> 16);
	put_16(to + 2, ip->flow_label & 0xffff);
	put_16(to + 4, ip->between_length + behind);
	to[6] = ip->between_length ? ip->first : protocol;
	to[7] = ip->ttl ? ip->ttl : 64;
	memcpy(to + 8, &source, 16);
	memcpy(to + 24, &destination, 16);
	if (ip->between_length)
		memcpy(to + IPV6_BYTES, ip->between, ip->between_length);
	return to + header_bytes(ip);
}

static uint8_t *put_ip(uint8_t *to, const struct ip_layer *ip, uint8_t protocol, size_t behind)
{
	return is_ipv6(ip) ? put_ipv6(to, ip, protocol, behind) :
			     put_ipv4(to, ip, protocol, behind);
}

/* Of the pseudo header, RFC 9293 and RFC 8200: what is added is the same in both. */
static uint32_t pseudo_header(const struct ip_layer *ip, uint8_t protocol, size_t length)
{
	struct ip_address ends[] = {ip_address(ip->source), ip_address(ip->destination)};
	const uint8_t *bytes = (const uint8_t *)ends;
	uint32_t sum = protocol + (uint32_t)length;

	for (size_t i = 0; i < sizeof(ends); i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	/* The ffff of a mapped address is no part of an IPv4 header. */
	return is_ipv6(ip) ? sum : sum - 2 * 0xffff;
}

static void put_transport(uint8_t *to, const struct layers *layers)
{
	bool tcp = layers->transport == 6;
	size_t length = transport_bytes(layers), header = length - layers->payload;
	size_t checksum_at = tcp ? 16 : 6;

	put_16(to, layers->source_port);
	put_16(to + 2, layers->destination_port);
	if (tcp) {
		to[7] = 1; /* sequence number */
		to[12] = TCP_BYTES / 4 << 4;
		to[13] = layers->flags;
		put_16(to + 14, 0xfaf0); /* window */
	} else {
		put_16(to + 4, length);
	}
	for (size_t i = 0; i < layers->payload; i++)
		to[header + i] = (uint8_t)i;
	put_16(to + checksum_at,
	       internet_checksum(to, length,
				 pseudo_header(&layers->ip, layers->transport, length)));
}

void layers_build(struct frame *frame, const struct layers *layers)
{
	const struct ip_layer *ip = &layers->ip;
	size_t transport = transport_bytes(layers), inner = header_bytes(ip) + transport;
	uint8_t *to = frame->bytes;

	memset(frame, 0, sizeof(*frame));
	to = put_link(to, layers);
	if (layers->outer.source)
		to = put_ip(to, &layers->outer, is_ipv6(ip) ? 41 : 4, inner);
	to = put_ip(to, ip, layers->transport, transport);
	put_transport(to, layers);
	frame->length = (size_t)(to - frame->bytes) + transport;
}
