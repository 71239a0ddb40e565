/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Our own health checks, as they leave and as their answers come: each combination of the families of
 * service and server, by L2 and inside packets, byte for byte.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer.skel.h"
#include "families.h"
#include "run_each.h"

#define OWN_PORT 41000
#define SERVER "10.1.0.11"
#define SERVER6 "2001:db8::b"

static const struct before idle;

static const struct check_case {
	const char *name;
	const char *vip, *own; /* of the packet, when it is outside */
	const char *server, *socket; /* of the socket */
	bool inside, varied;
} cases[] = {
	{"IPv4 by L2", VIP, BALANCER, SERVER, BALANCER, false, false},
	{"IPv6 by L2", VIP6, BALANCER6, SERVER6, BALANCER6, false, false},
	{"IPv4 in IPv4", VIP, BALANCER, SERVER, BALANCER, true, false},
	{"IPv6 in IPv6", VIP6, BALANCER6, SERVER6, BALANCER6, true, false},
	{"IPv4 in IPv6", VIP, BALANCER, SERVER6, BALANCER6, true, false},
	{"IPv6 in IPv4", VIP6, BALANCER6, SERVER, BALANCER, true, false},
	{"IPv4 in IPv4, varied", VIP, BALANCER, SERVER, BALANCER, true, true},
	{"IPv6 in IPv4, varied", VIP6, BALANCER6, SERVER, BALANCER, true, true},
	{"IPv4 in IPv6, varied", VIP, BALANCER, SERVER6, BALANCER6, true, true},
};

static bool is_mixed(const struct check_case *test)
{
	return !strchr(test->vip, ':') != !strchr(test->server, ':');
}

static struct way way_of(const struct check_case *test)
{
	const char *outer =
		!strchr(test->server, ':') && test->varied ? "198.18.0.2" : test->socket;

	return (struct way){test->name, test->inside, test->server, outer, test->varied, 0};
}

static int sockets(void)
{
	return bpf_map__fd(world.skeleton->maps.check_sockets);
}

/* The daemon has told of a socket, by which backend 1 is checked. */
static void begin(const struct check_case *test)
{
	const struct way way = way_of(test);
	const uint16_t port = htons(OWN_PORT);
	struct check_socket socket = {
		.service = ip_address(test->vip),
		.server = ip_address(test->server),
		.backend = 1,
		.port = htons(VIP_PORT),
	};

	families_reset(&idle, &way);
	if (is_mixed(test))
		socket.source = ip_address(test->own);
	assert_int_equal(bpf_map_update_elem(sockets(), &port, &socket, BPF_ANY), 0);
}

static struct layers between(const char *source, const char *destination, uint16_t source_port,
			     uint16_t destination_port, uint8_t flags, uint16_t payload)
{
	return (struct layers){
		.mac_to = ROUTER_MAC,
		.mac_from = LAN_MAC,
		.ip = {.source = source,
		       .destination = destination,
		       .traffic_class = 0x48,
		       .ttl = 61},
		.transport = IPPROTO_TCP,
		.source_port = source_port,
		.destination_port = destination_port,
		.flags = flags,
		.payload = payload,
	};
}

/* From the socket to the server; returns what tc is told. */
static uint32_t leave(const struct check_case *test, uint8_t flags, uint16_t payload,
		      struct frame *out)
{
	const struct layers in =
		between(test->socket, test->server, OWN_PORT, VIP_PORT, flags, payload);
	struct outcome outcome;
	struct frame frame;

	layers_build(&frame, &in);
	assert_int_equal(
		run_tc(bpf_program__fd(world.skeleton->progs.check), world.lan, &frame, &outcome),
		0);
	*out = outcome.frame;
	return outcome.action;
}

/* What of an outer header is of the flow, and cannot be foretold; the rest of a varied source can. */
static void take_over(const struct check_case *test, struct layers *expected,
		      const struct frame *is, char source[INET6_ADDRSTRLEN])
{
	const uint8_t *outer = &is->bytes[AT_IP];
	struct ip_address own = ip_address(expected->outer.source), varied = own;

	if (outer[0] >> 4 == 6) {
		expected->outer.flow_label = (outer[1] & 0xfU) << 16 | outer[2] << 8 | outer[3];
		memcpy(&varied, outer + 8, sizeof(varied));
		own.word[2] = varied.word[2];
	} else {
		memcpy(&varied.word[3], outer + 12, sizeof(varied.word[3]));
		own.word[3] |= varied.word[3] & htonl(0x0001ff00);
	}
	if (!test->varied)
		return;
	assert_memory_equal(&varied, &own, sizeof(own));
	inet_ntop(outer[0] >> 4 == 6 ? AF_INET6 : AF_INET,
		  outer[0] >> 4 == 6 ? (void *)&varied : &varied.word[3], source, INET6_ADDRSTRLEN);
	expected->outer.source = source;
}

static void assert_leaves(const struct check_case *test, uint8_t flags, uint16_t payload)
{
	struct layers expected = between(test->own, test->vip, OWN_PORT, VIP_PORT, flags, payload);
	const struct way way = way_of(test);
	char source[INET6_ADDRSTRLEN];
	struct frame is, frame;

	assert_int_equal(leave(test, flags, payload, &is), (uint32_t)TC_ACT_UNSPEC);
	expected.mac_to = backend_mac(1);
	way_around(&way, &expected, &expected);
	if (test->inside)
		take_over(test, &expected, &is, source);
	layers_build(&frame, &expected);
	assert_int_equal(is.length, frame.length);
	assert_memory_equal(is.bytes, frame.bytes, frame.length);
}

static void test_leaves(void **state)
{
	const struct check_case *test = *state;
	struct load load;

	begin(test);
	assert_leaves(test, TCP_SYN, 0);
	assert_leaves(test, TCP_ACK, 0);
	assert_leaves(test, TCP_ACK | TCP_PSH, 201);
	assert_leaves(test, TCP_RST | TCP_ACK, 0);
	load_read(1, &load);
	assert_int_equal(load.connections_sent, 1);
}

/* The service's answer, as it comes to whoever has connected to it; the socket gets the server's. */
static void test_returns(void **state)
{
	const struct check_case *test = *state;
	struct layers in = between(test->vip, test->own, VIP_PORT, OWN_PORT, TCP_SYN | TCP_ACK, 7);
	struct layers expected = in;
	struct outcome outcome;
	struct frame frame;

	begin(test);
	leave(test, TCP_SYN, 0, &frame);
	layers_build(&frame, &in);
	assert_int_equal(
		run_tc(bpf_program__fd(world.skeleton->progs.resolve), world.lan, &frame, &outcome),
		0);
	assert_int_equal(outcome.action, (uint32_t)TC_ACT_UNSPEC);
	expected.ip.source = test->server;
	expected.ip.destination = test->socket;
	layers_build(&frame, &expected);
	assert_int_equal(outcome.frame.length, frame.length);
	assert_memory_equal(outcome.frame.bytes, frame.bytes, frame.length);
}

static void assert_left_alone(int program, const struct layers *in)
{
	struct outcome outcome;
	struct frame frame;

	layers_build(&frame, in);
	assert_int_equal(run_tc(program, world.lan, &frame, &outcome), 0);
	assert_int_equal(outcome.action, (uint32_t)TC_ACT_UNSPEC);
	assert_int_equal(outcome.frame.length, frame.length);
	assert_memory_equal(outcome.frame.bytes, frame.bytes, frame.length);
}

/* The host's own packets and those to it are nobody's business. */
static void test_others_are_left_alone(void **state)
{
	const struct check_case *test = *state;
	int leave = bpf_program__fd(world.skeleton->progs.check);
	int enter = bpf_program__fd(world.skeleton->progs.resolve);
	struct layers packet;

	begin(test);
	packet = between(test->socket, test->server, OWN_PORT + 1, VIP_PORT, TCP_SYN, 0);
	assert_left_alone(leave, &packet);
	packet = between(test->socket, test->server, OWN_PORT, VIP_PORT + 1, TCP_SYN, 0);
	assert_left_alone(leave, &packet);
	packet = between(test->own, test->vip, OWN_PORT, VIP_PORT, TCP_SYN, 0);
	assert_left_alone(leave, &packet);
	packet = between(test->vip, test->own, VIP_PORT, OWN_PORT + 1, TCP_ACK, 0);
	assert_left_alone(enter, &packet);
	packet = between(test->vip, test->own, VIP_PORT + 1, OWN_PORT, TCP_ACK, 0);
	assert_left_alone(enter, &packet);
	packet = between(test->server, test->socket, VIP_PORT, OWN_PORT, TCP_ACK, 0);
	assert_left_alone(enter, &packet);
}

/* Nobody knows where: it is not sent by another way than clients' packets go. */
static void test_without_a_way(void **state)
{
	const struct check_case *test = &cases[4];
	struct backend backend;
	uint32_t number = 1;
	struct frame frame;
	int backends = bpf_map__fd(world.skeleton->maps.backends);

	(void)state;
	begin(test);
	assert_int_equal(bpf_map_lookup_elem(backends, &number, &backend), 0);
	backend.ifindex = 0;
	assert_int_equal(bpf_map_update_elem(backends, &number, &backend, BPF_ANY), 0);
	assert_int_equal(leave(test, TCP_SYN, 0, &frame), TC_ACT_SHOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_way),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed = RUN_EACH("checks leave", test_leaves, cases) +
		 RUN_EACH("answers to checks return", test_returns, cases) +
		 RUN_EACH("others are left alone", test_others_are_left_alone, cases) +
		 cmocka_run_group_tests(tests, NULL, NULL);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
