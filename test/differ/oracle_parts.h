/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the oracle's files share: a frame taken apart. */
#ifndef PLIMSOLL_TEST_ORACLE_PARTS_H
#define PLIMSOLL_TEST_ORACLE_PARTS_H

#include "oracle.h"

/* RFC 768, 791, 8200, 9293; Ethernet II, IEEE 802.1Q and 802.1ad. */
#define ETHERNET 14
#define TAG 4
#define TAGS_MAX 2
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86DD
#define ETHERTYPE_TAG 0x8100
#define ETHERTYPE_SERVICE_TAG 0x88A8
#define IPV4 20
#define IPV6 40
#define TCP 20
#define UDP 8
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
/* Of IPv6: hop by hop, routing, fragment, authentication, destination. */
#define EXTENSIONS_MAX 8
#define EXTENSION_FRAGMENT 44
#define EXTENSION_AUTHENTICATION 51

/* The parts of a frame. */
struct parts {
	const uint8_t *frame, *ip, *transport;
	size_t length; /* of the frame */
	size_t link; /* where IP begins */
	size_t header; /* of IP, extension headers included; of a fragment up to its own */
	size_t total; /* of the IP packet */
	int family;
	uint8_t protocol; /* as far as it could be followed */
	const uint8_t *source, *destination; /* addresses */
	uint16_t source_port, destination_port;
};

enum found {
	FOUND_NOT_IP,
	FOUND_BROKEN, /* the addresses are known */
	FOUND_FRAGMENT,
	FOUND_OTHER_TRANSPORT,
	FOUND_ALL,
};

uint16_t get_16(const uint8_t *at);
uint32_t get_32(const uint8_t *at);

/*
 * Follows extension headers from parts->header and parts->protocol on. FOUND_ALL: to their end. A
 * fragment's own header is not gone over.
 */
enum found follow_extensions(struct parts *parts);
bool is_extension(uint8_t protocol);

/* That of the very port before that of every port; NULL if there is none. */
const struct oracle_service *find_service(const struct oracle_world *world, int family,
					  const uint8_t *address, uint8_t protocol, uint16_t port);
/* Whether there is any service at all at the packet's destination. */
bool is_to_vip(const struct oracle_world *world, const struct parts *parts);
/* Is what cannot be understood for one of our addresses, and maybe for a service there? */
bool concerns_us(const struct oracle_world *world, const struct parts *parts);

void end(struct oracle_verdict *verdict, enum oracle_outcome outcome, enum oracle_exit exit);

/* Towards the service: on to a backend, unless there are options that lead nowhere. */
void forward(const struct parts *parts, const struct oracle_service *service,
	     struct oracle_verdict *verdict);
void name_flow(const struct parts *parts, struct oracle_verdict *verdict);

void judge_fragment(const struct oracle_world *world, struct parts *parts,
		    struct oracle_verdict *verdict);
void judge_icmp(const struct oracle_world *world, struct parts *parts,
		struct oracle_verdict *verdict);

#endif
