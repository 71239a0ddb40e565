/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which response packets bear a report, and how it is written into them. The rules keep it
 * harmless: see doc/wire-format.md.
 */
#ifndef PLIMSOLL_STAMP_H
#define PLIMSOLL_STAMP_H

#include "meter.h"
#include "packet.h"
#include "server_maps.h"
#include "utilisation.h"

#include "load_report.h"

/* So many reports per second are allowed whatever share of the packets they are. */
#define FREE_REPORT_INTERVAL_NS 10000000ULL
/* One report, in the currency of server_stats.tokens; and what may be saved up. */
#define REPORT_TOKENS (1 << 16)
#define TOKENS_MAX (4 * REPORT_TOKENS)
/* A packet with data is only taken if none without came for so many intervals. */
#define PAYLOAD_PATIENCE 2

/* What of the kernel's sockets is read; where it is, is found out at load time. */
struct sock {
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
} __attribute__((preserve_access_index));

struct inet_sock {
	struct sock sk;
} __attribute__((preserve_access_index));

struct inet_connection_sock {
	struct inet_sock icsk_inet;
} __attribute__((preserve_access_index));

struct tcp_sock {
	struct inet_connection_sock inet_conn;
} __attribute__((preserve_access_index));

/* How full the listener's queue is, 65535 = full. */
static __always_inline __u32 accept_queue(struct __sk_buff *skb, __be32 address, __be16 port)
{
	struct bpf_sock_tuple tuple = {
		.ipv4.daddr = address, /* a client of 0.0.0.0:0 has no connection: the listener's */
		.ipv4.dport = port,
	};
	struct sock_common *found;
	struct tcp_sock *listener;
	__u32 queued = 0, room = 0;

	found = (void *)bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!found)
		return 0;
	listener = bpf_skc_to_tcp_sock(found);
	if (listener) {
		queued = listener->inet_conn.icsk_inet.sk.sk_ack_backlog;
		room = listener->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	}
	bpf_sk_release((void *)found);
	if (!room)
		return 0;
	return queued < room ? queued * 65535U / room : 65535;
}

/* SKIP_STAMPED if a report to that balancer is due, and its share of the packets allows it. */
static __always_inline enum skip report_due(const struct peer *peer,
					    const struct server_settings *settings,
					    const struct metrics *metrics,
					    const struct server_stats *stats, __u64 now)
{
	__u64 since = now - peer->reported_ns;

	if (since < settings->min_interval_ns)
		return SKIP_NOT_DUE;
	if (since < settings->max_interval_ns && peer->reported_seen == peer->connections_seen &&
	    peer->reported_in_flight == (__u32)metrics->in_flight)
		return SKIP_NOT_DUE;
	if (!peer->mac_known)
		return SKIP_NO_NEIGHBOUR;
	if (now - peer->heard_ns > settings->balancer_silence_ns)
		return SKIP_SILENT_BALANCER;
	if (since < FREE_REPORT_INTERVAL_NS && stats->tokens < REPORT_TOKENS)
		return SKIP_BUDGET;
	return SKIP_STAMPED;
}

/* New data and bare ACKs stand at snd_nxt or beyond; what was sent before stands below. */
static __always_inline enum skip retransmitted(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk)
		return SKIP_NO_SOCKET;
	tcp = bpf_tcp_sock(sk);
	if (!tcp)
		return SKIP_NO_SOCKET;
	return (__s32)(bpf_ntohl(packet->tcp->seq) - tcp->snd_nxt) < 0 ? SKIP_RETRANSMISSION :
									 SKIP_STAMPED;
}

/* SKIP_STAMPED if this packet can bear an option without harm. */
static __always_inline enum skip may_bear(struct __sk_buff *skb, const struct packet *packet,
					  const struct server_settings *settings,
					  const struct peer *peer, int is_repeated_syn_ack,
					  __u64 now)
{
	__u32 length = settings->keyed ? LOAD_REPORT_LENGTH_KEYED : LOAD_REPORT_LENGTH;

	if (skb->gso_size)
		return SKIP_SEGMENTED;
	if (packet->ip_header_length != sizeof(*packet->ip))
		return SKIP_OPTIONS;
	if (packet->length + length > settings->mtu)
		return SKIP_MTU;
	/* Behind a segment that is not the last one, the next would overtake it. */
	if (packet->payload_length &&
	    (!packet->tcp->psh ||
	     now - peer->reported_ns < PAYLOAD_PATIENCE * settings->min_interval_ns))
		return SKIP_PAYLOAD;
	if (packet->tcp->syn)
		return is_repeated_syn_ack ? SKIP_RETRANSMISSION : SKIP_STAMPED;
	return retransmitted(skb, packet);
}

static __always_inline void report_fill(struct load_report *report, struct peer *peer,
					const struct metrics *metrics,
					const struct server_settings *settings, __u64 now)
{
	__s64 in_flight = metrics->in_flight;

	report->server_id = settings->server_id;
	report->sequence = __sync_fetch_and_add(&peer->sequence, 1) + 1;
	report->connections_seen = peer->connections_seen;
	report->in_flight = in_flight < 0 ? 0 : in_flight > 65535 ? 65535 : in_flight;
	report->utilisation = metrics->utilisation;
	report->latency = load_report_float_encode(metrics->latency_us_x8 >> LATENCY_WEIGHT_SHIFT);
	report->accept_queue = metrics->accept_queue;
	report->flags = (settings->keyed ? LOAD_REPORT_KEYED : 0) |
			(now < settings->restarted_until_ns ? LOAD_REPORT_RESTARTED : 0);
	peer->reported_seen = report->connections_seen;
	peer->reported_in_flight = report->in_flight;
}

/* Checksum of a header with the option behind it. */
static __always_inline void option_checksum_write(struct iphdr *ip,
						  struct load_report_option *option, __u32 length)
{
	__u16 *word = (__u16 *)ip;
	__u32 sum;
	int i;

	ip->check = 0;
	sum = bpf_csum_diff(0, 0, (__be32 *)option, length, 0);
	sum = (sum & 0xFFFF) + (sum >> 16);
#pragma unroll
	for (i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xFFFF) + (sum >> 16);
	ip->check = ~((sum & 0xFFFF) + (sum >> 16));
}

/* Makes room, writes the option, and turns the packet to the balancer. */
static __always_inline enum skip stamp_write(struct __sk_buff *skb,
					     const struct load_report *report,
					     const struct server_settings *settings,
					     const struct peer *peer)
{
	struct load_report_key key = {{settings->report_key[0], settings->report_key[1]}};
	struct load_report_option option = {};
	struct ethhdr *eth;
	struct iphdr *ip;
	void *end;

	load_report_encode(&option, report);
	if (bpf_skb_adjust_room(skb, option.length, BPF_ADJ_ROOM_NET, 0))
		return SKIP_FAILED;
	eth = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return SKIP_FAILED;
	if (settings->keyed)
		option.tag = load_report_tag_ipv4(&option, &key, ip->saddr, ip->daddr);
	ip->ihl = (sizeof(*ip) + option.length) / 4;
	ip->tot_len = bpf_htons(bpf_ntohs(ip->tot_len) + option.length);
	option_checksum_write(ip, &option, option.length);
	mac_copy(eth->h_dest, peer->mac);
	if (option.length == LOAD_REPORT_LENGTH_KEYED)
		return bpf_skb_store_bytes(skb, sizeof(*eth) + sizeof(*ip), &option,
					   LOAD_REPORT_LENGTH_KEYED, 0) ?
			       SKIP_FAILED :
			       SKIP_STAMPED;
	return bpf_skb_store_bytes(skb, sizeof(*eth) + sizeof(*ip), &option, LOAD_REPORT_LENGTH,
				   0) ?
		       SKIP_FAILED :
		       SKIP_STAMPED;
}

/* Writes a report to that balancer into the packet, all being decided. */
static __always_inline enum skip stamp(struct __sk_buff *skb, const struct packet *packet,
				       struct peer *peer, struct metrics *metrics,
				       const struct server_settings *settings, __u64 now)
{
	__u64 last = peer->reported_ns;
	struct load_report report;
	enum skip skip;

	/* One CPU reports, the others go on. */
	if (__sync_val_compare_and_swap(&peer->reported_ns, last, now) != last)
		return SKIP_NOT_DUE;
	utilisation_update(metrics, settings->cpu_count, now);
	metrics->accept_queue = accept_queue(skb, packet->ip->saddr, packet->tcp->source);
	report_fill(&report, peer, metrics, settings, now);
	skip = stamp_write(skb, &report, settings, peer);
	if (skip == SKIP_STAMPED) {
		__sync_fetch_and_add(&peer->reports, 1);
		__sync_fetch_and_add(&peer->report_bytes, skb->len);
	}
	return skip;
}

#endif
