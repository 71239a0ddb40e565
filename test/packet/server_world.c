/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach.h"
#include "clock.h"
#include "server.skel.h"

#define SECOND 1000000000ULL
#define METER_BUCKETS (SERVER_METER_ENTRIES / BUCKET_SLOTS)

struct server_world server;

const uint64_t server_key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static const char network[] = "link set lo up\n"
			      "link add lan address " SERVER_MAC " type veth peer name lan-peer\n"
			      "link set lan up\n"
			      "link set lan-peer up\n"
			      "address add " SERVER "/24 dev lan\n"
			      "address add " VIP "/32 dev lo\n";

static void map_put(const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
		fail_msg("map %s: %s", bpf_map__name(map), strerror(errno));
}

static const char *const vips[] = {VIP, VIP_IPV6};

static struct service_key service_key(const char *vip)
{
	return (struct service_key){
		.address = ip_address(vip),
		.port = htons(VIP_PORT),
		.protocol = IPPROTO_TCP,
	};
}

/* Balancers send outer headers from their own addresses, and in IPv4 from that one besides. */
static void allow_tunnels(struct server_settings *settings)
{
	const struct {
		const char *address, *mask;
	} origins[] = {
		{BALANCER, "255.255.255.255"},
		{"198.18.0.2", "255.254.0.255"},
		{BALANCER_IPV6, "ffff:ffff:ffff:ffff:0:0:ffff:ffff"},
	};

	for (size_t i = 0; i < sizeof(origins) / sizeof(*origins); i++) {
		struct tunnel_origin *origin = &settings->tunnel_origins[i];

		origin->address = ip_address(origins[i].address);
		origin->mask = ip_address(origins[i].mask);
		if (!strchr(origins[i].mask, ':'))
			memset(&origin->mask, 0xff, 12);
		origin->peer = 1;
	}
	settings->tunnel_origin_count = sizeof(origins) / sizeof(*origins);
}

static const struct {
	uint64_t least, most;
} pauses[] = {
	[USUAL_PAUSE] = {SECOND / 1000, SECOND / 10},
	[NO_PAUSE] = {0, 0},
	[LONG_PAUSE] = {10 * SECOND, 10 * SECOND},
};

static void settings_put(const struct server_before *before)
{
	struct server_settings settings = {
		.min_interval_ns = pauses[before->pace].least,
		.max_interval_ns = pauses[before->pace].most,
		.balancer_silence_ns = before->pace == NO_PAUSE ? 10 * SECOND : SECOND / 20,
		.report_key = {server_key[0], server_key[1]},
		.restarted_until_ns = before->restarted ? now_ns() + SECOND : 0,
		.server_id = address_bytes(SERVER),
		.max_share = before->max_share,
		.mtu = before->mtu ? before->mtu : 1500,
		.meter_buckets = before->large_meter ? METER_BUCKETS : 1,
		.peer_count = before->no_balancer    ? 0 :
			      before->other_balancer ? 2 :
						       1,
		.keyed = before->keyed,
		.unplaced = before->unplaced,
	};
	uint32_t zero = 0;

	for (int i = 0; i < 2 && !before->unplaced; i++) {
		struct service_key key = service_key(vips[i]);

		settings.places[hash_place(&key.address, key.port)] = key;
	}
	allow_tunnels(&settings);
	map_put(server.skeleton->maps.settings, &zero, &settings);
}

static void peer_put(const struct server_before *before, struct peer *peer, const char *mac)
{
	uint64_t reported_us = before->reported_us ? before->reported_us : 10000000;

	peer->mac_known = !before->no_neighbour;
	peer->heard_ns = now_ns() - before->heard_ms * 1000000ULL;
	peer->reported_ns = now_ns() - reported_us * 1000ULL;
	peer->sequence = 0x01020304;
	peer->connections_seen = 0x0a0b0c0d;
	peer->reported_seen = peer->connections_seen - !before->unchanged;
	peer->reported_in_flight = (uint32_t)before->in_flight - before->expected;
	peer->free_ns = before->free_spent ? now_ns() + SECOND : 0;
	mac_parse(mac, peer->mac);
	peer->address = ip_address(before->far_by_ipv6 ? BALANCER_IPV6 : BALANCER);
	peer->own = ip_address(before->far_by_ipv6 ? SERVER_IPV6 : SERVER);
	peer->is_far = before->far || before->far_by_ipv6;
}

static void metrics_put(const struct server_before *before)
{
	memset(server.metrics, 0, sizeof(*server.metrics));
	server.metrics->in_flight = before->in_flight;
	server.metrics->utilisation = 0x8001;
	server.metrics->utilisation_ns = now_ns() + 10 * SECOND; /* is left alone */
	/* Just below two requests, so that it counts as one for its whole half-life. */
	if (before->penalty)
		server.metrics->penalty =
			now_ns() >> PENALTY_TIME_SHIFT << 32 | ((2 << PENALTY_ONE_SHIFT) - 1);
}

void server_reset(const struct server_before *before)
{
	struct application application = {
		.until_ns = before->application ? now_ns() + SECOND : now_ns() - 1,
		.utilisation = 0x4321,
	};
	uint32_t zero = 0;

	assert_int_equal(map_clear(bpf_map__fd(server.skeleton->maps.server_stats)), 0);
	for (int i = 0; i < 2; i++) {
		struct service_key key = service_key(vips[i]), vip = {.address = key.address};

		map_put(server.skeleton->maps.services, &key, &zero);
		map_put(server.skeleton->maps.services, &vip, &zero);
	}
	map_put(server.skeleton->maps.application, &zero, &application);
	memset(server.bucket, 0, METER_BUCKETS * sizeof(*server.bucket));
	memset(server.peers, 0, BALANCERS_MAX * sizeof(*server.peers));
	settings_put(before);
	metrics_put(before);
	peer_put(before, &server.peers[0], BALANCER_MAC);
	if (before->other_balancer)
		peer_put(&(struct server_before){0}, &server.peers[1], OTHER_BALANCER_MAC);
}

struct segment segment_usual(enum way way)
{
	if (way == FROM_CLIENT)
		return (struct segment){
			.mac_to = SERVER_MAC,
			.mac_from = BALANCER_MAC,
			.source = CLIENT,
			.destination = VIP,
			.source_port = CLIENT_PORT,
			.destination_port = VIP_PORT,
			.flags = TCP_ACK,
		};
	return (struct segment){
		.mac_to = ROUTER_MAC,
		.mac_from = SERVER_MAC,
		.source = VIP,
		.destination = CLIENT,
		.source_port = VIP_PORT,
		.destination_port = CLIENT_PORT,
		.flags = TCP_ACK,
	};
}

void server_run(enum way way, const struct frame *in, struct outcome *outcome)
{
	int program = way == FROM_CLIENT ? server.ingress : server.egress;

	assert_int_equal(run_tc(program, server.ifindex, in, outcome), 0);
	/* Never anything else: what other programs are attached have their turn. */
	assert_int_equal(outcome->action, (uint32_t)TC_ACT_UNSPEC);
}

void server_pass(enum way way, const struct segment *segment)
{
	struct outcome outcome;
	struct frame in;

	frame_build(&in, segment);
	server_run(way, &in, &outcome);
	assert_int_equal(outcome.frame.length, in.length);
	assert_memory_equal(outcome.frame.bytes, in.bytes, in.length);
}

struct server_stats server_stats_sum(void)
{
	uint64_t sum[sizeof(struct server_stats) / sizeof(uint64_t)];
	struct server_stats stats;

	if (percpu_sum(bpf_map__fd(server.skeleton->maps.server_stats), 0, sum,
		       sizeof(sum) / sizeof(sum[0])))
		fail_msg("server_stats: %s", strerror(errno));
	memcpy(&stats, sum, sizeof(stats));
	return stats;
}

uint64_t skip_count(enum skip skip)
{
	struct server_stats stats = server_stats_sum();

	return stats.skips[skip];
}

int64_t waiting_slots(void)
{
	int64_t count = 0;
	int i;

	for (i = 0; i < SERVER_METER_ENTRIES; i++)
		count += meter_waits(server.bucket[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS]);
	return count;
}

static void *view(const struct bpf_map *map)
{
	size_t size = bpf_map__max_entries(map) * bpf_map__value_size(map);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int server_create(void)
{
	int err = network_enter(network);

	server.skeleton = server_bpf__open();
	if (err || !server.skeleton ||
	    bpf_map__set_max_entries(server.skeleton->maps.meter, METER_BUCKETS) ||
	    server_bpf__load(server.skeleton))
		return -EINVAL;
	server.ifindex = if_nametoindex("lan");
	server.ingress = bpf_program__fd(server.skeleton->progs.server_ingress);
	server.egress = bpf_program__fd(server.skeleton->progs.server_egress);
	server.metrics = view(server.skeleton->maps.metrics);
	server.peers = view(server.skeleton->maps.peers);
	server.bucket = view(server.skeleton->maps.meter);
	return server.metrics && server.peers && server.bucket ? 0 : -ENOMEM;
}

void server_destroy(void)
{
	server_bpf__destroy(server.skeleton);
}
