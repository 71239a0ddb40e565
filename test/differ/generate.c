/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "generate.h"

#include <stdbool.h>
#include <string.h>

#define ETHERNET 14
#define IPV4 20
#define TCP 20
#define IPV6 40
#define UDP 8
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PAYLOAD_MAX 200
#define LENGTH_MIN ETHERNET /* the kernel takes no shorter frame */

/* What clients send, and what nobody should. */
static const uint8_t flag_sets[] = {0x02, 0x02, 0x10, 0x10, 0x18, 0x11,
				    0x04, 0x14, 0x12, 0x00, 0xFF, 0x29};

/* Values at which lengths and versions like to break. */
static const uint8_t edges[] = {0,    1,    2,	  4,	5,    6,    20,	  24,	0x0F, 0x1F,
				0x20, 0x3F, 0x40, 0x44, 0x45, 0x46, 0x4F, 0x50, 0x5E, 0x60,
				0x7F, 0x80, 0x81, 0x88, 0xA8, 0xB7, 0xF0, 0xFE, 0xFF};

/* Where the fields are that say how long something is, or what comes next. */
static const uint8_t tender[] = {12, 13, 14, 16, 17, 20, 21, 23, 34,
				 35, 36, 37, 38, 46, 66, 70, 78};

static uint64_t draw(struct generator *generator)
{
	uint64_t x = generator->state += 0x9E3779B97F4A7C15;

	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
	x = (x ^ x >> 27) * 0x94D049BB133111EB;
	return x ^ x >> 31;
}

static uint32_t below(struct generator *generator, uint32_t count)
{
	return (uint32_t)((draw(generator) >> 32) * count >> 32);
}

static void put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put_32(uint8_t *at, uint32_t value)
{
	put_16(at, value >> 16);
	put_16(at + 2, value);
}

static void noise(struct generator *generator, uint8_t *at, size_t length)
{
	for (size_t i = 0; i < length; i++)
		at[i] = (uint8_t)draw(generator);
}

static void put_checksum(struct generated *frame)
{
	uint8_t *ip = frame->bytes + ETHERNET;
	size_t header = (ip[0] & 0xF) * 4U;

	if (header < IPV4 || ETHERNET + header > frame->length)
		return;
	put_16(ip + 10, 0);
	put_16(ip + 10, oracle_checksum(ip, header));
}

/* Few of them, so that flows are met again. */
static void put_client(struct generator *generator, uint8_t *address)
{
	const struct oracle_world *world = generator->world;
	uint32_t kind = below(generator, 8);

	if (kind < 4) {
		memcpy(address, world->neighbours[kind & 1].address, 4);
		return;
	}
	memcpy(address, world->networks[kind & 1].own, 4);
	address[3] = (uint8_t)below(generator, 256);
	if (kind == 7)
		put_32(address, (uint32_t)draw(generator));
}

static void put_ethernet(struct generator *generator, struct generated *frame)
{
	const struct oracle_port *port = &generator->world->ports[below(generator, 2)];

	frame->ifindex = port->ifindex;
	memcpy(frame->bytes, port->mac, 6);
	memcpy(frame->bytes + 6, "\x02\x00\x00\x00\x00\xfe", 6);
	put_16(frame->bytes + 12, 0x0800);
}

static void put_tcp(struct generator *generator, uint8_t *tcp)
{
	tcp[12] = TCP / 4 << 4;
	tcp[13] = flag_sets[below(generator, sizeof(flag_sets))];
}

static void put_udp(struct generator *generator, uint8_t *udp, size_t payload)
{
	put_16(udp + 4, (uint32_t)(UDP + payload));
	if (!below(generator, 8))
		put_16(udp + 4, below(generator, (uint32_t)(UDP + payload + 4)));
}

/* Any of that family. */
static const struct oracle_service *draw_service(struct generator *generator, int family)
{
	const struct oracle_service *service;

	do
		service = &generator->world->services[below(generator, ORACLE_SERVICES)];
	while (service->family != family);
	return service;
}

static uint32_t draw_port(struct generator *generator, const struct oracle_service *service)
{
	return service->port ? service->port : below(generator, 4) * 4040;
}

static void put_transport(struct generator *generator, uint8_t *transport,
			  const struct oracle_service *service, size_t payload)
{
	put_16(transport, 40000 + below(generator, 16));
	put_16(transport + 2, draw_port(generator, service));
	if (service->protocol == PROTOCOL_UDP)
		put_udp(generator, transport, payload);
	else
		put_tcp(generator, transport);
}

/* IPv4 and TCP or UDP around so many bytes of options; the rest is the caller's. */
static void put_headers(struct generator *generator, struct generated *frame, size_t options)
{
	const struct oracle_service *service = draw_service(generator, 4);
	size_t payload = below(generator, 4) ? 0 : below(generator, PAYLOAD_MAX);
	size_t header = service->protocol == PROTOCOL_TCP ? TCP : UDP;
	uint8_t *ip = frame->bytes + ETHERNET, *transport = ip + IPV4 + options;

	noise(generator, ip, IPV4 + options + header + payload);
	ip[0] = (uint8_t)(0x40 | (IPV4 + options) / 4);
	put_16(ip + 2, (uint32_t)(IPV4 + options + header + payload));
	put_16(ip + 6, 0x4000);
	ip[9] = service->protocol;
	put_client(generator, ip + 12);
	memcpy(ip + 16, service->address, 4);
	put_transport(generator, transport, service, payload);
	frame->length = ETHERNET + IPV4 + options + header + payload;
	if (!below(generator, 4))
		frame->length += below(generator, 12);
}

static void make_request(struct generator *generator, struct generated *frame)
{
	put_headers(generator, frame, below(generator, 4) ? 0 : below(generator, 11) * 4);
}

static void turn_round(struct generated *frame, size_t options)
{
	uint8_t *ip = frame->bytes + ETHERNET, *tcp = ip + IPV4 + options;
	uint8_t address[4], port[2];

	memcpy(address, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, address, 4);
	memcpy(port, tcp, 2);
	memcpy(tcp, tcp + 2, 2);
	memcpy(tcp + 2, port, 2);
}

/* Of a report in a packet that is right so far. */
static void put_tag(struct generator *generator, struct generated *frame)
{
	uint8_t *ip = frame->bytes + ETHERNET;

	if (frame->bytes[12] == 8)
		oracle_tag(generator->world->key, ip + IPV4, 4, ip + 12, ip + 16, ip + IPV4 + 24);
	else
		oracle_tag(generator->world->key, ip + IPV6 + 8, 6, ip + 8, ip + 24,
			   ip + IPV6 + 8 + 24);
}

/* A report of one of the servers, so many bytes long; its tag is the caller's. */
static void put_option(struct generator *generator, struct generated *frame, uint8_t *option,
		       bool keyed)
{
	uint32_t server = below(generator, ORACLE_BACKENDS);

	memcpy(frame->bytes + 6, generator->world->backends[server].mac, 6);
	option[0] = 0x5E;
	option[1] = keyed ? 32 : 24;
	option[2] = 0xB7;
	option[3] = (uint8_t)(0x10 | (option[3] & 7) | (keyed ? 8 : 0));
	memcpy(option + 4, generator->world->backends[server].id, 4);
	/* Mostly a little forwards or backwards. */
	put_32(option + 8,
	       below(generator, 16) ? below(generator, 1 << 20) : (uint32_t)draw(generator));
}

static bool draw_keyed(struct generator *generator)
{
	return below(generator, 4) ? generator->world->keyed : below(generator, 2);
}

static void make_report(struct generator *generator, struct generated *frame)
{
	bool keyed = draw_keyed(generator);
	size_t options = keyed ? 32 : 24;

	put_headers(generator, frame, options);
	turn_round(frame, options);
	put_option(generator, frame, frame->bytes + ETHERNET + IPV4, keyed);
	if (keyed)
		put_tag(generator, frame);
}

/* From a service to a client in IPv6: in a destination options header, behind padding. */
static void make_report_ipv6(struct generator *generator, struct generated *frame)
{
	const struct oracle_service *service = draw_service(generator, 6);
	bool keyed = draw_keyed(generator);
	size_t payload = below(generator, PAYLOAD_MAX), options = 8 + (keyed ? 32 : 24);
	size_t header = service->protocol == PROTOCOL_UDP ? UDP : TCP;
	uint8_t *ip = frame->bytes + ETHERNET, *extension = ip + IPV6;
	uint8_t *transport = extension + options;
	uint32_t port;

	noise(generator, ip, IPV6 + options + header + payload);
	put_16(frame->bytes + 12, 0x86DD);
	ip[0] = 0x60;
	put_16(ip + 4, (uint32_t)(options + header + payload));
	ip[6] = 60;
	memcpy(ip + 8, service->address, 16);
	memcpy(ip + 24, service->address, 16);
	ip[39] = (uint8_t)(2 + below(generator, 16));
	memcpy(extension, (uint8_t[]){service->protocol, (uint8_t)(options / 8 - 1), 1, 4}, 4);
	memset(extension + 4, 0, 4);
	put_option(generator, frame, extension + 8, keyed);
	extension[8] = 0x1E;
	extension[9] -= 2;
	put_transport(generator, transport, service, payload);
	port = (uint32_t)(transport[0] << 8 | transport[1]);
	memcpy(transport, transport + 2, 2);
	put_16(transport + 2, port);
	frame->length = ETHERNET + IPV6 + options + header + payload;
	if (keyed)
		put_tag(generator, frame);
}

static void make_answer(struct generator *generator, struct generated *frame)
{
	size_t options = below(generator, 2) ? 0 : below(generator, 11) * 4;

	put_headers(generator, frame, options);
	turn_round(frame, options);
}

static void make_noise(struct generator *generator, struct generated *frame)
{
	frame->length = LENGTH_MIN + below(generator, 120);
	noise(generator, frame->bytes + ETHERNET, frame->length - ETHERNET);
	if (below(generator, 2))
		frame->bytes[ETHERNET] = 0x45;
}

/* Of few packets, so that pieces of the same one are met. */
static void make_fragment(struct generator *generator, struct generated *frame)
{
	uint8_t *ip = frame->bytes + ETHERNET;

	make_request(generator, frame);
	put_16(ip + 4, below(generator, 4));
	put_16(ip + 6, below(generator, 2) ? 0x2000 : (uint32_t)draw(generator));
}

/* An IPv4 or IPv6 header for what is behind it, from somebody to the VIP of that family. */
static size_t put_icmp_ip(struct generator *generator, struct generated *frame, bool six)
{
	const struct oracle_service *service = draw_service(generator, six ? 6 : 4);
	uint8_t *ip = frame->bytes + ETHERNET;

	noise(generator, ip, 256);
	if (six) {
		put_16(frame->bytes + 12, 0x86DD);
		ip[0] = 0x60;
		ip[6] = 58;
		memcpy(ip + 24, service->address, 16);
		return IPV6;
	}
	ip[0] = 0x45;
	ip[9] = 1;
	put_16(ip + 6, 0);
	put_client(generator, ip + 12);
	memcpy(ip + 16, service->address, 4);
	return IPV4;
}

/* The packet of a service's to one of its clients. */
static size_t put_quoted(struct generator *generator, uint8_t *ip, bool six)
{
	const struct oracle_service *service = draw_service(generator, six ? 6 : 4);
	size_t header = six ? IPV6 : IPV4 + (below(generator, 4) ? 0 : below(generator, 11) * 4);

	if (six) {
		ip[0] = 0x60;
		ip[6] = service->protocol;
		memcpy(ip + 8, service->address, 16);
		memcpy(ip + 24, service->address, 16);
		ip[39] = (uint8_t)(2 + below(generator, 16));
	} else {
		ip[0] = (uint8_t)(0x40 | header / 4);
		ip[9] = service->protocol;
		put_16(ip + 6, below(generator, 8) ? 0x4000 : (uint32_t)draw(generator));
		memcpy(ip + 12, service->address, 4);
		put_client(generator, ip + 16);
	}
	put_16(ip + header, draw_port(generator, service));
	put_16(ip + header + 2, 40000 + below(generator, 16));
	return header + (below(generator, 8) ? UDP : below(generator, 20));
}

static void make_icmp(struct generator *generator, struct generated *frame)
{
	static const uint8_t types[2][8] = {{8, 8, 3, 3, 11, 12, 5, 0},
					    {128, 128, 1, 2, 3, 4, 135, 129}};
	bool six = below(generator, 2), echo;
	size_t header = put_icmp_ip(generator, frame, six), length;
	uint8_t *ip = frame->bytes + ETHERNET, *icmp = ip + header;

	icmp[0] = types[six][below(generator, 8)];
	icmp[1] = (uint8_t)(below(generator, 4) ? 0 : below(generator, 8));
	echo = icmp[0] == (six ? 128 : 8);
	length = header + 8 + (echo ? below(generator, 64) : put_quoted(generator, icmp + 8, six));
	put_16(six ? ip + 4 : ip + 2, (uint32_t)(six ? length - IPV6 : length));
	frame->length = ETHERNET + length;
}

/* A header that RFC 8200 lets stand between; returns its length. */
static size_t put_extension(struct generator *generator, uint8_t kind, uint8_t *at, uint8_t next)
{
	size_t units = below(generator, 3);

	at[0] = next;
	if (kind == 44) { /* mostly all there is of its packet */
		at[1] = 0;
		put_16(at + 2,
		       below(generator, 4) ? below(generator, 2) : (uint32_t)draw(generator));
		put_32(at + 4, below(generator, 4));
		return 8;
	}
	at[1] = (uint8_t)(kind == 51 ? units * 2 : units);
	return kind == 51 ? (units * 2 + 2) * 4 : (units + 1) * 8;
}

static void make_ipv6(struct generator *generator, struct generated *frame)
{
	static const uint8_t kinds[] = {0, 43, 44, 51, 60};
	const struct oracle_service *service = draw_service(generator, 6);
	size_t payload = below(generator, PAYLOAD_MAX), length = IPV6;
	uint32_t extensions = below(generator, 2) ? 0 : below(generator, 11);
	uint8_t *ip = frame->bytes + ETHERNET, *next = ip + 6, *transport;
	uint8_t kind;

	noise(generator, ip, IPV6 + 11 * 24 + TCP + PAYLOAD_MAX);
	put_16(frame->bytes + 12, 0x86DD);
	ip[0] = 0x60;
	memcpy(ip + 8, service->address, 16);
	ip[23] = (uint8_t)(2 + below(generator, 16));
	memcpy(ip + 24, service->address, 16);
	for (; extensions; extensions--) {
		kind = kinds[below(generator, sizeof(kinds))];
		*next = kind;
		next = ip + length;
		length += put_extension(generator, kind, next, 0);
	}
	*next = service->protocol;
	transport = ip + length;
	put_transport(generator, transport, service, payload);
	length += (service->protocol == PROTOCOL_UDP ? UDP : TCP) + payload;
	put_16(ip + 4, (uint32_t)(length - IPV6));
	frame->length = ETHERNET + length;
}

/* Before the type, whatever that is. */
static void put_vlan_tags(struct generator *generator, struct generated *frame)
{
	uint32_t tags = 1 + below(generator, 3);

	for (; tags; tags--) {
		memmove(frame->bytes + 16, frame->bytes + 12, frame->length - 12);
		put_16(frame->bytes + 12, below(generator, 2) ? 0x8100 : 0x88A8);
		put_16(frame->bytes + 14, (uint32_t)draw(generator));
		frame->length += 4;
	}
}

static void mutate(struct generator *generator, struct generated *frame)
{
	uint32_t at = below(generator, frame->length < 96 ? (uint32_t)frame->length : 96);

	switch (below(generator, 6)) {
	case 0:
		frame->bytes[at] ^= (uint8_t)(1 << below(generator, 8));
		break;
	case 1:
		frame->bytes[at] = edges[below(generator, sizeof(edges))];
		break;
	case 2:
		frame->bytes[tender[below(generator, sizeof(tender))]] =
			edges[below(generator, sizeof(edges))];
		break;
	case 3:
		frame->bytes[tender[below(generator, sizeof(tender))]] +=
			(uint8_t)(below(generator, 5) - 2);
		break;
	case 4:
		frame->length =
			LENGTH_MIN + below(generator, (uint32_t)frame->length - LENGTH_MIN + 1);
		break;
	default:
		frame->bytes[at] = (uint8_t)draw(generator);
		break;
	}
}

void generate(struct generator *generator, struct generated *frame)
{
	static void (*const makers[])(struct generator *, struct generated *) = {
		make_request, make_request,	make_request,	  make_report,	    make_report,
		make_report,  make_report,	make_answer,	  make_fragment,    make_noise,
		make_ipv6,    make_ipv6,	make_ipv6,	  make_fragment,    make_icmp,
		make_icmp,    make_report_ipv6, make_report_ipv6, make_report_ipv6,
	};
	uint32_t maker = below(generator, sizeof(makers) / sizeof(makers[0])), count;

	memset(frame->bytes, 0, 256);
	put_ethernet(generator, frame);
	makers[maker](generator, frame);
	put_checksum(frame);
	if (!below(generator, 8))
		put_vlan_tags(generator, frame);
	if (below(generator, 3) == 0)
		return;
	for (count = 1 + below(generator, 4); count; count--)
		mutate(generator, frame);
	/* What was broken is to get past the checks before the one that it is for. */
	if (makers[maker] == (frame->bytes[12] == 8 ? make_report : make_report_ipv6) &&
	    below(generator, 4))
		put_tag(generator, frame);
	if (frame->bytes[12] == 8 && below(generator, 4))
		put_checksum(frame);
}
