/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "notice.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static void read_route(const struct nlmsghdr *message, struct notice *notice)
{
	const struct rtmsg *header = netlink_header(message, sizeof(*header));
	const struct nlattr *attribute;

	if (!header)
		return;
	notice->kind = NOTICE_ROUTE;
	notice->family = header->rtm_family;
	notice->prefix_bits = header->rtm_dst_len;
	netlink_for_each (attribute, message, sizeof(*header)) {
		if (mnl_attr_get_type(attribute) == RTA_DST)
			notice->address = netlink_address(attribute);
	}
}

static void read_entry(const struct nlmsghdr *message, struct notice *notice)
{
	const struct ndmsg *header = netlink_header(message, sizeof(*header));
	const struct nlattr *attribute;

	if (!header)
		return;
	notice->family = header->ndm_family;
	notice->kind = notice->family == AF_INET || notice->family == AF_INET6 ? NOTICE_ENTRY :
										 NOTICE_NONE;
	notice->ifindex = header->ndm_ifindex;
	netlink_for_each (attribute, message, sizeof(*header)) {
		if (mnl_attr_get_type(attribute) == NDA_DST)
			notice->address = netlink_address(attribute);
	}
}

void notice_read(const struct nlmsghdr *message, struct notice *notice)
{
	/* A link that goes down takes its routes along without a word about them. */
	*notice = (struct notice){.kind = NOTICE_ALL};
	switch (message->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		read_entry(message, notice);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		read_route(message, notice);
		break;
	}
}

bool notice_doubts_entry(const struct notice *notice, const struct next_hop *hop)
{
	return notice->kind == NOTICE_ENTRY && notice->ifindex == hop->ifindex &&
	       address_equal(notice->address, hop->address);
}

static bool is_within(struct ip_address address, struct ip_address prefix, unsigned int bits)
{
	struct ip_address mask = address_mask(address, bits);
	int i;

	for (i = 0; i < 4; i++) {
		if ((address.word[i] ^ prefix.word[i]) & mask.word[i])
			return false;
	}
	return true;
}

/* Only what is within the route's prefix: a router's table changes all the time. */
bool notice_doubts_route(const struct notice *notice, struct ip_address destination)
{
	if (notice->kind != NOTICE_ROUTE)
		return notice->kind == NOTICE_ALL;
	if (notice->family != address_family(destination))
		return false;
	/* The default route names no prefix at all. */
	return !notice->prefix_bits || is_within(destination, notice->address, notice->prefix_bits);
}
