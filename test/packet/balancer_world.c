/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer_world.h"

#include "choose.h"
#include "flow_slot.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer.skel.h"
#include "load_report.h"

#define SERVICE_ID 2
/* Both 1, 2, 3, 1, 2, 3, 1. */
#define SCHEDULE_SIZE 7
#define BUCKETS 4096 /* no burst of a test fills one */
#define FIRST_PORT 40000

struct world world;

/* The bytes 00 .. 0f, as the data path holds them. */
const uint64_t world_key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
const uint64_t world_old_key[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static const char network[] =
	"link set lo up\n"
	"link add lan address " LAN_MAC " type veth peer name lan-peer\n"
	"link add wan address " WAN_MAC " type veth peer name wan-peer\n"
	"link add idle address 02:00:00:00:07:02 type veth peer name idle-peer\n"
	"link set lan up\n"
	"link set lan-peer up\n"
	"link set wan up\n"
	"link set wan-peer up\n"
	"link set idle up\n"
	"address add 10.1.0.2/24 dev lan\n"
	"address add 10.9.0.2/24 dev wan\n"
	"address add " VIP "/32 dev lo\n"
	"neighbour add " CLIENT " lladdr " CLIENT_MAC " dev lan nud permanent\n"
	"neighbour add " CLIENT_ON_WAN " lladdr " CLIENT_ON_WAN_MAC " dev wan nud permanent\n"
	"route add blackhole 198.51.100.0/24\n";

const char *backend_mac(uint32_t backend)
{
	static const char *const macs[] = {"", "02:00:00:00:00:11", "02:00:00:00:00:12",
					   "02:00:00:00:00:13"};

	return macs[backend];
}

uint32_t backend_interface(uint32_t backend)
{
	return backend == 3 ? world.wan : world.lan;
}

const char *interface_mac(uint32_t ifindex)
{
	return ifindex == world.wan ? WAN_MAC : LAN_MAC;
}

/* Another number than the backend's, so that one cannot be taken for the other. */
uint32_t backend_server(uint32_t backend)
{
	return 10 + backend;
}

const char *backend_address(uint32_t backend)
{
	static const char *const addresses[] = {"", "10.1.0.11", "10.1.0.12", "10.9.0.13"};

	return addresses[backend];
}

uint32_t server_id(uint32_t backend)
{
	return address_bytes(backend_address(backend));
}

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int map_fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

static void map_put(const struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(map_fd(map), key, value, BPF_ANY))
		fail_msg("map %s: %s", bpf_map__name(map), strerror(errno));
}

static void settings_put(const struct before *before)
{
	struct settings settings = {
		.hash_seed = 0x5eed,
		.report_key = {world_key[0], world_key[1]},
		.old_report_key = {world_old_key[0], world_old_key[1]},
		.interfaces = {{.ifindex = world.lan},
			       {.ifindex = before->one_interface ? 0 : world.wan}},
		.vip_places = ~0ULL, /* tests have VIPs of their own */
		.flow_buckets = before->one_bucket ? 1 : BUCKETS,
		.udp_timeout_ticks = FLOW_FINE_TICKS(30),
		.keyed = before->keyed,
		.old_keyed = before->old_keyed,
		.answers_echo = before->answers_echo,
	};
	uint32_t zero = 0;

	mac_parse(LAN_MAC, settings.interfaces[0].mac);
	mac_parse(WAN_MAC, settings.interfaces[1].mac);
	map_put(world.skeleton->maps.settings, &zero, &settings);
}

static void service_entry_put(const char *address, uint8_t protocol, uint16_t port,
			      const struct service *service)
{
	struct service_key key = {.address = ip_address(address)};
	struct service vip = {.protocols = VIP_TCP | VIP_UDP};

	map_put(world.skeleton->maps.services, &key, &vip);
	key.port = htons(port);
	key.protocol = protocol;
	map_put(world.skeleton->maps.services, &key, service);
}

/* The service, and the entry that says that its address is a VIP. */
static void service_put(const struct before *before)
{
	uint32_t stale_after_ms = before->stale_after_ms ? before->stale_after_ms : 1000;
	struct service_key key = {.address = ip_address(VIP)};
	struct service service = {
		.id = SERVICE_ID,
		.ring_size = before->empty_ring ? 0 : RING_SIZE,
		.member_count = before->empty_ring ? 0 : BACKENDS,
		.schedule_size = before->empty_ring ? 0 : SCHEDULE_SIZE,
		.stale_after_ns = stale_after_ms * 1000000ULL,
		.policy = before->policy,
		.signal = before->signal,
		.with_pending = !before->without_pending,
		.all_down = before->all_down,
		.dead_flows = before->dead_flows,
		.feedback = before->no_feedback ? FEEDBACK_NONE : FEEDBACK_IN_BAND,
		.choices = before->choices ? before->choices : CHOICES_MAX,
	};
	struct service vip = {.protocols = VIP_TCP};
	uint32_t id = SERVICE_ID;

	map_put(world.skeleton->maps.services, &key, &vip);
	key.port = htons(VIP_PORT);
	key.protocol = IPPROTO_TCP;
	map_put(world.skeleton->maps.services, &key, &service);
	map_put(world.skeleton->maps.rings, &id, &world.ring);
}

static void choice_state_put(const struct before *before)
{
	struct choice_state state = {.hot = before->hot};
	uint32_t id = SERVICE_ID;

	map_put(world.skeleton->maps.choice_states, &id, &state);
}

static void check_put(const struct before *before)
{
	const uint16_t port = htons(before->check_port);
	const struct check_socket socket = {
		.service = ip_address(VIP),
		.server = ip_address(backend_address(1)),
		.backend = 1,
		.port = htons(VIP_PORT),
	};

	if (before->check_port)
		map_put(world.skeleton->maps.check_sockets, &port, &socket);
}

static void backend_put(const struct before *before, uint32_t number)
{
	uint32_t weight = before->weight[number - 1] ? before->weight[number - 1] : 1;
	uint32_t ifindex = backend_interface(number);
	const struct ip_address vip = ip_address(VIP);
	struct backend backend = {
		.service = SERVICE_ID,
		.server = (uint16_t)backend_server(number),
		.vip = hash_vip(&vip, htons(VIP_PORT), IPPROTO_TCP),
		.cost = COST_ONE / weight,
		.ifindex = before->no_neighbours ? 0 : ifindex,
		.address = ip_address(backend_address(number)),
	};
	struct server server = {
		.index = backend_server(number),
		.mac_known = !before->no_server_macs,
	};
	__be32 id = server_id(number);

	mac_parse(backend_mac(number), backend.mac);
	mac_parse(interface_mac(ifindex), backend.source_mac);
	mac_parse(backend_mac(number), server.mac);
	map_put(world.skeleton->maps.backends, &number, &backend);
	map_put(world.skeleton->maps.servers, &id, &server);
}

void load_read(uint32_t backend, struct load *load)
{
	uint32_t index = backend_server(backend);
	int err = bpf_map_lookup_elem(map_fd(world.skeleton->maps.loads), &index, load);

	assert_int_equal(err, 0);
}

void load_write(uint32_t backend, const struct load *load)
{
	uint32_t index = backend_server(backend);

	map_put(world.skeleton->maps.loads, &index, load);
}

static void load_put(const struct before *before, uint32_t number)
{
	uint32_t i = number - 1;
	struct load load = {
		.in_flight = before->in_flight[i],
		.utilisation = before->utilisation[i],
		.latency = load_report_float_encode(before->latency_us[i]),
		.accept_queue = before->accept_queue[i],
		.flags = before->flags[i],
		.connections_seen = before->seen[i],
		.sequence = before->sequence[i],
		.connections_sent = before->sent[i],
		.connections_lost = before->lost[i],
	};

	if (before->age_ms[i] != NEVER)
		load.received_ns = monotonic_ns() - before->age_ms[i] * 1000000ULL;
	load_write(number, &load);
}

void world_reset(const struct before *before)
{
	const struct balancer_bpf *skeleton = world.skeleton;
	struct bpf_map *const maps[] = {skeleton->maps.services,      skeleton->maps.servers,
					skeleton->maps.backends,      skeleton->maps.loads,
					skeleton->maps.verdicts,      skeleton->maps.backend_stats,
					skeleton->maps.choice_states, skeleton->maps.flow_losses,
					skeleton->maps.healths,	      skeleton->maps.fragments,
					skeleton->maps.doubted,	      skeleton->maps.check_sockets};
	uint32_t i;

	for (i = 0; i < sizeof(maps) / sizeof(*maps); i++)
		assert_int_equal(map_clear(map_fd(maps[i])), 0);
	memset(world.flows, 0, BUCKETS * sizeof(*world.flows));
	settings_put(before);
	service_put(before);
	choice_state_put(before);
	check_put(before);
	for (i = 1; i <= BACKENDS; i++) {
		backend_put(before, i);
		load_put(before, i);
	}
}

void world_add_service(const char *address, uint8_t protocol, uint16_t port)
{
	struct service_key key = {
		.address = ip_address(VIP), .port = htons(VIP_PORT), .protocol = IPPROTO_TCP};
	struct service service;

	assert_int_equal(bpf_map_lookup_elem(map_fd(world.skeleton->maps.services), &key, &service),
			 0);
	service_entry_put(address, protocol, port, &service);
}

void world_spare(uint32_t backend)
{
	struct load load;

	for (uint32_t i = 1; i <= BACKENDS; i++) {
		load_read(i, &load);
		load.in_flight = i == backend ? 2000 : 0;
		load_write(i, &load);
	}
}

/* Each slot of a table of buckets through a function. */
static void walk_buckets(const struct bpf_map *map,
			 uint64_t (*change)(uint64_t slot, void *context), void *context)
{
	struct bucket bucket;

	for (uint32_t i = 0; i < bpf_map__max_entries(map); i++) {
		assert_int_equal(bpf_map_lookup_elem(map_fd(map), &i, &bucket), 0);
		for (int slot = 0; slot < BUCKET_SLOTS; slot++)
			bucket.slot[slot] = change(bucket.slot[slot], context);
		map_put(map, &i, &bucket);
	}
}

static uint64_t count_slot(uint64_t slot, void *count)
{
	*(uint32_t *)count += slot != 0;
	return slot;
}

uint32_t world_flows(void)
{
	uint32_t count = 0;

	walk_buckets(world.skeleton->maps.flows, count_slot, &count);
	return count;
}

void world_forget_flows(void)
{
	assert_int_equal(map_clear(map_fd(world.skeleton->maps.flows)), 0);
}

static uint64_t age_slot(uint64_t slot, void *ticks)
{
	return slot ? (slot & ~0xffffULL) | ((slot - *(uint64_t *)ticks) & 0xffff) : 0;
}

void world_age_fragments(uint32_t ms)
{
	uint64_t ticks = ms * 1000000ULL >> 24;

	walk_buckets(world.skeleton->maps.fragments, age_slot, &ticks);
}

void world_clear_verdicts(void)
{
	assert_int_equal(map_clear(map_fd(world.skeleton->maps.verdicts)), 0);
}

void world_set_too_big(uint32_t mtu)
{
	struct icmp_errors *each = calloc(libbpf_num_possible_cpus(), sizeof(*each));
	uint32_t zero = 0;

	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		each[cpu].mtu = mtu;
	map_put(world.skeleton->maps.icmp_errors, &zero, each);
	free(each);
}

void world_run(uint32_t ifindex, const struct frame *in, struct outcome *outcome)
{
	assert_int_equal(run_xdp(world.program, ifindex, in, outcome), 0);
}

struct segment segment_to_service(void)
{
	return (struct segment){
		.mac_to = LAN_MAC,
		.mac_from = ROUTER_MAC,
		.source = CLIENT,
		.destination = VIP,
		.source_port = world.client_port,
		.destination_port = VIP_PORT,
		.flags = TCP_SYN,
	};
}

uint32_t world_send_frame(const struct frame *frame)
{
	struct outcome outcome;
	uint32_t backend;
	uint8_t mac[6];

	world_run(world.lan, frame, &outcome);
	for (backend = 1; backend <= BACKENDS; backend++) {
		mac_parse(backend_mac(backend), mac);
		if (!memcmp(outcome.frame.bytes, mac, sizeof(mac)))
			return backend;
	}
	return 0;
}

uint32_t world_send(const struct segment *segment)
{
	struct frame frame;

	frame_build(&frame, segment);
	return world_send_frame(&frame);
}

uint64_t verdict_count(enum verdict verdict)
{
	return counter_read(map_fd(world.skeleton->maps.verdicts), verdict);
}

/* The ring, the members and the round-robin schedule, one behind the other. */
static int ring_create(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	uint32_t slot, size = RING_SIZE + BACKENDS + SCHEDULE_SIZE;
	int ring = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 8, size, &options);
	uint64_t backend;

	for (slot = 0; ring >= 0 && slot < size; slot++) {
		backend = 1 + (slot < RING_SIZE ? slot : slot - RING_SIZE) % BACKENDS;
		if (bpf_map_update_elem(ring, &slot, &backend, BPF_ANY))
			return -errno;
	}
	return ring < 0 ? -errno : ring;
}

static int program_load(void)
{
	struct balancer_bpf *skeleton = balancer_bpf__open();

	if (!skeleton)
		return -errno;
	/* Small maps are emptied faster. */
	bpf_map__set_max_entries(skeleton->maps.flows, BUCKETS);
	bpf_map__set_max_entries(skeleton->maps.backends, 32);
	bpf_map__set_max_entries(skeleton->maps.backend_stats, 32);
	bpf_map__set_max_entries(skeleton->maps.loads, 16);
	bpf_map__set_max_entries(skeleton->maps.healths, 32);
	bpf_map__set_max_entries(skeleton->maps.choice_states, 16);
	bpf_map__set_max_entries(skeleton->maps.doubted, 16);
	world.skeleton = skeleton;
	if (balancer_bpf__load(skeleton))
		return -errno;
	world.program = bpf_program__fd(skeleton->progs.balancer);
	world.flows = mmap(NULL, BUCKETS * sizeof(*world.flows), PROT_READ | PROT_WRITE, MAP_SHARED,
			   bpf_map__fd(skeleton->maps.flows), 0);
	return world.flows == MAP_FAILED ? -errno : 0;
}

/* Is the backend taken if it is idle and the others are not? Then it is a candidate. */
static bool flow_has_candidate(const struct segment *segment, uint32_t backend)
{
	struct before before = {.in_flight = {60000, 60000, 60000}};

	before.in_flight[backend - 1] = 0;
	world_reset(&before);
	return world_send(segment) == backend;
}

/* Which candidates a flow has is the balancer's secret: it is found by trying. */
static int find_flow(void)
{
	const struct before hashed = {.policy = POLICY_MAGLEV};
	struct segment segment;

	for (world.client_port = FIRST_PORT; world.client_port < FIRST_PORT + 100;
	     world.client_port++) {
		segment = segment_to_service();
		if (!flow_has_candidate(&segment, 1) || !flow_has_candidate(&segment, 2) ||
		    !flow_has_candidate(&segment, 3))
			continue;
		world_reset(&hashed);
		if (world_send(&segment) == FIRST_CANDIDATE)
			return 0;
	}
	return -ESRCH;
}

static int network_create(void)
{
	int err = network_enter(network);

	if (!err)
		err = network_set("ipv4/conf/all/forwarding", "1");
	world.lan = if_nametoindex("lan");
	world.wan = if_nametoindex("wan");
	world.idle = if_nametoindex("idle");
	return err;
}

static int ring_open(void)
{
	world.ring = ring_create();
	return world.ring < 0 ? world.ring : 0;
}

int world_create(void)
{
	static const struct {
		const char *what;
		int (*create)(void);
	} steps[] = {{"network namespace", network_create},
		     {"balancer program", program_load},
		     {"ring", ring_open},
		     {"a flow with all backends as candidates", find_flow}};
	size_t i;
	int err;

	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		err = steps[i].create();
		if (err) {
			fprintf(stderr, "test: no %s: %s\n", steps[i].what, strerror(-err));
			return err;
		}
	}
	return 0;
}

void world_destroy(void)
{
	munmap(world.flows, BUCKETS * sizeof(*world.flows));
	close(world.ring);
	balancer_bpf__destroy(world.skeleton);
}
