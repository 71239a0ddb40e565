/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The world of a balancer with services of both families, and all backends reached in the same way. */
#ifndef PLIMSOLL_TEST_FAMILIES_H
#define PLIMSOLL_TEST_FAMILIES_H

#include "balancer_world.h"
#include "stack.h"

#define VIP6 "2001:db8::64"
#define CLIENT6 "2001:db8::50"
#define BALANCER "10.1.0.2"
#define BALANCER6 "2001:db8::2"

/* How a backend is reached. */
struct way {
	const char *name;
	bool inside; /* in a packet of ours */
	const char *backend;
	const char *outer_source;
	bool varied;
	uint8_t l2_of_other_family; /* 4, 6: a client's packet of that family cannot go this way */
};

extern const struct way ways[];
extern const size_t ways_count;

/* world_reset(), and all backends are reached that way; each server may report that way. */
void families_reset(const struct before *before, const struct way *way);

/* A service of every port, and one that has no backend, both of the VIP in IPv4. */
void families_any_port(uint8_t protocol);
void families_empty_port(uint8_t protocol, uint16_t port);

/* A client's packet: SYN or datagram. */
struct layers request(bool ipv6, bool udp, uint8_t vlans);

/* What a packet that goes this way has around it (RFC 2003, 2473, 4213, 6040). */
void way_around(const struct way *way, const struct layers *in, struct layers *out);

#endif
