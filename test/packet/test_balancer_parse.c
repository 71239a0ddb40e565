/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is not the balancer's, and what nobody could make sense of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "balancer_case.h"

#include "../count.h"
#include "shared.h"

#define LEFT_ALONE .verdict = VERDICT_NOT_OURS, .action = XDP_PASS
static const struct balancer_case not_ours[] = {
	{
		.name = "ARP",
		.in = {.patches = {{AT_ETHERTYPE, 0x08}, {AT_ETHERTYPE + 1, 0x06}}},
		LEFT_ALONE,
	},
	{
		.name = "IPv6",
		.in = {.patches = {{AT_ETHERTYPE, 0x86}, {AT_ETHERTYPE + 1, 0xdd}}},
		LEFT_ALONE,
	},
	{
		.name = "a VLAN tag",
		.in = {.patches = {{AT_ETHERTYPE, 0x81}, {AT_ETHERTYPE + 1, 0x00}}},
		LEFT_ALONE,
	},
	{
		.name = "IPv4 by its type, another version by its header",
		.in = {.patches = {{AT_IP, 0x65}}},
		LEFT_ALONE,
	},
	{
		.name = "ICMP to the VIP",
		.in = {.patches = {{AT_PROTOCOL, 1}}},
		LEFT_ALONE,
	},
	{
		.name = "UDP to the service's port",
		.in = {.patches = {{AT_PROTOCOL, 17}}},
		LEFT_ALONE,
	},
	{
		.name = "a fragment of UDP to the VIP",
		.in = {.patches = {{AT_PROTOCOL, 17}, {AT_FRAGMENT, 0x20}}},
		LEFT_ALONE,
	},
	{
		/* Found by test/differ: it was taken for an extension header of IPv6. */
		.name = "a fragment of AH to the VIP",
		.in = {.patches = {{AT_PROTOCOL, 51}, {AT_FRAGMENT, 0x20}}},
		LEFT_ALONE,
	},
	{
		.name = "another port",
		.in = {.destination_port = VIP_PORT + 1},
		LEFT_ALONE,
	},
	{
		.name = "port 0, the key of the VIP's own entry",
		.in = {.patches = {{AT_IP_OPTIONS + 2, 0}, {AT_IP_OPTIONS + 3, 0}}},
		LEFT_ALONE,
	},
	{
		.name = "another address",
		.in = {.destination = "10.1.0.2"},
		LEFT_ALONE,
	},
	{
		.name = "a malformed packet to another address",
		.in = {.destination = "10.1.0.2", .cut = 40},
		LEFT_ALONE,
	},
	{
		.name = "a fragment to another address",
		.in = {.destination = "10.1.0.2", .patches = {{AT_FRAGMENT, 0x20}}},
		LEFT_ALONE,
	},
	{
		.name = "a frame to another machine, flooded by the switch",
		.in = {.mac_to = STRANGER_MAC},
		LEFT_ALONE,
	},
	{
		.name = "a MAC address that ends like the interface's",
		.in = {.mac_to = "06:00:00:00:01:02"},
		LEFT_ALONE,
	},
	{
		.name = "broadcast",
		.in = {.mac_to = "ff:ff:ff:ff:ff:ff"},
		LEFT_ALONE,
	},
	{
		.name = "the MAC address of the other interface",
		.in = {.mac_to = WAN_MAC},
		LEFT_ALONE,
	},
	{
		.name = "by an interface that is not served",
		.arrival = BY_IDLE,
		LEFT_ALONE,
	},
	{
		.name = "a response without a report, by way of the balancer",
		.direction = FROM_SERVICE,
		LEFT_ALONE,
	},
};

#define MALFORMED .verdict = VERDICT_MALFORMED, .action = XDP_DROP
#define UNKNOWN .verdict = VERDICT_FRAGMENT_UNKNOWN, .action = XDP_DROP
static const uint8_t router_alert[4] = {0x94, 4, 0, 0};

static const struct balancer_case malformed[] = {
	{
		.name = "total length one more than there is",
		.in = {.patches = {{AT_TOTAL_LENGTH + 1, 41}}},
		MALFORMED,
	},
	{
		.name = "total length far more than there is",
		.in = {.patches = {{AT_TOTAL_LENGTH, 0xff}, {AT_TOTAL_LENGTH + 1, 0xff}}},
		MALFORMED,
	},
	{
		.name = "total length one less than the headers",
		.in = {.payload = 10, .patches = {{AT_TOTAL_LENGTH + 1, 39}}},
		MALFORMED,
	},
	{
		.name = "total length of the IP header alone",
		.in = {.payload = 10, .patches = {{AT_TOTAL_LENGTH + 1, 20}}},
		MALFORMED,
	},
	{
		.name = "total length 0",
		.in = {.payload = 10, .patches = {{AT_TOTAL_LENGTH + 1, 0}}},
		MALFORMED,
	},
	{
		.name = "IP header length 60 where there are 40 bytes",
		.in = {.patches = {{AT_IP, 0x4f}}},
		MALFORMED,
	},
	{
		.name = "IP header length that leaves no room for TCP's",
		.in = {.payload = 3, .patches = {{AT_IP, 0x46}}},
		MALFORMED,
	},
	{
		.name = "IP header length that leaves it only in the padding",
		.in = {.padding = 40, .patches = {{AT_IP, 0x4f}}},
		MALFORMED,
	},
	{
		.name = "TCP header length 16",
		.in = {.patches = {{AT_IP_OPTIONS + AT_TCP_DATA_OFFSET, 0x40}}},
		MALFORMED,
	},
	{
		.name = "TCP header length 0",
		.in = {.patches = {{AT_IP_OPTIONS + AT_TCP_DATA_OFFSET, 0x00}}},
		MALFORMED,
	},
	{
		.name = "TCP header longer than the packet",
		.in = {.patches = {{AT_IP_OPTIONS + AT_TCP_DATA_OFFSET, 0x60}}},
		MALFORMED,
	},
	{
		.name = "TCP header that ends in the padding",
		.in = {.padding = 40, .patches = {{AT_IP_OPTIONS + AT_TCP_DATA_OFFSET, 0xf0}}},
		MALFORMED,
	},
	{
		.name = "a fragment from the middle",
		.in = {.patches = {{AT_FRAGMENT, 0x20}, {AT_FRAGMENT + 1, 1}}},
		UNKNOWN,
	},
	{
		.name = "a fragment far behind",
		.in = {.patches = {{AT_FRAGMENT, 0x10}}},
		UNKNOWN,
	},
	{
		.name = "the last fragment",
		.in = {.patches = {{AT_FRAGMENT, 0x1f}, {AT_FRAGMENT + 1, 0xff}}},
		UNKNOWN,
	},
};

/* Of a packet with IP options, cut after every byte. */
static void cut_everywhere(struct balancer_case *cases, char names[][64], size_t whole)
{
	size_t i, cut = 14;

	for (i = 0; cut < whole; i++, cut++) {
		snprintf(names[i], sizeof(names[i]), "cut to %zu of %zu bytes", cut, whole);
		cases[i] = (struct balancer_case){
			.name = names[i],
			.in = {.options = router_alert,
			       .options_length = 4,
			       .payload = 8,
			       .cut = cut},
			.verdict = cut < AT_IP_OPTIONS ? VERDICT_NOT_OURS : VERDICT_MALFORMED,
			.action = cut < AT_IP_OPTIONS ? XDP_PASS : XDP_DROP,
		};
	}
}

/* Below 5 words there is no IPv4 header: the host is to say what it thinks of it. */
static void short_header_lengths(struct balancer_case *cases, char names[][64])
{
	size_t i;

	for (i = 0; i < 5; i++) {
		snprintf(names[i], sizeof(names[i]), "IP header length %zu", 4 * i);
		cases[i] = (struct balancer_case){
			.name = names[i],
			.in = {.payload = 60, .patches = {{AT_IP, 0x40 | i}}},
			LEFT_ALONE,
		};
	}
}

static int run_generated(void)
{
	enum { WHOLE = 14 + 24 + 20 + 8, CUTS = WHOLE - 14 };
	struct balancer_case cuts[CUTS], lengths[5];
	char cut_names[CUTS][64], length_names[5][64];

	cut_everywhere(cuts, cut_names, WHOLE);
	short_header_lengths(lengths, length_names);
	return run_cases("balancer: cut", cuts, CUTS) +
	       run_cases("balancer: header length", lengths, 5);
}

int main(void)
{
	int failed = 0;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed += run_cases("balancer: not ours", not_ours, COUNT(not_ours));
	failed += run_cases("balancer: malformed", malformed, COUNT(malformed));
	failed += run_generated();
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
