/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "families.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer.skel.h"

const struct way ways[] = {
	{"L2", false, "10.1.0.11", NULL, false, 6},
	{"L2 of IPv6", false, "2001:db8::b", NULL, false, 4},
	{"IPv4", true, "10.1.0.11", BALANCER, false, 0},
	{"IPv6", true, "2001:db8::b", BALANCER6, false, 0},
};
const size_t ways_count = sizeof(ways) / sizeof(ways[0]);

static void put(const struct bpf_map *map, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), 0);
}

static void get(const struct bpf_map *map, const void *key, void *value)
{
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), key, value), 0);
}

/* A service like the usual one. */
static void put_service(const char *vip, uint16_t port, uint8_t protocol)
{
	struct service_key usual = {ip_address(VIP), htons(VIP_PORT), IPPROTO_TCP, {0}};
	struct service_key key = {ip_address(vip), htons(port), protocol, {0}};
	struct service service;

	get(world.skeleton->maps.services, &usual, &service);
	put(world.skeleton->maps.services, &key, &service);
}

static void put_vip(const char *vip)
{
	struct service_key key = {.address = ip_address(vip)};
	struct service service = {.protocols = VIP_TCP | VIP_UDP};

	put(world.skeleton->maps.services, &key, &service);
}

static void put_backend(const struct way *way, uint32_t number)
{
	struct backend backend;

	get(world.skeleton->maps.backends, &number, &backend);
	backend.address = ip_address(way->backend);
	backend.forward = way->inside ? FORWARD_IPIP : FORWARD_L2;
	backend.varied = way->varied;
	backend.ifindex = world.lan;
	mac_parse(backend_mac(1), backend.mac);
	mac_parse(LAN_MAC, backend.source_mac);
	if (way->outer_source)
		backend.outer_source = ip_address(way->outer_source);
	put(world.skeleton->maps.backends, &number, &backend);
}

static void put_server(const struct way *way)
{
	uint32_t id = server_id(1);
	struct server server;

	get(world.skeleton->maps.servers, &id, &server);
	server.mac_known = !way->inside;
	server.tunnelled = way->inside;
	server.address = ip_address(way->backend);
	put(world.skeleton->maps.servers, &id, &server);
}

void families_reset(const struct before *before, const struct way *way)
{
	world_reset(before);
	put_service(VIP, VIP_PORT, IPPROTO_UDP);
	put_service(VIP6, VIP_PORT, IPPROTO_TCP);
	put_service(VIP6, VIP_PORT, IPPROTO_UDP);
	put_vip(VIP);
	put_vip(VIP6);
	for (uint32_t i = 1; i <= BACKENDS; i++)
		put_backend(way, i);
	put_server(way);
}

void families_any_port(uint8_t protocol)
{
	struct settings settings;
	uint32_t zero = 0;

	get(world.skeleton->maps.settings, &zero, &settings);
	settings.any_port = 1;
	put(world.skeleton->maps.settings, &zero, &settings);
	put_service(VIP, 0, protocol);
}

void families_empty_port(uint8_t protocol, uint16_t port)
{
	struct service_key key = {ip_address(VIP), htons(port), protocol, {0}};
	struct service nobody = {.id = 3};

	put(world.skeleton->maps.services, &key, &nobody);
}

struct layers request(bool ipv6, bool udp, uint8_t vlans)
{
	return (struct layers){
		.mac_to = LAN_MAC,
		.mac_from = ROUTER_MAC,
		.vlans = vlans,
		.ip = {.source = ipv6 ? CLIENT6 : CLIENT,
		       .destination = ipv6 ? VIP6 : VIP,
		       .id = ipv6 ? 0 : 0x1d2e,
		       .flow_label = ipv6 ? 0xabcde : 0},
		.transport = udp ? IPPROTO_UDP : IPPROTO_TCP,
		.source_port = 40000,
		.destination_port = VIP_PORT,
		.flags = TCP_SYN,
		.payload = udp ? 5 : 0,
	};
}

void way_around(const struct way *way, const struct layers *in, struct layers *out)
{
	bool inner_ipv6 = strchr(in->ip.source, ':');

	if (!way->inside)
		return;
	out->outer = (struct ip_layer){
		.source = way->outer_source,
		.destination = way->backend,
		.traffic_class = in->ip.traffic_class,
		.may_fragment = !inner_ipv6 && in->ip.may_fragment,
		.id = inner_ipv6 ? 0 : in->ip.id,
	};
}
