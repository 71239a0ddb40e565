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
#include "meter.h"
#include "packet.h"
#include "server_maps.h"
#include "stamp.h"
#include "utilisation.h"

#define PACKET_HOST 0 /* linux/if_packet.h: addressed to this machine */

static __always_inline int service_exists(const struct server_settings *set, __be32 address,
					  __be16 port)
{
	struct service_key key = {
		.address = address_from_ipv4(address),
		.port = port,
		.protocol = IPPROTO_TCP,
	};
	const struct service_key *place =
		&set->places[hash_place(&key.address, port) & (SERVICE_PLACES - 1)];

	if (place->port == port && ip_address_equal(&place->address, &key.address))
		return 1;
	return set->unplaced && bpf_map_lookup_elem(&services, &key);
}

/* Is it IPv4 and TCP, and whole? Some drivers leave the headers where a program cannot read them directly. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *packet)
{
	__u32 headers = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
	struct ethhdr *eth;
	void *end;

	if ((void *)(long)skb->data + headers > (void *)(long)skb->data_end && skb->len >= headers)
		bpf_skb_pull_data(skb, headers);
	eth = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	return (void *)(eth + 1) <= end && eth->h_proto == bpf_htons(ETH_P_IP) &&
	       parse_link(packet, eth, end, sizeof(*eth)) &&
	       parse_ipv4(packet, end, skb->len) == PARSED_TCP;
}

/* index by value: a loop's counter whose address is taken is lost to the verifier. */
static __always_inline struct peer *peer_get(__u32 index)
{
	return bpf_map_lookup_elem(&peers, &index);
}

/* The balancer that sent the packet, by its MAC address: it lives, and may have sent a new connection. */
static __always_inline void peer_heard(const struct server_settings *settings,
				       const struct packet *packet, int is_new)
{
	__u64 tick = bpf_jiffies64();
	__u32 i;

	for (i = 0; i < BALANCERS_MAX && i < settings->peer_count; i++) {
		struct peer *peer = peer_get(i);

		if (!peer || !peer->mac_known || !mac_equal(peer->mac, packet->eth->h_source))
			continue;
		/* To the tick is enough. Written no more often: the line belongs to all CPUs. */
		if (peer->heard_tick != tick) {
			peer->heard_tick = tick;
			peer->heard_ns = bpf_ktime_get_coarse_ns();
		}
		if (is_new)
			__sync_fetch_and_add(&peer->connections_seen, 1);
		return;
	}
}

SEC("tc")
int server_ingress(struct __sk_buff *skb)
{
	struct server_settings *set;
	struct server_stats *stats;
	struct metrics *load;
	struct packet packet;
	__u32 zero = 0;
	int is_new;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set || skb->pkt_type != PACKET_HOST || !parse(skb, &packet) ||
	    !service_exists(set, packet.ip->daddr, packet.tcp->dest))
		return TC_ACT_UNSPEC;

	load = bpf_map_lookup_elem(&metrics, &zero);
	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!load || !stats)
		return TC_ACT_UNSPEC;
	stats->request_packets++;
	is_new = meter_request(skb, load, stats, &packet, set->meter_buckets);
	peer_heard(set, &packet, is_new);
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
static __always_inline enum skip report(struct __sk_buff *skb, const struct packet *packet,
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
	skip = may_bear(skb, packet, set);
	if (skip == SKIP_STAMPED)
		skip = may_detour(skb, packet, set, peer, response, now);
	if (skip == SKIP_STAMPED)
		skip = stamp(skb, packet, peer, load, set, now);
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

SEC("tc")
int server_egress(struct __sk_buff *skb)
{
	struct server_settings *set;
	struct server_stats *stats;
	struct metrics *load;
	struct packet packet;
	__u32 zero = 0;
	enum response response;
	enum skip skip;
	__u64 now;

	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set || !parse(skb, &packet) ||
	    !service_exists(set, packet.ip->saddr, packet.tcp->source))
		return TC_ACT_UNSPEC;

	load = bpf_map_lookup_elem(&metrics, &zero);
	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!load || !stats)
		return TC_ACT_UNSPEC;
	now = leaving_ns(skb);
	response = meter_response(skb, load, stats, &packet, set->meter_buckets, now);
	count_response(stats, set, skb->gso_segs, packet.length);
	if (!set->peer_count || set->only_polled)
		return TC_ACT_UNSPEC;
	skip = report(skb, &packet, set, load, stats, response, now);
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
	struct measured_services *frame = (void *)(long)measuring->skb->data;
	struct service_key *service;
	__u32 queue;

	if (number >= MEASURED_SERVICES_MAX)
		return 1;
	service = &frame->services[number];
	if ((void *)(service + 1) > (void *)(long)measuring->skb->data_end)
		return 1;
	queue = accept_queue(measuring->skb, service->address.word[3], service->port);
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
