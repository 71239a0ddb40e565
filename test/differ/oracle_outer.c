/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet around a packet: RFC 2003, RFC 2473, RFC 4213, and of the traffic class RFC 6040. */
#include "oracle_parts.h"

#include <string.h>

#define TTL 64
#define IN_IPV4 4 /* IPPROTO_IPIP */
#define IN_IPV6 41
#define DONT_FRAGMENT 0x4000

static void put_16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static size_t length_of(const uint8_t *inner)
{
	return inner[0] >> 4 == 4 ? get_16(inner + 2) : IPV6 + (size_t)get_16(inner + 4);
}

static uint8_t traffic_class_of(const uint8_t *inner)
{
	return inner[0] >> 4 == 4 ? inner[1] : (uint8_t)(inner[0] << 4 | inner[1] >> 4);
}

/* What may not be fragmented inside may not outside; what may has its identification there, too. */
static void write_ipv4(uint8_t *outer, const uint8_t *inner, const uint8_t *source,
		       const uint8_t *destination)
{
	bool four = inner[0] >> 4 == 4;

	memset(outer, 0, IPV4);
	outer[0] = 4 << 4 | IPV4 / 4;
	outer[1] = traffic_class_of(inner);
	put_16(outer + 2, IPV4 + length_of(inner));
	if (four)
		memcpy(outer + 4, inner + 4, 2);
	put_16(outer + 6, four ? get_16(inner + 6) & DONT_FRAGMENT : DONT_FRAGMENT);
	outer[8] = TTL;
	outer[9] = four ? IN_IPV4 : IN_IPV6;
	memcpy(outer + 12, source, 4);
	memcpy(outer + 16, destination, 4);
	put_16(outer + 10, oracle_checksum(outer, IPV4));
}

/* The flow label is the sender's choice: who compares takes it over. */
static void write_ipv6(uint8_t *outer, const uint8_t *inner, const uint8_t *source,
		       const uint8_t *destination)
{
	uint8_t traffic_class = traffic_class_of(inner);

	memset(outer, 0, IPV6);
	outer[0] = (uint8_t)(6 << 4 | traffic_class >> 4);
	outer[1] = (uint8_t)(traffic_class << 4);
	put_16(outer + 4, length_of(inner));
	outer[6] = inner[0] >> 4 == 4 ? IN_IPV4 : IN_IPV6;
	outer[7] = TTL;
	memcpy(outer + 8, source, 16);
	memcpy(outer + 24, destination, 16);
}

void oracle_wrap(const struct oracle_world *world, const struct oracle_backend *backend, int outer,
		 struct oracle_verdict *verdict)
{
	size_t header = outer == 4 ? IPV4 : IPV6;
	uint8_t *ip = verdict->frame + verdict->link, *inner = ip + header;

	memmove(inner, ip, verdict->length - verdict->link);
	verdict->length += header;
	put_16(ip - 2, outer == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
	if (outer == 4)
		write_ipv4(ip, inner, world->outer_source, backend->id);
	else
		write_ipv6(ip, inner, world->outer_source6, backend->address6);
}
