/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What Plimsoll changes on its host, and takes back: sysctls and the VIP's address. Each change is
 * written into a journal before it is made, so that what a killed predecessor left is known: the
 * next start begins with the values that were there before anybody came.
 */
#ifndef PLIMSOLL_HOST_H
#define PLIMSOLL_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"

struct host;

/*
 * Opens the journal (a text file, created if missing). What it holds of a predecessor is kept:
 * those changes are ours now, and host_restore() takes them back too. Returns 0 or -errno.
 */
int host_open(const char *journal_path, struct host **host);

/* Closes without taking anything back: the journal stays. NULL is allowed. */
void host_close(struct host *host);

/* Takes back what was done of that, by us or a predecessor: nothing, if somebody else had done it. */
int host_take_back_address(struct host *host, const char *interface, struct ip_address address);
int host_take_back_sysctls(struct host *host, const char *interface);

/* Takes every change back, the last one first, and removes the journal. Says what failed. */
int host_restore(struct host *host);

/* In front of a key: one of IPv6's. */
#define HOST_IPV6 "ipv6."

/*
 * Sets /proc/sys/net/ipv4/conf/INTERFACE/KEY to value (INTERFACE may be "all"), if it has another.
 * Returns 0 or -errno, having said why.
 */
int host_set_sysctl(struct host *host, const char *interface, const char *key, int value);

/* Reads it. Returns the value or -errno. */
int host_get_sysctl(const char *interface, const char *key);

/*
 * Adds the address alone to the interface, if it is not on the host yet, or in IPv6 on that interface
 * (then nothing is journalled).
 */
int host_add_address(struct host *host, const char *interface, struct ip_address address);

/* The same for many: all that the host has are listed only once. */
int host_add_addresses(struct host *host, const char *interface, const struct ip_address *addresses,
		       size_t count);

/* Which a message of a dump of addresses has: a reply of netlink_ask()'s, with the search as its context. */
struct host_address_search {
	const struct ip_address *addresses;
	size_t count;
	int ifindex; /* where those of IPv6 are looked for */
	bool *found; /* of each of the addresses */
};

struct nlmsghdr;
int host_address_read(const struct nlmsghdr *message, void *search);

#endif
