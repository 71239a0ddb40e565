/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A carrier whose client has no known MAC address, for real: XDP leaves it to the host, tc sends
 * it on from there, the kernel asks for the address meanwhile, and it appears on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/libbpf.h>

#include "balancer.skel.h"
#include "balancer_case.h"

#include "shared.h"

#define NEW_MAC "02:00:00:00:00:77"

static const struct before idle = {0};

/* A packet to that client, with a report or as it must be on the wire. */
static void response_build(struct frame *frame, const char *client, int with_report)
{
	struct balancer_case response = {
		.direction = FROM_SERVICE,
		.in = {.destination = client, .payload = 500, .tos = 8, .ttl = 33},
		.report = {.backend = with_report, .sequence = 1},
	};

	case_frame(&response, frame);
}

static void expected_build(struct frame *frame, const char *client, const char *mac_to,
			   const char *mac_from)
{
	response_build(frame, client, 0);
	mac_parse(mac_to, &frame->bytes[AT_MAC_TO]);
	mac_parse(mac_from, &frame->bytes[AT_MAC_FROM]);
}

static void assert_arrives(int capture, const struct frame *expected)
{
	struct frame frame;

	assert_int_equal(capture_next(capture, ETH_P_IP, &frame), 0);
	assert_int_equal(frame.length, expected->length);
	assert_memory_equal(frame.bytes, expected->bytes, expected->length);
}

static void receive_by_lan(const struct before *before, const char *client)
{
	struct frame frame;

	world_reset(before);
	response_build(&frame, client, 1);
	assert_int_equal(run_xdp_live(world.program, world.lan, &frame), 0);
}

/* The first packet asks for the MAC address, waits for it, and is sent when it is known. */
static void resolve_on(const char *peer, const char *client, const char *learn,
		       const char *mac_from)
{
	int capture = capture_open(peer);
	struct frame question, expected;

	assert_true(capture >= 0);
	receive_by_lan(&idle, client);
	assert_int_equal(verdict_count(VERDICT_REPORT_RESOLVING), 1);
	assert_int_equal(capture_next(capture, ETH_P_ARP, &question), 0);
	assert_int_equal(network_change(learn), 0);
	expected_build(&expected, client, NEW_MAC, mac_from);
	assert_arrives(capture, &expected);

	/* From now on XDP does it alone. */
	receive_by_lan(&idle, client);
	assert_int_equal(verdict_count(VERDICT_REPORT_TAKEN), 1);
	close(capture);
}

static void test_resolves_on_the_same_network(void **state)
{
	(void)state;
	resolve_on("lan-peer", CLIENT_UNRESOLVED,
		   "neighbour replace " CLIENT_UNRESOLVED " lladdr " NEW_MAC
		   " dev lan nud permanent\n",
		   LAN_MAC);
}

static void test_resolves_on_the_other_network(void **state)
{
	(void)state;
	resolve_on("wan-peer", CLIENT_UNRESOLVED_ON_WAN,
		   "neighbour replace " CLIENT_UNRESOLVED_ON_WAN " lladdr " NEW_MAC
		   " dev wan nud permanent\n",
		   WAN_MAC);
}

/* Forwarding was switched off: XDP may not look up routes, and leaves every carrier to the host. */
static void test_without_forwarding(void **state)
{
	static const struct before one_interface = {.one_interface = true};
	int capture = capture_open("lan-peer");
	struct frame expected;

	(void)state;
	assert_true(capture >= 0);
	network_set("ipv4/conf/lan/forwarding", "0");
	receive_by_lan(&one_interface, CLIENT);
	network_set("ipv4/conf/lan/forwarding", "1");
	expected_build(&expected, CLIENT, CLIENT_MAC, LAN_MAC);
	assert_arrives(capture, &expected);
	close(capture);
}

static void test_leaves_other_packets_to_the_host(void **state)
{
	int program = bpf_program__fd(world.skeleton->progs.resolve);
	struct outcome outcome;
	struct frame frame;

	(void)state;
	response_build(&frame, CLIENT, 1);
	assert_int_equal(run_tc(program, world.lan, &frame, &outcome), 0);
	assert_int_equal(outcome.action, (uint32_t)TC_ACT_UNSPEC);
	assert_int_equal(outcome.frame.length, frame.length);
	assert_memory_equal(outcome.frame.bytes, frame.bytes, frame.length);
}

static int attach_resolve(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = world.lan, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options,
		    .prog_fd = bpf_program__fd(world.skeleton->progs.resolve));

	return bpf_tc_hook_create(&hook) ?: bpf_tc_attach(&hook, &options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolves_on_the_same_network),
		cmocka_unit_test(test_resolves_on_the_other_network),
		cmocka_unit_test(test_without_forwarding),
		cmocka_unit_test(test_leaves_other_packets_to_the_host),
	};
	int failed;

	harness_require_root();
	if (world_create() || attach_resolve())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
