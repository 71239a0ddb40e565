/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's routes and its neighbour table, one question or order at a time.
 *
 * Two orders make the kernel send ARP requests (net/core/neighbour.c, neigh_add(); tried on 6.18):
 *
 *   NTF_USE with NLM_F_CREATE	makes the entry if there is none. One without a MAC is broadcast
 *				for at once, three times in 3 s, then it is FAILED. On a STALE one
 *				it is too slow: nothing is sent for the 5 s of DELAY.
 *   state NUD_PROBE		sends to the known MAC at once, keeps it meanwhile, and ends in
 *				FAILED after 3 s of silence. Refused (EINVAL) without a MAC.
 *
 * Setting NUD_INCOMPLETE would stop the entry's timer: it stays so forever, and NTF_USE does not
 * wake it. NUD_NONE is the state from which NTF_USE starts anew.
 */
#ifndef PLIMSOLL_NEXT_HOP_H
#define PLIMSOLL_NEXT_HOP_H

#include "netlink.h"

#include "address.h"
#include <stdbool.h>
#include <stdint.h>

struct next_hop {
	int ifindex; /* 0 = no route to another machine */
	struct ip_address address;
};

struct next_hop_entry {
	uint16_t state; /* NUD_...; NUD_NONE if there is no entry */
	bool has_mac; /* false on a link without Ethernet addresses, too */
	uint8_t mac[6];
};

/* All of them return 0 or -errno. That there is no route, or no entry, is not an error. */
int next_hop_look_up(struct mnl_socket *socket, struct ip_address destination,
		     struct next_hop *hop);
int next_hop_entry(struct mnl_socket *socket, const struct next_hop *hop,
		   struct next_hop_entry *entry);

/* The replies that they have netlink_ask() call, with what they fill in as the context. */
int next_hop_read(const struct nlmsghdr *message, void *hop);
int next_hop_entry_read(const struct nlmsghdr *message, void *entry);

/* Has the kernel broadcast for an entry without a MAC. A notification tells what came of it. */
int next_hop_resolve(struct mnl_socket *socket, const struct next_hop *hop);

/* Has the kernel ask the known MAC. */
int next_hop_probe(struct mnl_socket *socket, const struct next_hop *hop);

/* Makes the kernel forget the MAC and broadcast. */
int next_hop_search(struct mnl_socket *socket, const struct next_hop *hop);

#endif
