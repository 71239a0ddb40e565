/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Links, routes and neighbours over rtnetlink (libmnl): which interface and MAC address lead to an
 * IPv4 address, kept resolved and followed when it changes, so that no connection waits for ARP.
 */
#ifndef PLIMSOLL_NEIGHBOUR_H
#define PLIMSOLL_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"

struct link_info {
	int index;
	uint8_t mac[6];
	uint32_t mtu;
	bool up; /* administratively, and with carrier */
};

/* Returns 0, or -ENODEV and the like. */
int link_get(const char *name, struct link_info *link);
int link_get_by_index(int index, struct link_info *link);

/* Warns if no packet comes by it now. */
void link_warn_if_down(const char *name, const struct link_info *link);

/* The driver's name, such as veth; empty if it says none. */
#define LINK_DRIVER_MAX 32
void link_driver(const char *name, char driver[LINK_DRIVER_MAX]);

/* The reply that they have netlink_ask() call, with a struct link_info as its context. */
struct nlmsghdr;
int link_read(const struct nlmsghdr *message, void *link);

/*
 * The address from which this host would speak to another: that by which the other's config knows it.
 * None if there is no route.
 */
struct ip_address source_towards(struct ip_address destination);

/* Whether it is this host's own address, so that nobody else can be asked for its MAC. */
bool is_own_address(struct ip_address address);

struct neighbour {
	struct ip_address address; /* as asked for */
	struct ip_address next_hop; /* the address itself where it is on the link */
	int ifindex; /* where the route leads; 0 = no route */
	bool resolved; /* mac is valid */
	uint8_t mac[6];
};

struct neighbours;

/*
 * Called for each watched address whose neighbour has become known, changed or been lost. It must
 * not watch or forget addresses itself.
 */
typedef void neighbour_changed(const struct neighbour *neighbour, void *context);

/* Opens the sockets and subscribes to neighbour, link and route changes. Returns 0 or -errno. */
int neighbours_open(neighbour_changed *changed, void *context, struct neighbours **neighbours);
void neighbours_close(struct neighbours *neighbours);

/*
 * Watches an address: looks up its route and asks for its MAC. The callback tells, later too. Who
 * watches one that is watched already is told what is known, unless that is what he knows (NULL: he
 * knows nothing); it takes as many calls to forget it.
 */
int neighbours_watch(struct neighbours *neighbours, struct ip_address address,
		     const struct neighbour *known);
void neighbours_forget(struct neighbours *neighbours, struct ip_address address);

/* To be polled for reading; then neighbours_receive() takes all that has come. 0 or -errno. */
int neighbours_fd(const struct neighbours *neighbours);
int neighbours_receive(struct neighbours *neighbours);

/*
 * To be called about once a second: asks again for what is unresolved, and has the kernel verify
 * what has gone stale.
 */
void neighbours_refresh(struct neighbours *neighbours);

#endif
