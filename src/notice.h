/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a notification of rtnetlink's puts in doubt: a neighbour's entry, some routes, or all of them. */
#ifndef PLIMSOLL_NOTICE_H
#define PLIMSOLL_NOTICE_H

#include "next_hop.h"

enum notice_kind {
	NOTICE_NONE, /* nothing of ours: a bridge's entries come in the same messages */
	NOTICE_ENTRY, /* of `address` on ifindex */
	NOTICE_ROUTE, /* of a family, to the prefix of `address` */
	NOTICE_ALL, /* every route; so too what cannot be read */
};

struct notice {
	enum notice_kind kind;
	int family; /* AF_INET or AF_INET6 */
	int ifindex;
	struct ip_address address;
	unsigned int prefix_bits;
};

void notice_read(const struct nlmsghdr *message, struct notice *notice);
bool notice_doubts_entry(const struct notice *notice, const struct next_hop *hop);
bool notice_doubts_route(const struct notice *notice, struct ip_address destination);

#endif
