/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Report carriers of both families, by L2 and inside packets to the balancer, with VLAN tags and without:
 * which are believed, and byte for byte what goes on to the client.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "balancer_world.h"
#include "families.h"

#include "load_report.h"

#define IN_FLIGHT 77

/* As it stands in the packet: in IPv6, the whole extension header. */
struct option {
	uint8_t bytes[40];
	uint16_t length;
};

static void option_make(struct option *made, bool ipv6, bool keyed, uint8_t transport)
{
	const struct load_report_key key = {{world_key[0], world_key[1]}};
	const struct load_report report = {
		.server_id = server_id(1),
		.sequence = 5,
		.in_flight = IN_FLIGHT,
		.flags = keyed ? LOAD_REPORT_KEYED : 0,
	};
	struct ip_address vip = ip_address(ipv6 ? VIP6 : VIP),
			  client = ip_address(ipv6 ? CLIENT6 : CLIENT);
	size_t length = keyed ? LOAD_REPORT_LENGTH_KEYED : LOAD_REPORT_LENGTH;
	const uint8_t header[8] = {transport, (uint8_t)(length / 8), 1, 4};
	struct load_report_option option;

	load_report_encode(&option, &report);
	if (ipv6) {
		option.type = 0x1e;
		option.length = (uint8_t)(length - 2);
		option.tag = load_report_tag_ipv6(&option, &key, &vip, &client);
		memcpy(made->bytes, header, sizeof(header));
	} else {
		option.tag = load_report_tag_ipv4(&option, &key, vip.word[3], client.word[3]);
	}
	memcpy(&made->bytes[ipv6 ? sizeof(header) : 0], &option, length);
	made->length = (uint16_t)(length + (ipv6 ? sizeof(header) : 0));
}

/* A server's answer, with the report and where the server is behind a router, in a packet of its own. */
static struct layers carrier(bool ipv6, const struct way *way, uint8_t vlans,
			     const struct option *option)
{
	struct layers layers = {
		.mac_to = LAN_MAC,
		.mac_from = way->inside ? ROUTER_MAC : backend_mac(1),
		.vlans = vlans,
		.ip = {.source = ipv6 ? VIP6 : VIP,
		       .destination = ipv6 ? CLIENT6 : CLIENT,
		       .traffic_class = 0x28,
		       .id = ipv6 ? 0 : 0x1d2e,
		       .flow_label = ipv6 ? 0x12345 : 0,
		       .between = option->bytes,
		       .between_length = option->length,
		       .first = 60},
		.transport = 6,
		.source_port = VIP_PORT,
		.destination_port = 40000,
		.flags = TCP_ACK | TCP_PSH,
		.payload = 33,
	};

	if (way->inside)
		layers.outer =
			(struct ip_layer){.source = way->backend, .destination = way->outer_source};
	return layers;
}

static void run(const struct before *before, const struct way *way, const struct layers *in,
		struct outcome *outcome)
{
	struct frame frame;

	families_reset(before, way);
	layers_build(&frame, in);
	world_run(world.lan, &frame, outcome);
}

static void check_believed(bool ipv6, bool empty_udp, const struct way *way, uint8_t vlans,
			   bool keyed)
{
	const struct before before = {.keyed = keyed, .age_ms = {NEVER}};
	struct outcome outcome;
	struct layers layers;
	struct option option;
	struct frame frame;
	struct load load;

	option_make(&option, ipv6, keyed, empty_udp ? IPPROTO_UDP : IPPROTO_TCP);
	layers = carrier(ipv6, way, vlans, &option);
	if (empty_udp) {
		layers.transport = IPPROTO_UDP;
		layers.payload = 0;
	}
	run(&before, way, &layers, &outcome);
	load_read(1, &load);
	layers.mac_to = CLIENT_MAC;
	layers.mac_from = LAN_MAC;
	layers.outer.source = NULL;
	layers.ip.between_length = 0;
	layers_build(&frame, &layers);
	if (verdict_count(VERDICT_REPORT_TAKEN) != 1 || load.in_flight != IN_FLIGHT ||
	    outcome.action != XDP_TX || outcome.frame.length != frame.length ||
	    memcmp(outcome.frame.bytes, frame.bytes, frame.length) != 0)
		fail_msg("IPv%d%s by %s, %u tags, %s: not taken, or not as it ought to go on",
			 ipv6 ? 6 : 4, empty_udp ? ", empty UDP" : "", way->name, vlans,
			 keyed ? "keyed" : "not keyed");
}

static void test_every_combination(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		for (size_t i = 0; i < ways_count; i++)
			for (uint8_t vlans = 0; vlans <= 2; vlans++)
				for (int keyed = 0; keyed < 2; keyed++)
					for (int udp = 0; udp < 2; udp++)
						if (ways[i].l2_of_other_family != (ipv6 ? 6 : 4))
							check_believed(ipv6, udp, &ways[i], vlans,
								       keyed);
}

static void refuse(const char *what, const struct way *way, const struct layers *layers, bool keyed,
		   enum verdict verdict)
{
	const struct before before = {.keyed = keyed, .age_ms = {NEVER}};
	struct outcome outcome;
	struct load load;

	run(&before, way, layers, &outcome);
	load_read(1, &load);
	if (verdict_count(verdict) != 1 || load.in_flight == IN_FLIGHT)
		fail_msg("%s by %s: not refused as it ought to be", what, way->name);
}

static void test_sources(void **state)
{
	static const char *const strangers[] = {"10.1.0.12", "2001:db8::c"};
	struct layers layers;
	struct option option;

	(void)state;
	for (size_t i = 0; i < ways_count; i++) {
		bool ipv6 = ways[i].l2_of_other_family == 4;

		option_make(&option, ipv6, false, 6);
		layers = carrier(ipv6, &ways[i], 0, &option);
		if (ways[i].inside)
			layers.outer.source = strangers[i == 3];
		else
			layers.mac_from = STRANGER_MAC;
		refuse("a stranger's", &ways[i], &layers, false, VERDICT_REPORT_WRONG_SOURCE);
	}
	/* Who sends by L2 does not come inside a packet, nor the other way round. */
	option_make(&option, false, false, 6);
	layers = carrier(false, &ways[2], 0, &option);
	refuse("inside", &ways[0], &layers, false, VERDICT_REPORT_WRONG_SOURCE);
	layers = carrier(false, &ways[0], 0, &option);
	refuse("not inside", &ways[2], &layers, false, VERDICT_REPORT_WRONG_SOURCE);
}

static void test_tags(void **state)
{
	struct layers layers;
	struct option option;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		option_make(&option, ipv6, true, 6);
		option.bytes[option.length - 1] ^= 1;
		layers = carrier(ipv6, &ways[2], 0, &option);
		refuse("a wrong tag", &ways[2], &layers, true, VERDICT_REPORT_WRONG_TAG);
		option_make(&option, ipv6, false, 6);
		layers = carrier(ipv6, &ways[2], 0, &option);
		refuse("no tag", &ways[2], &layers, true, VERDICT_REPORT_UNKEYED);
	}
}

/* In IPv6: what is not laid out as a report is somebody else's; what begins as one and is none is refused. */
static void test_layouts(void **state)
{
	static const struct {
		const char *what;
		uint8_t at, is;
		enum verdict verdict;
	} layouts[] = {
		{"another option", 8, 0x3e, VERDICT_NOT_OURS},
		{"another experiment", 10, 0xb6, VERDICT_NOT_OURS},
		{"option length 0", 9, 0, VERDICT_REPORT_MALFORMED},
		{"option length 1", 9, 1, VERDICT_REPORT_MALFORMED},
		{"option length 30 without a tag", 9, 30, VERDICT_REPORT_MALFORMED},
		{"option length 255", 9, 255, VERDICT_REPORT_MALFORMED},
		{"version 2", 11, 0x20, VERDICT_REPORT_MALFORMED},
		{"K without room for a tag", 11, 0x18, VERDICT_REPORT_MALFORMED},
		/* Then what is taken for TCP's header is none. */
		{"a header of 40 bytes", 1, 4, VERDICT_NOT_OURS},
	};
	struct layers layers;
	struct option option;

	(void)state;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		option_make(&option, true, false, 6);
		option.bytes[layouts[i].at] = layouts[i].is;
		layers = carrier(true, &ways[1], 0, &option);
		/* A transport header where a longer extension header says. */
		layers.payload = 60;
		refuse(layouts[i].what, &ways[1], &layers, false, layouts[i].verdict);
	}
	option_make(&option, true, false, 6);
	layers = carrier(true, &ways[1], 0, &option);
	layers.ip.first = 0;
	refuse("a hop-by-hop header", &ways[1], &layers, false, VERDICT_NOT_OURS);
}

/* A tunnel of the host's own is none of our business. */
static void test_other_tunnels(void **state)
{
	struct layers layers = request(false, false, 0);
	struct outcome outcome;
	struct frame frame;

	(void)state;
	for (size_t i = 2; i < ways_count; i++) {
		layers.outer = (struct ip_layer){.source = ways[i].backend,
						 .destination = ways[i].outer_source};
		families_reset(&(struct before){0}, &ways[i]);
		layers_build(&frame, &layers);
		world_run(world.lan, &frame, &outcome);
		assert_int_equal(verdict_count(VERDICT_NOT_OURS), 1);
		assert_memory_equal(outcome.frame.bytes, frame.bytes, frame.length);
	}
}

/* No byte is ever read that is not there, and nothing half there is believed. */
static void test_cut_short_at_every_byte(void **state)
{
	struct outcome outcome;
	struct layers layers;
	struct option option;
	struct frame whole, cut;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		for (size_t i = 2; i < ways_count; i++) {
			option_make(&option, ipv6, true, 6);
			layers = carrier(ipv6, &ways[i], 0, &option);
			layers_build(&whole, &layers);
			for (size_t length = 14; length < whole.length; length++) {
				cut = whole;
				cut.length = length;
				families_reset(&(struct before){.keyed = true}, &ways[i]);
				world_run(world.lan, &cut, &outcome);
				assert_int_equal(verdict_count(VERDICT_REPORT_TAKEN), 0);
				assert_int_not_equal(outcome.action, XDP_ABORTED);
			}
		}
}

/* The balancer's own address in IPv6, and a client that is a neighbour. */
static int network_widen(void)
{
	int err = network_change("address add " BALANCER6 "/64 dev lan nodad\n"
				 "neighbour add " CLIENT6 " lladdr " CLIENT_MAC
				 " dev lan nud permanent\n");

	return err ? err : network_set("ipv6/conf/all/forwarding", "1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_other_tunnels),
		cmocka_unit_test(test_cut_short_at_every_byte),
	};
	int failed;

	harness_require_root();
	if (world_create() || network_widen())
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests_name("balancer: carriers", tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
