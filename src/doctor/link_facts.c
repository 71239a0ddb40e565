/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel says of an interface: rtnetlink, ethtool, XDP. Only questions are asked. */
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor/subject.h"
#include "neighbour.h"

#define FEATURES_MAX 128

static int ethtool(int fd, const char *interface, void *command)
{
	struct ifreq request = {.ifr_data = command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	return ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
}

static bool look_bit(int fd, const char *interface, uint32_t command)
{
	struct ethtool_value value = {.cmd = command};

	return !ethtool(fd, interface, &value) && value.data;
}

static bool look_flag(int fd, const char *interface, uint32_t flag)
{
	struct ethtool_value value = {.cmd = ETHTOOL_GFLAGS};

	return !ethtool(fd, interface, &value) && value.data & flag;
}

/* A feature that has no command of its own, by its name in the kernel's list. */
static bool look_feature(int fd, const char *interface, const char *name)
{
	struct {
		struct ethtool_gstrings head;
		char names[FEATURES_MAX][ETH_GSTRING_LEN];
	} strings = {.head = {
			     .cmd = ETHTOOL_GSTRINGS,
			     .string_set = ETH_SS_FEATURES,
			     .len = FEATURES_MAX,
		     }};
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block blocks[FEATURES_MAX / 32];
	} features = {.head = {.cmd = ETHTOOL_GFEATURES, .size = FEATURES_MAX / 32}};

	if (ethtool(fd, interface, &strings) || ethtool(fd, interface, &features))
		return false;
	for (uint32_t i = 0; i < strings.head.len && i < FEATURES_MAX; i++)
		if (!strncmp(strings.names[i], name, ETH_GSTRING_LEN))
			return features.blocks[i / 32].active >> i % 32 & 1;
	return false;
}

static void look_queues(int fd, struct link_facts *link)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	char path[64 + IF_NAMESIZE];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", link->name);
	directory = opendir(path);
	while (directory && (entry = readdir(directory)))
		link->queues += !strncmp(entry->d_name, "rx-", 3);
	if (directory)
		closedir(directory);
	link->queues_possible = link->queues;
	if (ethtool(fd, link->name, &channels))
		return;
	link->queues_combined = channels.max_combined > 0;
	link->queues_possible = link->queues_combined ? channels.max_combined : channels.max_rx;
}

static void look_with_ethtool(struct link_facts *link)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	link_driver(link->name, link->driver);
	link->gro = look_bit(fd, link->name, ETHTOOL_GGRO);
	link->tx_checksum = look_bit(fd, link->name, ETHTOOL_GTXCSUM);
	link->lro = look_flag(fd, link->name, ETH_FLAG_LRO);
	link->gro_hw = look_feature(fd, link->name, "rx-gro-hw");
	look_queues(fd, link);
	close(fd);
}

static void look_at_xdp(struct link_facts *link)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, options);

	if (bpf_xdp_query(link->index, 0, &options))
		return;
	link->xdp_program = options.prog_id	? options.prog_id :
			    options.drv_prog_id ? options.drv_prog_id :
						  options.skb_prog_id;
	link->xdp_generic = options.attach_mode == XDP_ATTACHED_SKB;
}

void link_look(struct link_facts *link)
{
	struct link_info info;
	char path[64 + IF_NAMESIZE];
	long flags = 0;

	if (link_get(link->name, &info))
		return;
	link->index = info.index;
	link->mtu = info.mtu;
	memcpy(link->mac, info.mac, sizeof(link->mac));
	snprintf(path, sizeof(path), "/sys/class/net/%s/flags", link->name);
	look_number(&(struct subject){.root = ""}, &flags, "%s", path);
	link->up = flags & IFF_UP;
	link->carrier = info.up;
	look_with_ethtool(link);
	look_at_xdp(link);
}
