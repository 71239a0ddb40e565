// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "packet_bed.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/ip.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "packet/harness.h"

#include "balancer.skel.h"
#include "choose.h"
#include "clock.h"
#include "load_report.h"
#include "ring.h"
#include "shared.h"

#define SERVICE_ID 1
#define BACKENDS 16
#define RING_SIZE 16381 /* as configured if nothing else is said */
#define CHOICES 4 /* likewise */
#define FOR_LONG 1000000000000ULL

static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static const char network[] =
	"link set lo up\n"
	"link add lan address " BED_MAC " type veth peer name lan-peer\n"
	"link set lan up\n"
	"link set lan-peer up\n"
	"address add 10.1.0.2/24 dev lan\n"
	"address add " BED_VIP "/32 dev lo\n"
	"neighbour add " BED_CLIENT " lladdr 02:00:00:00:00:50 dev lan nud permanent\n";

int bed_network(void)
{
	int err = network_enter(network);

	if (!err)
		err = network_set("ipv4/conf/all/forwarding", "1");
	return err ? err : (int)if_nametoindex("lan");
}

static uint32_t server_id(uint32_t number)
{
	return address_bytes("10.1.0.10") + htonl(number);
}

static int put(const struct bpf_map *map, const void *map_key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), map_key, value, BPF_ANY) ? -errno : 0;
}

static int put_settings(const struct bed *bed)
{
	const struct ip_address vip = ip_address(BED_VIP);
	struct settings settings = {
		.hash_seed = 0x5eed,
		.report_key = {key[0], key[1]},
		.interfaces = {{.ifindex = bed->ifindex}},
		.flow_buckets = bed->kind->flow_entries / BUCKET_SLOTS,
		.vip_places = hash_vip_place(&vip),
		.keyed = 1,
	};
	uint32_t zero = 0;

	mac_parse(BED_MAC, settings.interfaces[0].mac);
	return put(bed->skeleton->maps.settings, &zero, &settings);
}

static uint8_t protocol_of(const struct bed *bed)
{
	return bed->kind->protocol ? bed->kind->protocol : IPPROTO_TCP;
}

static int put_service(const struct bed *bed)
{
	struct service_key vip = {.address = ip_address(BED_VIP)};
	struct service service = {
		.id = SERVICE_ID,
		.ring_size = RING_SIZE,
		.member_count = BACKENDS,
		.stale_after_ns = FOR_LONG,
		.policy = POLICY_POWER_OF_CHOICES,
		.signal = SIGNAL_IN_FLIGHT,
		.with_pending = 1,
		.feedback = FEEDBACK_IN_BAND,
		.choices = CHOICES,
	};
	struct service nothing = {.protocols = VIP_TCP | VIP_UDP};
	int err = put(bed->skeleton->maps.services, &vip, &nothing);

	vip.port = htons(BED_PORT);
	vip.protocol = protocol_of(bed);
	return err ? err : put(bed->skeleton->maps.services, &vip, &service);
}

static int put_backend(const struct bed *bed, uint32_t number)
{
	const struct ip_address vip = ip_address(BED_VIP);
	struct backend backend = {
		.service = SERVICE_ID,
		.server = (uint16_t)number,
		.vip = hash_vip(&vip, htons(BED_PORT), protocol_of(bed)),
		.cost = COST_ONE,
		.ifindex = bed->ifindex,
		.address = {{0, 0, htonl(0xFFFF), server_id(number)}},
		.outer_source = ip_address(BED_OWN),
		.forward = (uint8_t)bed->kind->forward,
		.varied = 1,
	};
	struct server server = {.index = number, .mac_known = 1};
	uint32_t id = server_id(number);
	int err;

	mac_parse(BED_SERVER_MAC, backend.mac);
	mac_parse(BED_MAC, backend.source_mac);
	memcpy(server.mac, backend.mac, sizeof(server.mac));
	/* All machines have one MAC address here; who they are is told by the server id. */
	err = put(bed->skeleton->maps.backends, &number, &backend);
	return err ? err : put(bed->skeleton->maps.servers, &id, &server);
}

static int put_ring(const struct bed *bed)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	struct ring_member members[BACKENDS];
	uint32_t slots[RING_SIZE + BACKENDS], id = SERVICE_ID, i;
	int ring, err = 0;

	for (i = 0; i < BACKENDS; i++) {
		members[i] = (struct ring_member){.id = i + 1, .identity = i + 1, .weight = 1};
		slots[RING_SIZE + i] = i + 1;
	}
	if (ring_build(members, BACKENDS, slots, RING_SIZE))
		return -ENOMEM;
	ring = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 8, RING_SIZE + BACKENDS, &options);
	if (ring < 0)
		return -errno;
	for (i = 0; i < RING_SIZE + BACKENDS && !err; i++) {
		uint64_t slot = slots[i];

		err = bpf_map_update_elem(ring, &i, &slot, BPF_ANY) ? -errno : 0;
	}
	if (!err)
		err = put(bed->skeleton->maps.rings, &id, &ring);
	close(ring);
	return err;
}

static int load(struct bed *bed)
{
	bed->skeleton = balancer_bpf__open();
	if (!bed->skeleton)
		return -errno;
	bpf_map__set_max_entries(bed->skeleton->maps.flows, bed->kind->flow_entries / BUCKET_SLOTS);
	bed->skeleton->rodata->traceable = bed->kind->traceable;
	if (balancer_bpf__load(bed->skeleton))
		return -errno;
	bed->program = bpf_program__fd(bed->skeleton->progs.balancer);
	return 0;
}

int bed_open(struct bed *bed, uint32_t ifindex, const struct bed_kind *kind)
{
	uint32_t i;
	int err;

	*bed = (struct bed){.kind = kind, .ifindex = ifindex};
	err = load(bed);
	if (!err)
		err = put_settings(bed);
	if (!err)
		err = put_service(bed);
	if (!err)
		err = put_ring(bed);
	for (i = 1; i <= BACKENDS && !err; i++)
		err = put_backend(bed, i);
	if (!err)
		bed_refresh(bed);
	return err;
}

void bed_close(struct bed *bed)
{
	balancer_bpf__destroy(bed->skeleton);
}

void bed_refresh(const struct bed *bed)
{
	struct load report = {.received_ns = now_ns()};
	const struct health answering = {0};
	uint32_t i;

	for (i = 1; i <= BACKENDS; i++) {
		report.in_flight = (uint16_t)(i * 7 % BACKENDS);
		put(bed->skeleton->maps.loads, &i, &report);
		put(bed->skeleton->maps.healths, &i, &answering);
		put_backend(bed, i);
	}
}

uint64_t bed_verdicts(const struct bed *bed, uint32_t verdict)
{
	return counter_read(bpf_map__fd(bed->skeleton->maps.verdicts), verdict);
}

/* The checksum field is as the packet holds it: its low byte first in memory is its high one. */
static uint16_t header_checksum(const struct frame *frame, const struct load_report_option *option)
{
	uint8_t header[sizeof(struct iphdr) + sizeof(*option)];

	memcpy(header, &frame->bytes[AT_IP], sizeof(struct iphdr));
	memcpy(header + sizeof(struct iphdr), option, sizeof(*option));
	header[AT_IP_CHECKSUM - AT_IP] = header[AT_IP_CHECKSUM - AT_IP + 1] = 0;
	return htons(internet_checksum(header, sizeof(header), 0));
}

void variants_fill(int map, const struct frame *frame)
{
	const struct load_report_key report_key = {{key[0], key[1]}};
	struct load_report report = {
		.server_id = server_id(1),
		.in_flight = 3,
		.flags = LOAD_REPORT_KEYED,
	};
	struct report_variant variant = {0};
	struct load_report_option option;
	uint32_t i;

	for (i = 0; i < REPORT_VARIANTS; i++) {
		report.sequence = i + 1;
		load_report_encode(&option, &report);
		option.tag = load_report_tag_ipv4(&option, &report_key, address_bytes(BED_VIP),
						  address_bytes(BED_CLIENT));
		memcpy(variant.option, &option, sizeof(option));
		variant.checksum = header_checksum(frame, &option);
		bpf_map_update_elem(map, &i, &variant, BPF_ANY);
	}
}
