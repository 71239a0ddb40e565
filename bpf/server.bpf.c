// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The server: what comes in for a service is metered; what goes out is metered too, and now and
 * then bears a report and goes by way of a balancer. Nothing else is touched, and nothing is ever dropped.
 */
#include "shared.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PACKETS_OF_TC
#include "clamp.h"
#include "meter.h"
#include "packet.h"
#include "server_maps.h"
#include "stamp.h"
#include "tunnel.h"
#include "utilisation.h"

#define PACKET_HOST 0 /* linux/if_packet.h: addressed to this machine */

static __always_inline int service_is(const struct server_settings *set,
				      const struct service_key *key)
{
	const struct service_key *place =
		&set->places[hash_place(&key->address, key->port) & (SERVICE_PLACES - 1)];

	if (place->port == key->port && place->protocol == key->protocol &&
	    ip_address_equal(&place->address, &key->address))
		return 1;
	return set->unplaced && bpf_map_lookup_elem(&services, key);
}

/* Also one of every port. key is as before afterwards. */
static __always_inline int service_exists(const struct server_settings *set,
					  struct service_key *key)
{
	__be16 port = key->port;
	int is;

	if (service_is(set, key))
		return 1;
	if (!set->any_port)
		return 0;
	key->port = 0;
	is = service_is(set, key);
	key->port = port;
	return is;
}

/* Some drivers leave the headers where a program cannot read them directly. */
static __always_inline enum parse_result parse(struct __sk_buff *skb, struct packet *packet)
{
	__u32 headers = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
	enum parse_result parsed;
	struct ethhdr *eth;
	void *end;

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		headers += sizeof(struct ipv6hdr) - sizeof(struct iphdr);
	if ((void *)(long)skb->data + headers > (void *)(long)skb->data_end && skb->len >= headers)
		bpf_skb_pull_data(skb, headers);
	eth = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if ((void *)(eth + 1) > end || !parse_link(packet, eth, end, sizeof(*eth)))
		return PARSED_NOT_IP;
	/* The kernel has taken the VLAN tag off already, or has not put it on yet. */
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		parsed = parse_ipv4(packet, end, skb->len);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		parsed = parse_ipv6(skb, packet, end, skb->len);
	else
		return PARSED_NOT_IP;
	if (parsed != PARSED_TCP)
		return parsed;
	packet->sequence = bpf_ntohl(packet->tcp->seq);
	packet->acknowledged = bpf_ntohl(packet->tcp->ack_seq);
	return PARSED_TCP;
}

/* index by value: a loop's counter whose address is taken is lost to the verifier. */
static __always_inline struct peer *peer_get(__u32 index)
{
	return bpf_map_lookup_elem(&peers, &index);
}

/* Did the balancer of that number send the packet? By its outer header, or else by its MAC address. */
static __always_inline int peer_sent(const struct peer *peer, __u32 number, const __u8 *mac,
				     __u32 tunnel)
{
	if (tunnel == number)
		return 1;
	return (tunnel == TUNNEL_CLOSED || tunnel == TUNNEL_FROM_ANY) && peer->mac_known &&
	       !peer->is_far && mac_equal(peer->mac, mac);
}

/* Has the first balancer, and often there is no other, sent this, and something before in this tick? */
static __always_inline int is_heard(const struct packet *packet, __u32 tunnel)
{
	const struct peer *peer = peer_get(0);

	return peer && peer->heard_tick == bpf_jiffies64() &&
	       peer_sent(peer, 1, packet->eth->h_source, tunnel);
}

/*
 * The balancer that sent the packet lives, and may have sent a new connection. tunnel: what
 * take_off_tunnel() has told. Of its own for the verifier, which otherwise walks through the loop once
 * for each way that leads here.
 */
__noinline int peer_heard(struct __sk_buff *skb, __u32 tunnel, int is_new)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	__u64 tick = bpf_jiffies64();
	struct server_settings *set;
	__u32 zero = 0, i;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set || (void *)(eth + 1) > (void *)(long)skb->data_end)
		return 0;
	for (i = 0; i < BALANCERS_MAX && i < set->peer_count; i++) {
		struct peer *peer = peer_get(i);

		if (!peer || !peer_sent(peer, i + 1, eth->h_source, tunnel))
			continue;
		/* To the tick is enough. Written no more often: the line belongs to all CPUs. */
		if (peer->heard_tick != tick) {
			peer->heard_tick = tick;
			peer->heard_ns = bpf_ktime_get_coarse_ns();
		}
		if (is_new)
			__sync_fetch_and_add(&peer->connections_seen, 1);
		return 1;
	}
	return 0;
}

/*
 * A packet in an outer header: takes that off. Returns whose it was, or TUNNEL_CLOSED if it is still there.
 * Of its own for the verifier, and because most servers never see one.
 */
__noinline int take_off_tunnel(struct __sk_buff *skb)
{
	struct server_settings *set;
	struct server_stats *stats;
	struct metrics *load;
	struct packet packet;
	__u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!set || !load || !stats || parse(skb, &packet) != PARSED_OTHER)
		return TUNNEL_CLOSED;
	return tunnel_open(skb, set, stats, load, &packet);
}

SEC("tc")
int server_ingress(struct __sk_buff *skb)
{
	__u32 tunnel = TUNNEL_CLOSED, zero = 0;
	struct server_settings *set;
	struct server_stats *stats;
	enum parse_result parsed;
	struct packet packet;
	int is_new = 0, turn;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set || skb->pkt_type != PACKET_HOST)
		return TC_ACT_UNSPEC;
#pragma nounroll
	for (turn = 0; turn < 2; turn++) {
		parsed = parse(skb, &packet);
		if (parsed != PARSED_OTHER || !is_tunnel(packet.to.protocol) || turn)
			break;
		tunnel = take_off_tunnel(skb);
		if (tunnel == TUNNEL_CLOSED)
			break;
	}
	if (!is_parsed(parsed) || !service_exists(set, &packet.to))
		return TC_ACT_UNSPEC;

	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!stats)
		return TC_ACT_UNSPEC;
	stats->request_packets++;
	/* Without connections there is nothing to meter. */
	if (parsed == PARSED_TCP && says_something(&packet))
		is_new = meter_request(skb, &packet);
	else if (is_heard(&packet, tunnel))
		return TC_ACT_UNSPEC;
	peer_heard(skb, tunnel, is_new);
	return TC_ACT_UNSPEC;
}

/* The first balancer that is due for a report; NULL if none is, and then *skip says why not. */
static __always_inline struct peer *peer_due(const struct server_settings *set,
					     const struct server_stats *stats,
					     const struct metrics *load, __u64 now, enum skip *skip)
{
	__u32 i;

	*skip = SKIP_NOT_DUE;
	for (i = 0; i < BALANCERS_MAX && i < set->peer_count; i++) {
		struct peer *peer = peer_get(i);

		if (!peer)
			break;
		*skip = report_due(peer, set, stats, load, now);
		if (*skip == SKIP_STAMPED)
			return peer;
	}
	return 0;
}

/* What becomes of the report that this packet might bear. */
static __always_inline enum skip report(struct __sk_buff *skb, struct packet *packet,
					struct server_settings *set, struct metrics *load,
					struct server_stats *stats, enum response response,
					__u64 now)
{
	struct peer *peer;
	enum skip skip;

	peer = peer_due(set, stats, load, now, &skip);
	if (!peer)
		return skip;
	now = bpf_ktime_get_ns();
	utilisation_update(load, set, UTILISATION_WINDOW_NS, now);
	skip = may_bear(skb, packet, set, peer);
	if (skip == SKIP_STAMPED)
		skip = may_detour(skb, packet, set, peer, response, now);
	if (skip == SKIP_STAMPED)
		skip = stamp(skb, packet, peer, now);
	if (skip == SKIP_STAMPED)
		report_pay(peer, set, stats, now);
	return skip;
}

/* Each response packet earns its share of a report; a GSO packet is as many as it will be cut into. */
static __always_inline void count_response(struct server_stats *stats,
					   const struct server_settings *set, __u32 segments,
					   __u32 length)
{
	segments = segments ? segments : 1;
	stats->response_packets += segments;
	stats->response_bytes += length;
	stats->tokens += (__s64)segments * set->max_share;
	if (stats->tokens > TOKENS_MAX)
		stats->tokens = TOKENS_MAX;
}

/*
 * When the packet leaves. TCP has looked at the clock already, and has left the time in its packets;
 * those of no socket have none.
 */
static __always_inline __u64 leaving_ns(const struct __sk_buff *skb)
{
	__u64 time = skb->tstamp;

	return time ? time : bpf_ktime_get_ns();
}

/* Leaves room for the outer header that the client's packets will come in. */
static __always_inline void clamp(struct __sk_buff *skb, const struct server_settings *set,
				  const struct metrics *load, const struct packet *packet)
{
	__u32 base = packet->version == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	__u32 headers = load->outer_length + base + sizeof(struct tcphdr);

	if (set->mtu > headers)
		mss_clamp(skb, packet->link_header_length + packet->ip_header_length,
			  packet->length - packet->ip_header_length - packet->payload_length,
			  set->mtu - headers);
}

/*
 * A packet that was dropped here would cost its connection: the kernel forgets a handshake whose answer it
 * could not send. So it comes back, as a frame to somebody else's address, of which no host takes notice.
 */
static __always_inline int withhold(const struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

SEC("tc")
int server_egress(struct __sk_buff *skb)
{
	enum response response = RESPONSE_USUAL;
	struct server_settings *set;
	enum parse_result parsed;
	struct server_stats *stats;
	struct metrics *load;
	struct packet packet;
	struct service_key from;
	__u32 zero = 0;
	enum skip skip;
	__u64 now;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set)
		return TC_ACT_UNSPEC;
	parsed = parse(skb, &packet);
	if (!is_parsed(parsed))
		return TC_ACT_UNSPEC;
	from = (struct service_key){
		.address = packet.source,
		.port = packet.source_port,
		.protocol = packet.to.protocol,
	};
	if (!service_exists(set, &from))
		return TC_ACT_UNSPEC;

	load = bpf_map_lookup_elem(&metrics, &zero);
	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!load || !stats)
		return TC_ACT_UNSPEC;
	now = leaving_ns(skb);
	count_response(stats, set, skb->gso_segs, packet.length);
	if (parsed != PARSED_TCP)
		return TC_ACT_UNSPEC;
	if (says_something(&packet))
		response = meter_response(skb, &packet, now);
	if (response == RESPONSE_WITHHELD) {
		stats->skips[SKIP_WITHHELD]++;
		return withhold(skb);
	}
	if (load->outer_length && packet.tcp_flags & TCP_BIT_SYN)
		clamp(skb, set, load, &packet);
	if (!set->peer_count || set->only_polled)
		return TC_ACT_UNSPEC;
	skip = report(skb, &packet, set, load, stats, response, now);
	/* Once: of a copy the verifier would not know that it has been compared. */
	asm volatile("" : "+r"(skip));
	if (skip < SKIP_COUNT)
		stats->skips[skip]++;
	return TC_ACT_UNSPEC;
}

struct measuring {
	struct __sk_buff *skb;
	__u32 fullest; /* accept queue */
};

/* For bpf_loop(): the accept queue of the frame's number-th service. */
static long measure_queue(__u32 number, struct measuring *measuring)
{
	__u32 offset =
		offsetof(struct measured_services, services) + number * sizeof(struct service_key);
	struct service_key service;
	__u32 queue;

	if (bpf_skb_load_bytes(measuring->skb, offset, &service, sizeof(service)))
		return 1;
	queue = accept_queue(measuring->skb, &service.address, service.port);
	if (queue > measuring->fullest)
		measuring->fullest = queue;
	return 0;
}

/*
 * What reports bring up to date on their way, for the agent, which answers without one: it runs this
 * by BPF_PROG_TEST_RUN over a frame that names the services. To walk through the map of them would
 * take 60 us, so many buckets has it. Of type tc, since only to that listeners can be seen.
 */
SEC("tc")
int server_measure(struct __sk_buff *skb)
{
	struct measuring measuring = {.skb = skb};
	struct server_settings *set;
	struct metrics *load;
	__u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	if (!set || !load)
		return TC_ACT_UNSPEC;
	utilisation_update(load, set, UTILISATION_WINDOW_NS, bpf_ktime_get_ns());
	bpf_loop(MEASURED_SERVICES_MAX, measure_queue, &measuring, 0);
	load->accept_queue = measuring.fullest;
	return TC_ACT_UNSPEC;
}

/* Attached only where the kernel's own books of idle time are not to be found. */
SEC("tp_btf/sched_switch")
int BPF_PROG(server_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();
	struct server_settings *set;
	struct metrics *load;
	__u32 zero = 0;

	cpu_switch(next->pid == 0, now);
	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	if (set && load)
		utilisation_update(load, set, UTILISATION_IDLE_WINDOW_NS, now);
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(server_interrupt, unsigned int vector)
{
	cpu_interrupt(1);
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(server_resume, unsigned int vector)
{
	cpu_interrupt(0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
