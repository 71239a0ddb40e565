/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * differ [--packets N] [--seed N] [--save DIRECTORY]: runs the balancer's program over generated packets,
 * and asks the oracle what ought to have become of each. Verdict, action, bytes and what is remembered
 * must agree. Speaks TAP; every disagreement is told, with the packet in hex, and the seed that makes it again.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/bpf.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer.skel.h"
#include "hash.h"
#include "packet/balancer_world.h"
#include "packet/harness.h"
#include "shared.h"

#include "generate.h"
#include "oracle.h"

/* The state begins anew so often: before flows push each other out, and before reports are old. */
#define ROUND_PACKETS 2048
#define ROUND_NS 500000000
#define TOLD_MAX 10
#define FLOWS (1 << 13)
#define TO_HOST ORACLE_BACKENDS

/* Which backend a flow has been sent to. */
struct known_flow {
	uint64_t flow; /* 0 = none */
	uint32_t backend;
	int outer; /* of a packet in pieces: its service's */
};

struct differ {
	struct oracle_world world;
	struct generator generator;
	struct known_flow flows[FLOWS];
	struct known_flow pieces[FLOWS]; /* likewise, of packets in pieces; TO_HOST: to none */
	struct load *loads; /* the kernel's */
	uint32_t sequence[ORACLE_BACKENDS]; /* last believed */
	uint64_t verdicts[VERDICT_COUNT]; /* as they should be */
	uint64_t outcomes[OUTCOME_COUNT]; /* of all rounds */
	uint64_t round_ns; /* when this one began */
	uint64_t packets, disagreements, round;
	uint64_t seed; /* of the packet at hand */
};

static const char *const verdict_names[] = {
#define VERDICT_NAME(symbol, name, action, sentence) name,
	VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
};

static int verdict_of(enum oracle_outcome outcome)
{
	for (int i = 0; i < VERDICT_COUNT; i++)
		if (!strcmp(verdict_names[i], oracle_name(outcome)))
			return i;
	return VERDICT_NONE;
}

/* All of them of one service's backends. The VIPs of IPv4 that are left out are the world's. */
#define VIP6_BYTES                                                                                 \
	{                                                                                          \
		0x20, 0x01, 0x0d, 0xb8, [15] = 1                                                   \
	}
#define OWN6_BYTES                                                                                 \
	{                                                                                          \
		0x20, 0x01, 0x0d, 0xb8, [15] = 2                                                   \
	}
#define CLIENT6_BYTES                                                                              \
	{                                                                                          \
		0x20, 0x01, 0x0d, 0xb8, [15] = 3                                                   \
	}
#define FAR_VIP6_BYTES                                                                             \
	{                                                                                          \
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, [15] = 1                                       \
	}
#define EVERY_VIP_BYTES                                                                            \
	{                                                                                          \
		10, 1, 0, 101                                                                      \
	}
static const struct oracle_service services[ORACLE_SERVICES] = {
	{4, {0}, IPPROTO_TCP, VIP_PORT, 0},	 {4, {0}, IPPROTO_UDP, 53, 4},
	{6, VIP6_BYTES, IPPROTO_TCP, 443, 0},	 {6, VIP6_BYTES, IPPROTO_UDP, 443, 6},
	{4, EVERY_VIP_BYTES, IPPROTO_TCP, 0, 0}, {4, EVERY_VIP_BYTES, IPPROTO_TCP, 4040, 6},
	{6, FAR_VIP6_BYTES, IPPROTO_UDP, 0, 4},	 {4, EVERY_VIP_BYTES, IPPROTO_UDP, 0, 4},
};

static void describe_world(struct oracle_world *described)
{
	const char *const clients[] = {CLIENT, CLIENT_ON_WAN}, *const macs[] = {CLIENT_MAC,
										CLIENT_ON_WAN_MAC};
	const char *const own[] = {"10.1.0.2", "10.9.0.2"};
	const uint32_t interfaces[] = {described->ports[0].ifindex, described->ports[1].ifindex};
	uint32_t address = address_bytes(VIP);

	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		described->services[i] = services[i];
	memcpy(described->services[0].address, &address, 4);
	memcpy(described->services[1].address, &address, 4);
	described->neighbours[2] = (struct oracle_neighbour){
		.family = 6, .address = CLIENT6_BYTES, .ifindex = interfaces[0]};
	mac_parse(CLIENT_MAC, described->neighbours[2].mac);
	described->networks[2] = (struct oracle_network){
		.family = 6, .own = OWN6_BYTES, .ifindex = interfaces[0], .mtu = 1500};
	memcpy(described->outer_source, (uint8_t[]){10, 1, 0, 2}, 4);
	memcpy(described->outer_source6, (uint8_t[16]){0xfd, [15] = 0xb1}, 16);
	for (size_t i = 0; i < sizeof(described->key); i++)
		described->key[i] = (uint8_t)i;
	for (int i = 0; i < 2; i++) {
		mac_parse(interface_mac(interfaces[i]), described->ports[i].mac);
		address = address_bytes(clients[i]);
		described->neighbours[i].family = described->networks[i].family = 4;
		memcpy(described->neighbours[i].address, &address, 4);
		mac_parse(macs[i], described->neighbours[i].mac);
		described->neighbours[i].ifindex = interfaces[i];
		address = address_bytes(own[i]);
		memcpy(described->networks[i].own, &address, 4);
		described->networks[i].ifindex = interfaces[i];
		described->networks[i].mtu = 1500;
	}
	for (uint32_t i = 0; i < ORACLE_BACKENDS; i++) {
		struct oracle_backend *backend = &described->backends[i];

		address = server_id(i + 1);
		memcpy(backend->id, &address, 4);
		memcpy(backend->address6, (uint8_t[16]){0xfd, [15] = (uint8_t)(i + 1)}, 16);
		mac_parse(backend_mac(i + 1), backend->mac);
		backend->ifindex = backend_interface(i + 1);
	}
}

static void put(const struct bpf_map *map, const void *key, const void *value)
{
	bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY);
}

/* An address of the oracle's as the data path has it. */
static struct ip_address address_of(int family, const uint8_t *bytes)
{
	struct ip_address address = {{0, 0, htonl(0xFFFF), 0}};

	if (family == 4)
		memcpy(&address.word[3], bytes, 4);
	else
		memcpy(&address, bytes, sizeof(address));
	return address;
}

static void set_outer(const struct oracle_world *described, int outer, uint32_t number,
		      struct backend *backend)
{
	const struct oracle_backend *of = &described->backends[number - 1];

	backend->forward = FORWARD_IPIP;
	backend->address = address_of(outer, outer == 4 ? of->id : of->address6);
	backend->outer_source =
		address_of(outer, outer == 4 ? described->outer_source : described->outer_source6);
}

/* Those of the world's service once more, as backends of another one. */
static void put_backends(const struct oracle_world *described, uint32_t service, uint32_t i,
			 const struct service_key *key)
{
	const struct bpf_map *backends = world.skeleton->maps.backends;
	struct backend backend;

	for (uint32_t number = 1; number <= ORACLE_BACKENDS; number++) {
		uint32_t index = i * ORACLE_BACKENDS + number;

		bpf_map_lookup_elem(bpf_map__fd(backends), &number, &backend);
		backend.service = service;
		backend.vip = hash_vip(&key->address, key->port, key->protocol);
		if (services[i].outer)
			set_outer(described, services[i].outer, number, &backend);
		put(backends, &index, &backend);
	}
}

/* A ring like the world's, but that its backends are those behind the first. */
static int ring_like_world(uint32_t first)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);
	uint64_t backend;
	int ring;

	if (bpf_obj_get_info_by_fd(world.ring, &info, &length))
		return -1;
	ring = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 8, info.max_entries, &options);
	for (uint32_t slot = 0; ring >= 0 && slot < info.max_entries; slot++) {
		bpf_map_lookup_elem(world.ring, &slot, &backend);
		backend += first;
		bpf_map_update_elem(ring, &slot, &backend, BPF_ANY);
	}
	return ring;
}

static void allow_every_port(void)
{
	int map = bpf_map__fd(world.skeleton->maps.settings);
	struct settings settings;
	uint32_t zero = 0;

	bpf_map_lookup_elem(map, &zero, &settings);
	settings.any_port = 1;
	bpf_map_update_elem(map, &zero, &settings, BPF_ANY);
}

static struct service_key key_of(const struct oracle_service *service)
{
	return (struct service_key){
		.address = address_of(service->family, service->address),
		.port = htons(service->port),
		.protocol = service->protocol,
	};
}

/* The entry that says which protocols an address has. */
static void put_vip(const struct oracle_world *described, const struct ip_address *address)
{
	struct service_key key = {.address = *address};
	struct service vip = {0};

	for (uint32_t i = 0; i < ORACLE_SERVICES; i++) {
		struct service_key other = key_of(&described->services[i]);

		if (!memcmp(&other.address, address, sizeof(*address)))
			vip.protocols |= other.protocol == IPPROTO_TCP ? VIP_TCP : VIP_UDP;
	}
	put(world.skeleton->maps.services, &key, &vip);
}

/* Beside the one that the world has: each has backends of its own, as every service has. */
static void add_services(const struct oracle_world *described)
{
	static int rings[ORACLE_SERVICES]; /* 0 = not yet */
	struct service_key key = key_of(&described->services[0]);
	const struct bpf_map *map = world.skeleton->maps.services;
	struct service service;

	if (bpf_map_lookup_elem(bpf_map__fd(map), &key, &service))
		return;
	allow_every_port();
	for (uint32_t i = 0; i < ORACLE_SERVICES; i++) {
		key = key_of(&described->services[i]);
		if (i) {
			service.id++;
			/* Once: the kernel waits for all CPUs at each. */
			if (!rings[i]) {
				rings[i] = ring_like_world(i * ORACLE_BACKENDS);
				put(world.skeleton->maps.rings, &service.id, &rings[i]);
			}
			put_backends(described, service.id, i, &key);
		}
		put(map, &key, &service);
		put_vip(described, &key.address);
	}
}

static void begin_round(struct differ *differ)
{
	struct before before = {.keyed = differ->round % 2, .answers_echo = differ->round % 4 < 2};

	differ->round++;

	world_reset(&before);
	add_services(&differ->world);
	differ->world.keyed = before.keyed;
	differ->world.answers_echo = before.answers_echo;
	memset(differ->flows, 0, sizeof(differ->flows));
	memset(differ->pieces, 0, sizeof(differ->pieces));
	memset(differ->sequence, 0, sizeof(differ->sequence));
	memset(differ->verdicts, 0, sizeof(differ->verdicts));
	differ->round_ns = monotonic_ns();
}

static bool is_newer(void *context, int server, uint32_t sequence)
{
	const struct differ *differ = context;

	return oracle_is_newer(sequence, differ->sequence[server]);
}

static void print_bytes(const char *what, const uint8_t *bytes, size_t length)
{
	printf("#   %s, %zu bytes: ", what, length);
	for (size_t i = 0; i < length; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static void disagree(struct differ *differ, const char *about, const struct generated *in,
		     const struct oracle_verdict *verdict, const struct outcome *outcome)
{
	if (++differ->disagreements > TOLD_MAX)
		return;
	printf("# %s: expected %s, action %" PRIu32 ", %s, seed %#" PRIx64 "\n", about,
	       oracle_name(verdict->outcome), outcome->action,
	       differ->world.keyed ? "keyed" : "not keyed", differ->seed);
	print_bytes("in", in->bytes, in->length);
	print_bytes("out", outcome->frame.bytes, outcome->frame.length);
	print_bytes("expected", verdict->frame, verdict->length);
}

/* The backend that a frame has been sent to, and by which way; -1: none. */
static int backend_of(const struct differ *differ, const struct outcome *outcome)
{
	for (int i = 0; i < ORACLE_BACKENDS; i++)
		if (!memcmp(outcome->frame.bytes, differ->world.backends[i].mac, 6))
			return i;
	return -1;
}

/* Its place in the table, or where it would be. */
static struct known_flow *find_known(const struct known_flow *table, uint64_t number)
{
	uint64_t place = number * 0x9E3779B97F4A7C15 >> 51;

	while (table[place].flow && table[place].flow != number + 1)
		place = (place + 1) % FLOWS;
	return (struct known_flow *)&table[place];
}

/* A packet that is not a SYN goes where its flow has gone before. */
static bool follows_flow(struct differ *differ, const struct oracle_verdict *verdict, int backend)
{
	struct known_flow *known = find_known(differ->flows, verdict->flow);
	uint32_t before = known->backend;

	if (verdict->outcome == OUTCOME_ICMP_STEERED)
		return !known->flow || before == (uint32_t)backend;
	if (!known->flow && verdict->protocol == IPPROTO_TCP && verdict->tcp_flags & 4)
		return true; /* a reset of an unknown flow is not remembered */
	if (!known->flow ||
	    (verdict->protocol == IPPROTO_TCP && (verdict->tcp_flags & 0x16) == 2)) {
		*known = (struct known_flow){verdict->flow + 1, (uint32_t)backend, 0};
		return true;
	}
	return before == (uint32_t)backend;
}

/* In what its backends get it in; the flow label is ours to choose. */
static void wrap(const struct differ *differ, struct oracle_verdict *verdict,
		 const struct oracle_backend *to, const struct outcome *outcome)
{
	int outer = verdict->piece == PIECE_LATER ?
			    find_known(differ->pieces, verdict->packet)->outer :
			    verdict->service->outer;
	uint8_t *ip = verdict->frame + verdict->link;

	if (!outer)
		return;
	oracle_wrap(&differ->world, to, outer, verdict);
	if (outer == 6 && outcome->frame.length == verdict->length) {
		ip[1] |= outcome->frame.bytes[verdict->link + 1] & 0xF;
		memcpy(ip + 2, outcome->frame.bytes + verdict->link + 2, 2);
	}
}

static const char *check_forwarded(struct differ *differ, const struct generated *in,
				   struct oracle_verdict *verdict, const struct outcome *outcome)
{
	int backend = backend_of(differ, outcome);
	const struct oracle_backend *to = &differ->world.backends[backend < 0 ? 0 : backend];
	int out = to->ifindex == differ->world.ports[0].ifindex ? 0 : 1;

	if (backend < 0)
		return "to no backend";
	memcpy(verdict->frame, to->mac, 6);
	memcpy(verdict->frame + 6, differ->world.ports[out].mac, 6);
	verdict->exit = to->ifindex == in->ifindex ? EXIT_BACK : EXIT_OTHER;
	wrap(differ, verdict, to, outcome);
	if (verdict->piece == PIECE_LATER)
		return find_known(differ->pieces, verdict->packet)->backend == (uint32_t)backend ?
			       NULL :
			       "not where the first piece went";
	if (verdict->piece == PIECE_FIRST)
		*find_known(differ->pieces, verdict->packet) = (struct known_flow){
			verdict->packet + 1, (uint32_t)backend, verdict->service->outer};
	return follows_flow(differ, verdict, backend) ? NULL : "not to its flow's backend";
}

/* What the oracle says of pieces holds for those whose first one is not known. */
static void follow_first_piece(struct differ *differ, struct oracle_verdict *verdict)
{
	struct known_flow *known = find_known(differ->pieces, verdict->packet);

	if (verdict->piece == PIECE_FIRST && verdict->outcome == OUTCOME_NOT_OURS)
		*known = (struct known_flow){verdict->packet + 1, TO_HOST, 0};
	if (verdict->piece != PIECE_LATER || !known->flow)
		return;
	verdict->outcome = known->backend == TO_HOST ? OUTCOME_NOT_OURS : OUTCOME_FORWARDED;
	verdict->exit = EXIT_HOST;
}

static const char *check_loads(struct differ *differ, const struct oracle_verdict *verdict)
{
	for (int i = 0; i < ORACLE_BACKENDS; i++) {
		const struct load *load = &differ->loads[backend_server((uint32_t)i + 1)];
		bool told = i == verdict->server && (verdict->outcome == OUTCOME_REPORT_TAKEN);

		if (told || (i == verdict->server && load->sequence == verdict->report.sequence &&
			     (verdict->outcome == OUTCOME_REPORT_RESOLVING ||
			      verdict->outcome == OUTCOME_REPORT_NO_ROUTE) &&
			     oracle_is_newer(load->sequence, differ->sequence[i]))) {
			if (load->in_flight != verdict->report.in_flight ||
			    load->utilisation != verdict->report.utilisation ||
			    load->latency != verdict->report.latency ||
			    load->accept_queue != verdict->report.accept_queue ||
			    load->connections_seen != verdict->report.connections_seen ||
			    load->flags != verdict->report.flags)
				return "load not as reported";
			differ->sequence[i] = verdict->report.sequence;
		}
		if (load->sequence != differ->sequence[i])
			return "a load that should not change, or should";
	}
	return NULL;
}

static const char *check_exit(const struct oracle_verdict *verdict, const struct outcome *outcome)
{
	static const uint32_t actions[] = {
		[EXIT_NOWHERE] = XDP_DROP,
		[EXIT_HOST] = XDP_PASS,
		[EXIT_BACK] = XDP_TX,
		[EXIT_OTHER] = XDP_REDIRECT,
	};
	struct resolve_note note;

	if (outcome->action != actions[verdict->exit])
		return "another action";
	if (verdict->exit != EXIT_NOWHERE &&
	    (outcome->frame.length != verdict->length ||
	     memcmp(outcome->frame.bytes, verdict->frame, verdict->length) != 0))
		return "other bytes";
	if (verdict->outcome != OUTCOME_REPORT_RESOLVING)
		return outcome->note_length ? "a note" : NULL;
	memcpy(&note, outcome->note, sizeof(note));
	return outcome->note_length != sizeof(note) || note.ifindex != verdict->resolve_ifindex ?
		       "another note" :
		       NULL;
}

static const char *check(struct differ *differ, const struct generated *in,
			 struct oracle_verdict *verdict, const struct outcome *outcome)
{
	const char *wrong = NULL;
	int index;

	if (verdict->piece)
		follow_first_piece(differ, verdict);
	index = verdict_of(verdict->outcome);
	if (verdict_count((enum verdict)index) != ++differ->verdicts[index])
		return "another verdict";
	if (verdict->outcome == OUTCOME_FORWARDED || verdict->outcome == OUTCOME_ICMP_STEERED)
		wrong = check_forwarded(differ, in, verdict, outcome);
	if (!wrong)
		wrong = check_exit(verdict, outcome);
	return wrong ? wrong : check_loads(differ, verdict);
}

static int step(struct differ *differ)
{
	struct oracle_verdict verdict;
	struct generated in;
	struct outcome outcome;
	struct frame frame;
	const char *wrong;
	int err;

	if (differ->packets % ROUND_PACKETS == 0 || monotonic_ns() - differ->round_ns > ROUND_NS)
		begin_round(differ);
	differ->packets++;
	differ->seed = differ->generator.state;
	generate(&differ->generator, &in);
	memcpy(frame.bytes, in.bytes, in.length);
	frame.length = in.length;
	err = run_xdp(world.program, in.ifindex, &frame, &outcome);
	if (err)
		return err;
	oracle_judge(&differ->world, in.ifindex, in.bytes, in.length, is_newer, differ, &verdict);
	wrong = check(differ, &in, &verdict, &outcome);
	differ->outcomes[verdict.outcome]++;
	/* Where the machine stood still, an old report may have become believable. */
	if (wrong && monotonic_ns() - differ->round_ns > 2 * ROUND_NS)
		wrong = NULL;
	if (wrong) {
		disagree(differ, wrong, &in, &verdict, &outcome);
		begin_round(differ);
	}
	return 0;
}

/* The world's network is one of IPv4 otherwise. */
static int add_ipv6(void)
{
	static const char lines[] =
		"address add 2001:db8::2/64 dev lan nodad\n"
		"neighbour add 2001:db8::3 lladdr " CLIENT_MAC " dev lan nud permanent\n";

	return network_set("ipv6/conf/all/forwarding", "1") ?: network_change(lines);
}

static int open_world(struct differ *differ)
{
	int loads, err = world_create() ?: add_ipv6();

	if (err)
		return err;
	loads = bpf_map__fd(world.skeleton->maps.loads);
	differ->loads =
		mmap(NULL, bpf_map__max_entries(world.skeleton->maps.loads) * sizeof(struct load),
		     PROT_READ, MAP_SHARED, loads, 0);
	if (differ->loads == MAP_FAILED)
		return -errno;
	differ->world.ports[0].ifindex = world.lan;
	differ->world.ports[1].ifindex = world.wan;
	describe_world(&differ->world);
	differ->generator.world = &differ->world;
	return 0;
}

/* Every way of the packets must have been gone, or nothing has been shown of it. */
static void report(const struct differ *differ, uint64_t began_ns)
{
	double seconds = (double)(monotonic_ns() - began_ns) / 1e9;

	printf("# %" PRIu64 " packets in %.1f s, %.0f a second\n", differ->packets, seconds,
	       (double)differ->packets / seconds);
	printf("%sok 1 - kernel and oracle agree on all packets\n",
	       differ->disagreements ? "not " : "");
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		printf("%sok %d - %s\n", differ->outcomes[i] ? "" : "not ", i + 2, oracle_name(i));
		printf("# %" PRIu64 " times\n", differ->outcomes[i]);
	}
}

static bool all_met(const struct differ *differ)
{
	for (int i = 0; i < OUTCOME_COUNT; i++)
		if (!differ->outcomes[i])
			return false;
	return true;
}

int main(int argc, char **argv)
{
	static struct differ differ;
	static const struct option options[] = {{"packets", required_argument, NULL, 'n'},
						{"seed", required_argument, NULL, 's'},
						{0}};
	uint64_t packets = 100000, began_ns;
	int option, err;

	differ.generator.state = (uint64_t)time(NULL) << 20;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			packets = strtoull(optarg, NULL, 0);
		else if (option == 's')
			differ.generator.state = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	if (geteuid()) {
		puts("1..0 # SKIP BPF programs and network namespaces need root");
		return 0;
	}
	printf("1..%d\n", 1 + OUTCOME_COUNT);
	err = open_world(&differ);
	began_ns = monotonic_ns();
	while (!err && differ.packets < packets)
		err = step(&differ);
	if (err) {
		printf("Bail out! %s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	report(&differ, began_ns);
	world_destroy();
	return differ.disagreements || !all_met(&differ) ? EXIT_FAILURE : EXIT_SUCCESS;
}
