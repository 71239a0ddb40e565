/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "log.h"
#include "neighbour.h"
#include "netlink.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int link_read(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *header = netlink_header(message, sizeof(*header));
	struct link_info *link = context;
	const struct nlattr *attribute;

	memset(link, 0, sizeof(*link));
	if (!header)
		return MNL_CB_OK;
	link->index = header->ifi_index;
	link->up = (header->ifi_flags & IFF_UP) && (header->ifi_flags & IFF_LOWER_UP);
	netlink_for_each (attribute, message, sizeof(*header)) {
		uint16_t type = mnl_attr_get_type(attribute);
		uint16_t length = mnl_attr_get_payload_len(attribute);

		/* A tunnel has an address of another length, or none: its MAC is zero. */
		if (type == IFLA_ADDRESS && length == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attribute), length);
		else if (type == IFLA_MTU)
			link->mtu = netlink_u32(attribute);
	}
	return MNL_CB_OK;
}

static int link_ask(const char *name, int index, struct link_info *link)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETLINK, 0);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ifi_index = index;
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	return netlink_ask_once(request, link_read, link);
}

int link_get(const char *name, struct link_info *link)
{
	if (!*name || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	return link_ask(name, 0, link);
}

void link_warn_if_down(const char *name, const struct link_info *link)
{
	if (!link->up)
		log_warning("interfaces: \"%s\" is down or has no carrier: no packet comes by it; "
			    "`ip link set %s up`, or look at the cable",
			    name, name);
}

int link_get_by_index(int index, struct link_info *link)
{
	if (index <= 0)
		return -ENODEV;
	return link_ask(NULL, index, link);
}

void link_driver(const char *name, char driver[LINK_DRIVER_MAX])
{
	struct ethtool_drvinfo answer = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&answer};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*driver = '\0';
	if (fd < 0)
		return;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (!ioctl(fd, SIOCETHTOOL, &request))
		snprintf(driver, LINK_DRIVER_MAX, "%s", answer.driver);
	close(fd);
}
