/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Responses that bear a load report: which are believed, and what goes on to the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "balancer_case.h"
#include "families.h"

#include "load_report.h"

#include "../count.h"
#include "shared.h"

#define KEYED LOAD_REPORT_KEYED
#define CHECK_PORT 41000

/* Offsets in a frame with the option directly behind the IP header. */
enum option_offset {
	AT_TYPE = AT_IP_OPTIONS,
	AT_LENGTH = AT_IP_OPTIONS + 1,
	AT_MAGIC = AT_IP_OPTIONS + 2,
	AT_VERSION = AT_IP_OPTIONS + 3,
	AT_SERVER_ID = AT_IP_OPTIONS + 4,
	AT_REPORTED_LOAD = AT_IP_OPTIONS + 12,
	AT_TAG = AT_IP_OPTIONS + 24,
};

#define TAKEN(how)                                                                                 \
	.direction = FROM_SERVICE, .verdict = VERDICT_REPORT_TAKEN, .action = (how),               \
	.output = TO_CLIENT
#define RESOLVING                                                                                  \
	.direction = FROM_SERVICE, .verdict = VERDICT_REPORT_RESOLVING, .action = XDP_PASS,        \
	.output = TO_HOST
#define OLD                                                                                        \
	.direction = FROM_SERVICE, .verdict = VERDICT_REPORT_OLD, .action = XDP_TX,                \
	.output = TO_CLIENT
#define REFUSED(why) .direction = FROM_SERVICE, .verdict = VERDICT_REPORT_##why, .action = XDP_DROP
#define LEFT_ALONE .direction = FROM_SERVICE, .verdict = VERDICT_NOT_OURS, .action = XDP_PASS
#define CHECKED                                                                                    \
	.direction = FROM_SERVICE, .verdict = VERDICT_REPORT_CHECK, .action = XDP_PASS,            \
	.output = TO_US
#define TO_CHECK .destination = BALANCER, .destination_port = CHECK_PORT

static const struct balancer_case believed[] = {
	{
		.name = "without a key",
		.report = {.backend = 1, .sequence = 1},
		TAKEN(XDP_TX),
	},
	{
		.name = "with a key and the right tag",
		.before = {.keyed = true},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		TAKEN(XDP_TX),
	},
	{
		.name = "with the old key while it is valid",
		.before = {.keyed = true, .old_keyed = true},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED, .by_old_key = true},
		TAKEN(XDP_TX),
	},
	{
		.name = "with the new key while the old one is valid, too",
		.before = {.keyed = true, .old_keyed = true},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		TAKEN(XDP_TX),
	},
	{
		.name = "with a tag where no key is configured",
		.report = {.backend = 2, .sequence = 1, .flags = KEYED},
		TAKEN(XDP_TX),
	},
	{
		.name = "all flags",
		.before = {.keyed = true},
		.report = {.backend = 2, .sequence = 1, .flags = 0xf},
		TAKEN(XDP_TX),
	},
	{
		.name = "the first one ever, whatever its sequence",
		.before = {.age_ms = {NEVER}},
		.report = {.backend = 1, .sequence = 0xc0000000},
		TAKEN(XDP_TX),
	},
	{
		.name = "the next in sequence",
		.before = {.sequence = {100}},
		.report = {.backend = 1, .sequence = 101},
		TAKEN(XDP_TX),
	},
	{
		.name = "an old sequence after a silence: a clock set back",
		.before = {.sequence = {100}, .age_ms = {60000}},
		.report = {.backend = 1, .sequence = 7},
		TAKEN(XDP_TX),
	},
	{
		.name = "a sequence that has wrapped",
		.before = {.sequence = {0xfffffff0}},
		.report = {.backend = 1, .sequence = 5},
		TAKEN(XDP_TX),
	},
	{
		.name = "a server's sequence is its own",
		.before = {.sequence = {1000, 7, 2000}},
		.report = {.backend = 2, .sequence = 8},
		TAKEN(XDP_TX),
	},
	{
		.name = "data arrives unchanged",
		.in = {.payload = 1400, .tos = 0x2e, .ttl = 7, .flags = TCP_ACK | TCP_PSH},
		.before = {.keyed = true},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		TAKEN(XDP_TX),
	},
	{
		.name = "an odd number of bytes, and padding",
		.in = {.payload = 1, .padding = 5},
		.report = {.backend = 1, .sequence = 1},
		TAKEN(XDP_TX),
	},
	{
		.name = "on a SYN-ACK, a FIN, a reset: any segment",
		.in = {.flags = TCP_SYN | TCP_ACK},
		.report = {.backend = 1, .sequence = 1},
		TAKEN(XDP_TX),
	},
	{
		.name = "to a client on the other network",
		.in = {.destination = CLIENT_ON_WAN},
		.report = {.backend = 1, .sequence = 1},
		TAKEN(XDP_REDIRECT),
	},
	{
		.name = "from the other network",
		.arrival = BY_WAN,
		.report = {.backend = 3, .sequence = 1},
		TAKEN(XDP_REDIRECT),
	},
	{
		.name = "from the other network and back to it",
		.arrival = BY_WAN,
		.in = {.destination = CLIENT_ON_WAN},
		.report = {.backend = 3, .sequence = 1},
		TAKEN(XDP_TX),
	},
	{
		.name = "a client whose MAC address is not known",
		.in = {.destination = CLIENT_UNRESOLVED, .payload = 100},
		.before = {.keyed = true},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		RESOLVING,
	},
	{
		.name = "a client on the other network whose MAC address is not known",
		.in = {.destination = CLIENT_UNRESOLVED_ON_WAN},
		.report = {.backend = 1, .sequence = 1},
		RESOLVING,
	},
	{
		.name = "a client without a route: believed, but the packet is lost",
		.in = {.destination = CLIENT_UNROUTED},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(NO_ROUTE),
	},
	{
		.name = "a client in a black hole likewise",
		.in = {.destination = CLIENT_BLACKHOLED},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(NO_ROUTE),
	},
	{
		.name = "on the answer to a check, which is the host's",
		.before = {.check_port = CHECK_PORT},
		.in = {TO_CHECK, .payload = 100},
		.report = {.backend = 1, .sequence = 1},
		CHECKED,
	},
	{
		.name = "on the answer to a check, with a key",
		.before = {.check_port = CHECK_PORT, .keyed = true},
		.in = {TO_CHECK, .flags = TCP_SYN | TCP_ACK},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		CHECKED,
	},
	{
		.name = "to an address of ours, but of no check",
		.in = {TO_CHECK},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(NO_ROUTE),
	},
	{
		.name = "to another port than a check's",
		.before = {.check_port = CHECK_PORT + 1},
		.in = {TO_CHECK},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(NO_ROUTE),
	},
};

static const struct balancer_case old[] = {
	{
		.name = "a replay",
		.before = {.sequence = {100}},
		.report = {.backend = 1, .sequence = 100},
		OLD,
	},
	{
		.name = "one before",
		.before = {.sequence = {100}, .keyed = true},
		.report = {.backend = 1, .sequence = 99, .flags = KEYED},
		OLD,
	},
	{
		.name = "from before the wrap",
		.before = {.sequence = {5}},
		.report = {.backend = 1, .sequence = 0xfffffff0},
		OLD,
	},
	{
		.name = "half the circle away",
		.before = {.sequence = {0}},
		.report = {.backend = 1, .sequence = 0x80000000},
		OLD,
	},
	{
		.name = "old even if what is known is stale, with a key",
		.before = {.sequence = {100}, .age_ms = {60000}, .keyed = true},
		.report = {.backend = 1, .sequence = 100, .flags = KEYED},
		OLD,
	},
	{
		.name = "old on the answer to a check, which is the host's all the same",
		.before = {.sequence = {100}, .check_port = CHECK_PORT},
		.in = {TO_CHECK},
		.report = {.backend = 1, .sequence = 100},
		CHECKED,
	},
};

static const struct balancer_case refused[] = {
	{
		.name = "a tag with one bit wrong",
		.before = {.keyed = true},
		.in = {.patches = {{AT_TAG + 7, 0x01}, {AT_TAG, 0xff}}},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		REFUSED(WRONG_TAG),
	},
	{
		.name = "the old key, when it is not valid any more",
		.before = {.keyed = true},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED, .by_old_key = true},
		REFUSED(WRONG_TAG),
	},
	{
		.name = "a tag with one bit wrong, while two keys are valid",
		.before = {.keyed = true, .old_keyed = true},
		.in = {.patches = {{AT_TAG + 7, 0x01}, {AT_TAG, 0xff}}},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED, .by_old_key = true},
		REFUSED(WRONG_TAG),
	},
	{
		.name = "a load that the tag does not fit",
		.before = {.keyed = true},
		.in = {.patches = {{AT_REPORTED_LOAD, 0x00}, {AT_REPORTED_LOAD + 1, 0x06}}},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		REFUSED(WRONG_TAG),
	},
	{
		.name = "another packet's report: its destination",
		.before = {.keyed = true},
		.in = {.patches = {{AT_IP + 19, 51}}},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		REFUSED(WRONG_TAG),
	},
	{
		.name = "a wrong checksum",
		.in = {.patches = {{AT_IP + 10, 0xbe}, {AT_IP + 11, 0xef}}},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(MALFORMED),
	},
	{
		.name = "no tag where there must be one",
		.before = {.keyed = true},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(UNKEYED),
	},
	{
		.name = "not from the server's MAC address",
		.in = {.mac_from = STRANGER_MAC},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(WRONG_SOURCE),
	},
	{
		.name = "from a MAC address that ends like the server's",
		.in = {.mac_from = "06:00:00:00:00:11"},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(WRONG_SOURCE),
	},
	{
		.name = "from another server's MAC address",
		.in = {.mac_from = "02:00:00:00:00:12"},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(WRONG_SOURCE),
	},
	{
		.name = "right tag, wrong MAC address",
		.before = {.keyed = true},
		.in = {.mac_from = STRANGER_MAC},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		REFUSED(WRONG_SOURCE),
	},
	{
		.name = "the server's MAC address is not known yet",
		.before = {.no_server_macs = true},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(WRONG_SOURCE),
	},
	{
		.name = "from nobody while the server's MAC address is not known",
		.before = {.no_server_macs = true},
		.in = {.mac_from = "00:00:00:00:00:00"},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(WRONG_SOURCE),
	},
	{
		.name = "a server nobody has heard of",
		.in = {.patches = {{AT_SERVER_ID + 3, 99}}},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(UNKNOWN_SERVER),
	},
	{
		.name = "version 0",
		.in = {.patches = {{AT_VERSION, 0x00}}},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(MALFORMED),
	},
	{
		.name = "version 2",
		.in = {.patches = {{AT_VERSION, 0x20}}},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(MALFORMED),
	},
	{
		.name = "flag K without room for a tag",
		.in = {.patches = {{AT_VERSION, 0x18}}},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(MALFORMED),
	},
	{
		.name = "32 bytes without flag K",
		.in = {.patches = {{AT_VERSION, 0x10}}},
		.report = {.backend = 1, .sequence = 1, .flags = KEYED},
		REFUSED(MALFORMED),
	},
	{
		.name = "flag K and a length of 32 in a header that ends after 24",
		.in = {.payload = 20, .patches = {{AT_VERSION, 0x18}, {AT_LENGTH, 32}}},
		.report = {.backend = 1, .sequence = 1},
		REFUSED(MALFORMED),
	},
	{
		.name = "other options behind it",
		.report = {.backend = 1, .sequence = 1, .nops_after = 4},
		REFUSED(MALFORMED),
	},
	{
		.name = "eight bytes of other options behind it",
		.report = {.backend = 1, .sequence = 1, .nops_after = 8},
		REFUSED(MALFORMED),
	},
};

static const struct balancer_case not_reports[] = {
	{
		.name = "another experiment's option",
		.in = {.patches = {{AT_MAGIC, 0xb8}}},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "another option",
		.in = {.patches = {{AT_TYPE, 0x44}}},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "not directly behind the header",
		.report = {.backend = 1, .sequence = 1, .nops_before = 4},
		LEFT_ALONE,
	},
	{
		.name = "a header that ends within it",
		.in = {.payload = 40, .patches = {{AT_IP, 0x4a}}},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "from an address that is not a VIP",
		.in = {.source = CLIENT},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "from another port of the VIP",
		.in = {.source_port = VIP_PORT + 1},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "from port 0, the key of the VIP's own entry",
		.in = {.patches = {{AT_IP_OPTIONS + 24, 0}, {AT_IP_OPTIONS + 25, 0}}},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "in a fragment",
		.in = {.patches = {{AT_FRAGMENT, 0x20}}},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "to another machine's MAC address",
		.in = {.mac_to = STRANGER_MAC},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "by an interface that is not served",
		.arrival = BY_IDLE,
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
	{
		.name = "in UDP",
		.in = {.patches = {{AT_PROTOCOL, 17}}},
		.report = {.backend = 1, .sequence = 1},
		LEFT_ALONE,
	},
};

/* Every length but the two that there are, each with the flag and without. */
static int run_lengths(void)
{
	static const uint8_t lengths[] = {0, 1, 2, 3, 23, 25, 28, 31, 33, 40, 255};
	struct balancer_case cases[2 * COUNT(lengths)];
	char names[2 * COUNT(lengths)][64];
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		snprintf(names[i], sizeof(names[i]), "length %d%s", lengths[i / 2],
			 i % 2 ? " with a tag" : "");
		cases[i] = (struct balancer_case){
			.name = names[i],
			.before = {.keyed = i % 2},
			.in = {.patches = {{AT_LENGTH, lengths[i / 2]}}},
			.report = {.backend = 1, .sequence = 1, .flags = i % 2 ? KEYED : 0},
			REFUSED(MALFORMED),
		};
	}
	return run_cases("report: length", cases, COUNT(cases));
}

/* Cut after every byte: not a parsable packet, and from a VIP, not to one: the host's. */
static int run_cuts(void)
{
	enum { WHOLE = 14 + 52 + 20 + 4, CUTS = WHOLE - 14 };
	struct balancer_case cases[CUTS];
	char names[CUTS][64];
	size_t i;

	for (i = 0; i < CUTS; i++) {
		snprintf(names[i], sizeof(names[i]), "cut to %zu bytes", i + 14);
		cases[i] = (struct balancer_case){
			.name = names[i],
			.before = {.keyed = true},
			.in = {.payload = 4, .cut = i + 14},
			.report = {.backend = 1, .sequence = 1, .flags = KEYED},
			LEFT_ALONE,
		};
	}
	return run_cases("report: cut", cases, CUTS);
}

/* Forwarding was switched off: where there is one interface the host's tc program sends the packet. */
static int run_without_forwarding(void)
{
	static const struct balancer_case cases[] = {
		{
			.name = "one interface",
			.before = {.one_interface = true},
			.report = {.backend = 1, .sequence = 1},
			RESOLVING,
		},
		{
			.name = "two interfaces, of which nobody knows which",
			.report = {.backend = 1, .sequence = 1},
			REFUSED(NO_ROUTE),
		},
		{
			.name = "the answer to a check needs no way on",
			.before = {.check_port = CHECK_PORT},
			.in = {TO_CHECK},
			.report = {.backend = 1, .sequence = 1},
			CHECKED,
		},
		{
			.name = "likewise with one interface",
			.before = {.check_port = CHECK_PORT, .one_interface = true},
			.in = {TO_CHECK},
			.report = {.backend = 1, .sequence = 1},
			CHECKED,
		},
	};
	int failed;

	network_set("ipv4/conf/lan/forwarding", "0");
	failed = run_cases("report: forwarding is off", cases, COUNT(cases));
	network_set("ipv4/conf/lan/forwarding", "1");
	return failed;
}

int main(void)
{
	int failed = 0;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed += run_cases("report: believed", believed, COUNT(believed));
	failed += run_cases("report: old", old, COUNT(old));
	failed += run_cases("report: refused", refused, COUNT(refused));
	failed += run_cases("report: not one", not_reports, COUNT(not_reports));
	failed += run_lengths();
	failed += run_cuts();
	failed += run_without_forwarding();
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
