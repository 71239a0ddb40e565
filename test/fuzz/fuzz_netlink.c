/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as what came from rtnetlink, each message to every reader of ours: what it says is the same
 * whatever comes after it.
 */
#include <string.h>

#include "fuzz.h"
#include "host.h"
#include "neighbour.h"
#include "notice.h"

#define BEYOND 64

struct reading {
	struct notice notice;
	bool doubts[3][2]; /* of each address its entry, its route */
	struct next_hop hop;
	struct next_hop_entry entry;
	struct link_info link;
	bool found[2]; /* the first two of them, the second on one interface */
};

static const char *const addresses[] = {"10.9.0.2", "2001:db8::1", "fe80::1"};

static struct ip_address in(const char *text)
{
	struct ip_address address;

	require(!address_parse(text, &address));
	return address;
}

static void read_notice(const struct nlmsghdr *message, struct reading *reading)
{
	struct next_hop hop = {.ifindex = 1};

	notice_read(message, &reading->notice);
	for (int i = 0; i < 3; i++) {
		hop.address = in(addresses[i]);
		reading->doubts[i][0] = notice_doubts_entry(&reading->notice, &hop);
		reading->doubts[i][1] = notice_doubts_route(&reading->notice, hop.address);
		require(!reading->doubts[i][0] || !reading->doubts[i][1]);
		require(reading->doubts[i][1] || reading->notice.kind != NOTICE_ALL);
	}
}

/* The message with other bytes behind it, or with none, which the sanitizer watches. */
static void read_copy(const struct nlmsghdr *message, size_t beyond, struct reading *reading)
{
	struct nlmsghdr *copy = malloc(message->nlmsg_len + beyond);
	const struct ip_address sought[] = {in(addresses[0]), in(addresses[1])};
	struct host_address_search search = {
		.addresses = sought,
		.count = 2,
		.ifindex = 1,
		.found = reading->found,
	};

	require(copy != NULL);
	memset((char *)copy + message->nlmsg_len, 0xff, beyond);
	memcpy(copy, message, message->nlmsg_len);
	memset(reading, 0, sizeof(*reading));
	read_notice(copy, reading);
	require(next_hop_read(copy, &reading->hop) == MNL_CB_OK);
	require(next_hop_entry_read(copy, &reading->entry) == MNL_CB_OK);
	require(link_read(copy, &reading->link) == MNL_CB_OK);
	require(host_address_read(copy, &search) == MNL_CB_OK);
	free(copy);
}

static int check(const struct nlmsghdr *message, void *context)
{
	struct reading alone, followed;
	const void *a = &alone, *b = &followed; /* what fills no member is zero in both */

	(void)context;
	read_copy(message, 0, &alone);
	read_copy(message, BEYOND, &followed);
	require(!memcmp(a, b, sizeof(alone)));
	return MNL_CB_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *bytes = malloc(size + !size); /* as aligned as what recv() fills */

	require(bytes != NULL);
	if (size)
		memcpy(bytes, data, size);
	(void)netlink_run(bytes, size, 0, 0, check, NULL);
	free(bytes);
	return 0;
}
