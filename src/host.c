/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each change says what was there before and what we put there, so that taking back is a walk
 * through the journal from its end: where the host shows what we put, put back what was before;
 * where it shows something else, somebody else has been there, and it is theirs. A predecessor's
 * changes are just the earlier part of the same walk.
 */
#include "host.h"
#include "address.h"
#include "journal.h"
#include "log.h"
#include "neighbour.h"
#include "netlink.h"
#include "next_hop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* "/proc/sys/net/ipv4/conf/INTERFACE/KEY" */
#define SYSCTL_PATH_MAX 96
/* A dump of addresses that changed meanwhile is repeated, but not for ever. */
#define DUMP_ATTEMPTS 5

struct host {
	struct journal *journal;
};

int host_open(const char *journal_path, struct host **result)
{
	struct host *host = calloc(1, sizeof(*host));
	int rc;

	if (!host)
		return -ENOMEM;
	rc = journal_open(journal_path, &host->journal);
	if (rc)
		free(host);
	else
		*result = host;
	return rc;
}

void host_close(struct host *host)
{
	if (!host)
		return;
	journal_close(host->journal);
	free(host);
}

/* A part of a path and a word of the journal: nothing that would lead elsewhere, or be two. */
static bool name_valid(const char *name, size_t size)
{
	return *name && strlen(name) < size && strcmp(name, ".") && strcmp(name, "..") &&
	       !strpbrk(name, "/ \t\n\v\f\r");
}

static int sysctl_open(const char *interface, const char *key, int flags)
{
	bool ipv6 = !strncmp(key, HOST_IPV6, strlen(HOST_IPV6));
	char path[SYSCTL_PATH_MAX];
	int file;

	if (!name_valid(interface, IFNAMSIZ) || !name_valid(key, sizeof(((struct change *)0)->key)))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", ipv6 ? "ipv6" : "ipv4",
		 interface, ipv6 ? key + strlen(HOST_IPV6) : key);
	file = open(path, flags | O_CLOEXEC);
	return file < 0 ? -errno : file;
}

int host_get_sysctl(const char *interface, const char *key)
{
	char text[16];
	ssize_t length;
	int file;

	file = sysctl_open(interface, key, O_RDONLY);
	if (file < 0)
		return file;
	length = read(file, text, sizeof(text) - 1);
	if (length < 0)
		length = -errno;
	close(file);
	if (length < 0)
		return (int)length;
	text[length] = '\0';
	return atoi(text);
}

static int sysctl_write(const char *interface, const char *key, int value)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d\n", value);
	int file;
	int rc = 0;

	file = sysctl_open(interface, key, O_WRONLY);
	if (file < 0)
		return file;
	if (write(file, text, length) != length)
		rc = -errno;
	close(file);
	return rc;
}

static const char *sysctl_cause(int rc)
{
	if (rc == -EINVAL)
		return "no valid name of an interface or setting, or no valid value";
	if (rc == -ENOENT)
		return "this host has no such interface or setting";
	return strerror(-rc);
}

/*
 * Whether the journal's last word on the setting is this very change already: a predecessor was
 * killed before it could make it, or the interface has been made anew since.
 */
static bool journalled(const struct host *host, const struct change *change)
{
	const struct change *known = journal_last(host->journal);

	for (; known; known = known->earlier) {
		if (known->kind != change->kind || strcmp(known->interface, change->interface))
			continue;
		if (change->kind == CHANGE_ADDRESS) {
			if (address_equal(known->address, change->address))
				return true;
		} else if (!strcmp(known->key, change->key)) {
			return known->before == change->before && known->after == change->after;
		}
	}
	return false;
}

static int sysctl_change(struct host *host, const struct change *change)
{
	bool known = journalled(host, change);
	int rc;

	rc = known ? 0 : journal_add(host->journal, change);
	if (rc)
		return rc;
	rc = sysctl_write(change->interface, change->key, change->after);
	if (!rc)
		return 0;
	if (!known)
		journal_drop_last(host->journal);
	log_error("cannot set net.ipv4.conf.%s.%s from %d to %d: %s", change->interface,
		  change->key, change->before, change->after, sysctl_cause(rc));
	return rc;
}

int host_set_sysctl(struct host *host, const char *interface, const char *key, int value)
{
	struct change change = {.kind = CHANGE_SYSCTL, .after = value};

	change.before = host_get_sysctl(interface, key);
	if (change.before < 0) {
		log_error("cannot read net.ipv4.conf.%s.%s: %s", interface, key,
			  sysctl_cause(change.before));
		return change.before;
	}
	if (change.before == value)
		return 0;
	snprintf(change.interface, sizeof(change.interface), "%s", interface);
	snprintf(change.key, sizeof(change.key), "%s", key);
	return sysctl_change(host, &change);
}

static void search_for(struct host_address_search *search, struct ip_address address, int ifindex)
{
	/* In IPv6 each interface has addresses of its own. */
	if (!address_is_ipv4(address) && search->ifindex != ifindex)
		return;
	for (size_t i = 0; i < search->count; i++)
		search->found[i] |= address_equal(search->addresses[i], address);
}

int host_address_read(const struct nlmsghdr *message, void *context)
{
	struct host_address_search *search = context;
	const struct ifaddrmsg *header = netlink_header(message, sizeof(*header));
	const struct nlattr *attribute;

	if (!header)
		return MNL_CB_OK;
	/* IPv6 has a local one only where there is a peer. */
	netlink_for_each (attribute, message, sizeof(*header)) {
		if (mnl_attr_get_type(attribute) == IFA_LOCAL ||
		    mnl_attr_get_type(attribute) == IFA_ADDRESS)
			search_for(search, netlink_address(attribute), (int)header->ifa_index);
	}
	return MNL_CB_OK;
}

/* Which of the addresses the host has. 0 or -errno. */
static int look_for_addresses(struct host_address_search *search)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	int attempt;
	int rc = -EINTR;

	for (attempt = 0; rc == -EINTR && attempt < DUMP_ATTEMPTS; attempt++) {
		request = netlink_begin(buffer, RTM_GETADDR, NLM_F_DUMP);
		mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
		rc = netlink_ask_once(request, host_address_read, search);
	}
	return rc;
}

/* A VIP is used at once, though others have it too, and is never the source of what the host says itself. */
static void put_ipv6_manners(struct nlmsghdr *request)
{
	const struct ifa_cacheinfo lifetime = {.ifa_prefered = 0, .ifa_valid = UINT32_MAX};

	mnl_attr_put_u32(request, IFA_FLAGS, IFA_F_NODAD);
	mnl_attr_put(request, IFA_CACHEINFO, sizeof(lifetime), &lifetime);
}

static int address_order(uint16_t type, uint16_t flags, const struct change *change, int ifindex)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request = netlink_begin(buffer, type, flags);
	size_t length;
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	const void *address = address_raw(&change->address, &length);

	header->ifa_family = (unsigned char)address_family(change->address);
	header->ifa_prefixlen = (unsigned char)length * 8;
	header->ifa_index = (unsigned int)ifindex;
	mnl_attr_put(request, IFA_LOCAL, length, address);
	mnl_attr_put(request, IFA_ADDRESS, length, address);
	if (!address_is_ipv4(change->address))
		put_ipv6_manners(request);
	return netlink_ask_once(request, NULL, NULL);
}

static int address_change(struct host *host, const struct change *change, int ifindex)
{
	bool known = journalled(host, change);
	int rc;

	rc = known ? 0 : journal_add(host->journal, change);
	if (rc)
		return rc;
	rc = address_order(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, change, ifindex);
	if (rc && !known)
		journal_drop_last(host->journal);
	/* Somebody was faster: then it is theirs. */
	return rc == -EEXIST ? 0 : rc;
}

/* *at: which one it has come to. */
static int add_missing(struct host *host, const char *interface, struct host_address_search *search,
		       size_t *at)
{
	struct change change = {.kind = CHANGE_ADDRESS};
	struct link_info link;
	int rc;

	rc = name_valid(interface, IFNAMSIZ) ? link_get(interface, &link) : -ENODEV;
	if (rc)
		return rc;
	search->ifindex = link.index;
	rc = look_for_addresses(search);
	snprintf(change.interface, sizeof(change.interface), "%s", interface);
	while (!rc && *at < search->count) {
		change.address = search->addresses[*at];
		if (!search->found[*at])
			rc = address_change(host, &change, link.index);
		*at += !rc;
	}
	return rc;
}

int host_add_addresses(struct host *host, const char *interface, const struct ip_address *addresses,
		       size_t count)
{
	struct host_address_search search = {.addresses = addresses, .count = count};
	char text[ADDRESS_TEXT_MAX];
	size_t at = 0;
	int rc;

	if (!count)
		return 0;
	search.found = calloc(count, sizeof(*search.found));
	rc = search.found ? add_missing(host, interface, &search, &at) : -ENOMEM;
	free(search.found);
	if (rc)
		log_error("cannot add %s/%d to interface %s: %s",
			  address_format(addresses[at], text),
			  address_is_ipv4(addresses[at]) ? 32 : 128, interface, strerror(-rc));
	return rc;
}

int host_add_address(struct host *host, const char *interface, struct ip_address address)
{
	return host_add_addresses(host, interface, &address, 1);
}

static int sysctl_restore(const struct change *change)
{
	int now = host_get_sysctl(change->interface, change->key);
	int rc;

	/* Gone, with its interface, or back already. */
	if (now == -ENOENT || now == change->before)
		return 0;
	if (now >= 0 && now != change->after) {
		log_notice("net.ipv4.conf.%s.%s is %d now and stays: somebody else has changed it "
			   "from our %d (before: %d)",
			   change->interface, change->key, now, change->after, change->before);
		return 0;
	}
	rc = now < 0 ? now : sysctl_write(change->interface, change->key, change->before);
	if (rc)
		log_error("cannot set net.ipv4.conf.%s.%s back to %d: %s", change->interface,
			  change->key, change->before, sysctl_cause(rc));
	return rc;
}

static int address_restore(const struct change *change)
{
	char text[ADDRESS_TEXT_MAX];
	struct link_info link;
	int rc;

	rc = link_get(change->interface, &link);
	if (!rc)
		rc = address_order(RTM_DELADDR, 0, change, link.index);
	if (!rc || rc == -ENODEV || rc == -EADDRNOTAVAIL)
		return 0;
	log_error("cannot remove %s from interface %s: %s", address_format(change->address, text),
		  change->interface, strerror(-rc));
	return rc;
}

static bool concerns(const struct change *change, const char *interface,
		     const struct ip_address *address)
{
	if (strcmp(change->interface, interface))
		return false;
	if (address)
		return change->kind == CHANGE_ADDRESS && address_equal(change->address, *address);
	return change->kind == CHANGE_SYSCTL;
}

/* One thing may have been changed several times: from the latest back. */
static int take_back(struct host *host, const char *interface, const struct ip_address *address)
{
	const struct change *change = journal_last(host->journal), *earlier;
	int rc = 0;

	for (; change && !rc; change = earlier) {
		earlier = change->earlier;
		if (!concerns(change, interface, address))
			continue;
		rc = address ? address_restore(change) : sysctl_restore(change);
		if (!rc)
			rc = journal_drop(host->journal, change);
	}
	return rc;
}

int host_take_back_address(struct host *host, const char *interface, struct ip_address address)
{
	return take_back(host, interface, &address);
}

int host_take_back_sysctls(struct host *host, const char *interface)
{
	return take_back(host, interface, NULL);
}

int host_restore(struct host *host)
{
	const struct change *change = journal_last(host->journal);
	int rc = 0;
	int failed;

	for (; change; change = change->earlier) {
		failed = change->kind == CHANGE_SYSCTL ? sysctl_restore(change) :
							 address_restore(change);
		rc = rc ?: failed;
	}
	failed = journal_remove(host->journal);
	return rc ?: failed;
}
