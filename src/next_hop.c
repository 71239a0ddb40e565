/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "next_hop.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* In the other states an entry may still show the MAC that it has lost. */
#define NUD_HAS_MAC (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

/* Returns the address' length. */
static size_t put_address(struct nlmsghdr *request, uint16_t type, const struct ip_address *address)
{
	size_t length;
	const void *bytes = address_raw(address, &length);

	mnl_attr_put(request, type, length, bytes);
	return length;
}

static void via_read(const struct nlattr *attribute, struct next_hop *hop)
{
	const struct rtvia *via = mnl_attr_get_payload(attribute);
	size_t length = mnl_attr_get_payload_len(attribute);

	if (length >= sizeof(*via))
		hop->address = address_of_bytes(via->rtvia_addr, length - sizeof(*via));
}

int next_hop_read(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *header = netlink_header(message, sizeof(*header));
	struct next_hop *hop = context;
	const struct nlattr *attribute;

	/* Not a way to another machine: our own address, a broadcast, a blackhole. */
	if (!header || header->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	netlink_for_each (attribute, message, sizeof(*header)) {
		switch (mnl_attr_get_type(attribute)) {
		case RTA_OIF:
			hop->ifindex = (int)netlink_u32(attribute);
			break;
		case RTA_GATEWAY:
			hop->address = netlink_address(attribute);
			break;
		case RTA_VIA: /* a gateway of the other family */
			via_read(attribute, hop);
			break;
		}
	}
	return MNL_CB_OK;
}

int next_hop_look_up(struct mnl_socket *socket, struct ip_address destination, struct next_hop *hop)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	int rc;

	header->rtm_family = (unsigned char)address_family(destination);
	header->rtm_dst_len = (unsigned char)put_address(request, RTA_DST, &destination) * 8;
	hop->ifindex = 0;
	hop->address = destination;
	rc = netlink_ask(socket, request, next_hop_read, hop);
	if (!hop->ifindex)
		hop->address = (struct ip_address){0};
	switch (rc) {
	case -ENETUNREACH:
	case -EHOSTUNREACH: /* a route of type unreachable */
	case -EACCES: /* prohibit */
	case -EINVAL: /* blackhole */
		return 0;
	}
	return rc;
}

int next_hop_entry_read(const struct nlmsghdr *message, void *context)
{
	const struct ndmsg *header = netlink_header(message, sizeof(*header));
	struct next_hop_entry *entry = context;
	const struct nlattr *attribute;

	if (!header)
		return MNL_CB_OK;
	entry->state = header->ndm_state;
	entry->has_mac = false;
	netlink_for_each (attribute, message, sizeof(*header)) {
		if (mnl_attr_get_type(attribute) != NDA_LLADDR ||
		    mnl_attr_get_payload_len(attribute) != sizeof(entry->mac))
			continue;
		memcpy(entry->mac, mnl_attr_get_payload(attribute), sizeof(entry->mac));
		entry->has_mac = header->ndm_state & NUD_HAS_MAC;
	}
	return MNL_CB_OK;
}

static struct nlmsghdr *entry_begin(void *buffer, uint16_t type, uint16_t flags,
				    const struct next_hop *hop, struct ndmsg **header)
{
	struct nlmsghdr *request = netlink_begin(buffer, type, flags);

	*header = mnl_nlmsg_put_extra_header(request, sizeof(**header));
	(*header)->ndm_family = (unsigned char)address_family(hop->address);
	(*header)->ndm_ifindex = hop->ifindex;
	put_address(request, NDA_DST, &hop->address);
	return request;
}

int next_hop_entry(struct mnl_socket *socket, const struct next_hop *hop,
		   struct next_hop_entry *entry)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	struct ndmsg *header;
	int rc;

	memset(entry, 0, sizeof(*entry));
	request = entry_begin(buffer, RTM_GETNEIGH, 0, hop, &header);
	rc = netlink_ask(socket, request, next_hop_entry_read, entry);
	return rc == -ENOENT ? 0 : rc;
}

static int entry_set(struct mnl_socket *socket, const struct next_hop *hop, uint16_t flags,
		     uint8_t entry_flags, uint16_t state)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	struct ndmsg *header;

	request = entry_begin(buffer, RTM_NEWNEIGH, flags, hop, &header);
	header->ndm_flags = entry_flags;
	header->ndm_state = state;
	return netlink_ask(socket, request, NULL, NULL);
}

int next_hop_resolve(struct mnl_socket *socket, const struct next_hop *hop)
{
	return entry_set(socket, hop, NLM_F_CREATE, NTF_USE, NUD_NONE);
}

int next_hop_probe(struct mnl_socket *socket, const struct next_hop *hop)
{
	return entry_set(socket, hop, 0, 0, NUD_PROBE);
}

int next_hop_search(struct mnl_socket *socket, const struct next_hop *hop)
{
	int rc = entry_set(socket, hop, 0, 0, NUD_NONE);

	return rc ?: next_hop_resolve(socket, hop);
}
