/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel keeps the neighbour table, sends the ARP requests and believes the answers; this
 * module asks it to, and tells what came out. Nothing is taken from the content of a notification:
 * it marks the watches that it concerns, and these are looked up again when all notifications
 * have been read. So it does not matter if one is lost (ENOBUFS) or is older than what we know.
 *
 * No packet comes back from a backend with DSR, so nothing confirms a neighbour by itself, and
 * REACHABLE lasts up to 45 s. Therefore each refresh probes what is known. What has not answered
 * by the next refresh may live at another MAC: the kernel is made to broadcast. A silent change is
 * found within two periods of the refresh that way.
 *
 * A MAC is held until the kernel has found that nobody answers (FAILED), or the route is gone. An
 * entry without a state, being resolved or deleted says nothing against it: neither the broadcast
 * above nor `ip neigh flush` costs a packet.
 *
 * Known to be imperfect: watches are searched one after the other, which suits a thousand of them.
 */
#include "neighbour.h"
#include "next_hop.h"
#include "notice.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Not to be asked for: fixed by somebody, or being asked for already. */
#define NUD_LEAVE_ALONE (NUD_PERMANENT | NUD_NOARP | NUD_INCOMPLETE)

/* Room for the notifications of a thousand probes, which come all at once; 1 KiB each and more. */
#define NOTIFICATION_BUFFER (4 << 20)

struct watch {
	struct neighbour known; /* as the callback was told */
	unsigned int users;
	uint16_t state; /* NUD_..., as last looked up; NUD_NONE if there is no entry */
	bool probed; /* asked to prove itself, by the last refresh */
	bool route_unknown;
	bool entry_unknown;
	struct watch *next;
};

struct neighbours {
	struct mnl_socket *requests;
	struct mnl_socket *notifications;
	neighbour_changed *changed;
	void *context;
	struct watch *watches;
};

struct ip_address source_towards(struct ip_address destination)
{
	const struct endpoint discard = {destination, 9};
	struct ip_address source = {0};
	struct sockaddr_storage peer, own;
	socklen_t length = endpoint_to_socket(&discard, &peer);
	int fd = socket(peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return source;
	/* Connecting a datagram socket sends nothing; it only looks up the route. */
	if (!connect(fd, (struct sockaddr *)&peer, length) &&
	    !getsockname(fd, (struct sockaddr *)&own, &length))
		source = endpoint_of_socket(&own).address;
	close(fd);
	return source;
}

bool is_own_address(struct ip_address address)
{
	return address_is_set(address) && address_equal(source_towards(address), address);
}

static void neighbour_lose(struct neighbour *neighbour)
{
	neighbour->resolved = false;
	memset(neighbour->mac, 0, sizeof(neighbour->mac));
}

static bool neighbour_equal(const struct neighbour *a, const struct neighbour *b)
{
	return a->ifindex == b->ifindex && address_equal(a->next_hop, b->next_hop) &&
	       a->resolved == b->resolved && !memcmp(a->mac, b->mac, sizeof(a->mac));
}

static struct next_hop watch_hop(const struct watch *watch)
{
	return (struct next_hop){watch->known.ifindex, watch->known.next_hop};
}

/* Writes where the route leads now into found. */
static int watch_route(struct neighbours *neighbours, struct watch *watch, struct neighbour *found)
{
	struct next_hop hop;
	int rc;

	rc = next_hop_look_up(neighbours->requests, found->address, &hop);
	if (rc)
		return rc;
	watch->route_unknown = false;
	watch->entry_unknown = true;
	if (hop.ifindex == found->ifindex && address_equal(hop.address, found->next_hop))
		return 0;
	found->ifindex = hop.ifindex;
	found->next_hop = hop.address;
	neighbour_lose(found);
	watch->state = NUD_NONE;
	watch->probed = false;
	return 0;
}

/* Writes what the entry says about the MAC into found; asks where it says nothing, or is lost. */
static int watch_entry(struct neighbours *neighbours, struct watch *watch, struct neighbour *found)
{
	struct next_hop hop = {found->ifindex, found->next_hop};
	bool was_resolved = found->resolved;
	struct next_hop_entry entry;
	int rc;

	rc = next_hop_entry(neighbours->requests, &hop, &entry);
	if (rc)
		return rc;
	watch->entry_unknown = false;
	watch->state = entry.state;
	if (!(entry.state & NUD_PROBE))
		watch->probed = false;
	if (entry.has_mac) {
		found->resolved = true;
		memcpy(found->mac, entry.mac, sizeof(found->mac));
		return 0;
	}
	if (entry.state & NUD_FAILED)
		neighbour_lose(found);
	/* What has failed before is asked for by the refresh only. */
	if (entry.state == NUD_NONE || (entry.state & NUD_FAILED && was_resolved))
		rc = next_hop_resolve(neighbours->requests, &hop);
	if (rc)
		neighbour_lose(found);
	return rc;
}

/* Looks up what is unknown of a watch, and tells if that makes a difference. */
static int watch_examine(struct neighbours *neighbours, struct watch *watch)
{
	struct neighbour found = watch->known;
	int rc = 0;

	if (watch->route_unknown)
		rc = watch_route(neighbours, watch, &found);
	if (!rc && watch->entry_unknown && found.ifindex)
		rc = watch_entry(neighbours, watch, &found);
	if (!neighbour_equal(&found, &watch->known)) {
		watch->known = found;
		neighbours->changed(&watch->known, neighbours->context);
	}
	return rc;
}

static int examine_all(struct neighbours *neighbours)
{
	struct watch *watch;
	int rc = 0;
	int failed;

	for (watch = neighbours->watches; watch; watch = watch->next) {
		if (!watch->route_unknown && !watch->entry_unknown)
			continue;
		failed = watch_examine(neighbours, watch);
		if (failed)
			rc = failed;
	}
	return rc;
}

static void routes_unknown(struct neighbours *neighbours)
{
	struct watch *watch;

	for (watch = neighbours->watches; watch; watch = watch->next)
		watch->route_unknown = true;
}

static int notified(const struct nlmsghdr *message, void *context)
{
	struct neighbours *neighbours = context;
	struct next_hop hop;
	struct notice notice;
	struct watch *watch;

	notice_read(message, &notice);
	if (notice.kind == NOTICE_NONE)
		return MNL_CB_OK;
	for (watch = neighbours->watches; watch; watch = watch->next) {
		hop = watch_hop(watch);
		if (notice_doubts_route(&notice, watch->known.address))
			watch->route_unknown = true;
		if (notice_doubts_entry(&notice, &hop))
			watch->entry_unknown = true;
	}
	return MNL_CB_OK;
}

static int subscribe(struct mnl_socket *socket)
{
	static const int groups[] = {
		RTNLGRP_NEIGH,	     RTNLGRP_LINK,	RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP,
	};
	int size = NOTIFICATION_BUFFER;
	size_t i;

	for (i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
			return -errno;
	}
	/* A smaller one does too: what is lost is looked up again. */
	(void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &size,
			 sizeof(size));
	return 0;
}

int neighbours_open(neighbour_changed *changed, void *context, struct neighbours **result)
{
	struct neighbours *neighbours = calloc(1, sizeof(*neighbours));
	int rc;

	if (!neighbours)
		return -ENOMEM;
	neighbours->changed = changed;
	neighbours->context = context;
	rc = netlink_open(&neighbours->requests);
	if (rc)
		goto out;
	rc = netlink_open(&neighbours->notifications);
	if (rc)
		goto out;
	rc = subscribe(neighbours->notifications);
out:
	if (rc)
		neighbours_close(neighbours);
	else
		*result = neighbours;
	return rc;
}

void neighbours_close(struct neighbours *neighbours)
{
	struct watch *watch;

	if (!neighbours)
		return;
	while ((watch = neighbours->watches)) {
		neighbours->watches = watch->next;
		free(watch);
	}
	if (neighbours->requests)
		mnl_socket_close(neighbours->requests);
	if (neighbours->notifications)
		mnl_socket_close(neighbours->notifications);
	free(neighbours);
}

/* The pointer that leads to the watch of an address, or to the list's end. */
static struct watch **watch_find(struct neighbours *neighbours, struct ip_address address)
{
	struct watch **place = &neighbours->watches;

	while (*place && !address_equal((*place)->known.address, address))
		place = &(*place)->next;
	return place;
}

int neighbours_watch(struct neighbours *neighbours, struct ip_address address,
		     const struct neighbour *known)
{
	struct watch **place = watch_find(neighbours, address);
	struct watch *watch = *place;

	if (watch) {
		watch->users++;
		if (!known || !neighbour_equal(&watch->known, known))
			neighbours->changed(&watch->known, neighbours->context);
		return 0;
	}
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->known.address = address;
	watch->users = 1;
	watch->route_unknown = true;
	*place = watch;
	return watch_examine(neighbours, watch);
}

void neighbours_forget(struct neighbours *neighbours, struct ip_address address)
{
	struct watch **place = watch_find(neighbours, address);
	struct watch *watch = *place;

	if (!watch || --watch->users)
		return;
	*place = watch->next;
	free(watch);
}

int neighbours_fd(const struct neighbours *neighbours)
{
	return mnl_socket_get_fd(neighbours->notifications);
}

int neighbours_receive(struct neighbours *neighbours)
{
	char buffer[16384] __attribute__((aligned(8)));
	ssize_t length;
	int rc = 0;

	for (;;) {
		length = recv(neighbours_fd(neighbours), buffer, sizeof(buffer), MSG_DONTWAIT);
		if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && errno != ENOBUFS) {
			rc = -errno;
			break;
		}
		if (length < 0 || netlink_run(buffer, length, 0, 0, notified, neighbours) < 0)
			routes_unknown(neighbours);
	}
	return examine_all(neighbours) ?: rc;
}

/* Several addresses behind one gateway share its entry: asking once is enough. */
static bool asked_already(const struct neighbours *neighbours, const struct watch *watch)
{
	const struct watch *other;

	for (other = neighbours->watches; other != watch; other = other->next) {
		if (other->known.ifindex == watch->known.ifindex &&
		    address_equal(other->known.next_hop, watch->known.next_hop))
			return true;
	}
	return false;
}

static void watch_refresh(struct neighbours *neighbours, struct watch *watch)
{
	struct next_hop hop = watch_hop(watch);

	if (!hop.ifindex) {
		watch->route_unknown = true;
		return;
	}
	if (watch->state & NUD_LEAVE_ALONE || asked_already(neighbours, watch))
		return;
	if (!watch->known.resolved || watch->state == NUD_NONE) {
		(void)next_hop_resolve(neighbours->requests, &hop);
	} else if (!(watch->state & NUD_PROBE)) {
		watch->probed = !next_hop_probe(neighbours->requests, &hop);
	} else if (!watch->probed) {
		/* The kernel has begun to probe by itself: it gets its second as well. */
		watch->probed = true;
	} else {
		(void)next_hop_search(neighbours->requests, &hop);
	}
}

void neighbours_refresh(struct neighbours *neighbours)
{
	struct watch *watch;

	(void)neighbours_receive(neighbours);
	for (watch = neighbours->watches; watch; watch = watch->next)
		watch_refresh(neighbours, watch);
	(void)examine_all(neighbours);
}
