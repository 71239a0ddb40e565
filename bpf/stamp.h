/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which response packets bear a report, and how it is written into them. The rules keep it
 * harmless: see doc/wire-format.md.
 */
#ifndef PLIMSOLL_STAMP_H
#define PLIMSOLL_STAMP_H

#include "detour.h"
#include "meter.h"
#include "packet.h"
#include "server_load.h"
#include "server_maps.h"
#include "socket.h"
#include "utilisation.h"

#include "load_report.h"

/*
 * 250 reports a second, to all balancers together, are allowed whatever share of the packets they are, and
 * some can be saved up: a server with fewer answers a second than that can tell of each at once. With one in 10 ms, what
 * balancers knew of such a server was 5 ms old, and a server that had become slow was spared twice as late.
 */
#define FREE_REPORT_INTERVAL_NS 4000000ULL
#define FREE_REPORTS_SAVED 8
/* One report, in the currency of server_stats.tokens; and what may be saved up. */
#define REPORT_TOKENS (1 << 16)
#define TOKENS_MAX (4 * REPORT_TOKENS)
/*
 * A packet that somebody waits for, with data or a SYN-ACK, is only taken if none came for so many
 * intervals that can wait: a bare ACK, a FIN, a reset. A lost SYN-ACK costs a second, so this is long.
 */
#define PATIENCE 20

/*
 * What the balancer takes this server's requests to be: what it was told, and what it has sent since. What it
 * sends it knows by itself; only when answers leave, or requests come by others, has it to be told.
 */
static __always_inline __u32 in_flight_believed(const struct peer *peer)
{
	return peer->reported_in_flight + peer->connections_seen - peer->reported_seen;
}

static __always_inline int report_is_free(const struct peer *peer, __u64 now)
{
	return (__s64)(now - peer->free_ns) >= 0;
}

/* Out of both: what is allowed is the share of the packets or what is free, not their sum. */
static __always_inline void report_pay(struct peer *peer, const struct server_settings *settings,
				       struct server_stats *stats, __u64 now)
{
	__u64 interval = settings->peer_count * FREE_REPORT_INTERVAL_NS;
	__u64 saved = now - FREE_REPORTS_SAVED * interval;

	stats->tokens -= stats->tokens < REPORT_TOKENS ? stats->tokens : REPORT_TOKENS;
	if ((__s64)(peer->free_ns - saved) < 0)
		peer->free_ns = saved;
	if (report_is_free(peer, now))
		peer->free_ns += interval;
}

/* SKIP_STAMPED if a report to that balancer is due, and its share of the packets allows it. */
static __always_inline enum skip report_due(const struct peer *peer,
					    const struct server_settings *settings,
					    const struct server_stats *stats,
					    const struct metrics *metrics, __u64 now)
{
	/* A paced packet's time lies ahead: what follows may be older. */
	__s64 since = now - peer->reported_ns;

	if (since < (__s64)settings->min_interval_ns)
		return SKIP_NOT_DUE;
	if (since < (__s64)settings->max_interval_ns &&
	    in_flight_believed(peer) == in_flight_told(metrics, now))
		return SKIP_NOT_DUE;
	if (!peer->mac_known)
		return SKIP_NO_NEIGHBOUR;
	if ((__s64)(now - peer->heard_ns) > (__s64)settings->balancer_silence_ns)
		return SKIP_SILENT_BALANCER;
	if (stats->tokens < REPORT_TOKENS && !report_is_free(peer, now))
		return SKIP_BUDGET;
	return SKIP_STAMPED;
}

/* SKIP_STAMPED if the packet comes at no bad time for its connection. */
static __always_inline enum skip may_detour(struct __sk_buff *skb, const struct packet *packet,
					    const struct server_settings *settings,
					    const struct peer *peer, enum response response,
					    __u64 now)
{
	int patient = now - peer->reported_ns < PATIENCE * settings->min_interval_ns;
	const struct tcp_sock *own;

	/* A reset stands for itself: often it has no connection behind it. */
	if (response == RESPONSE_REFUSAL)
		return SKIP_STAMPED;
	if (packet->tcp_flags & TCP_BIT_SYN) {
		if (response == RESPONSE_REPEATED)
			return SKIP_RETRANSMISSION;
		return patient ? SKIP_HANDSHAKE : SKIP_STAMPED;
	}
	if (packet->payload_length && patient)
		return SKIP_PAYLOAD;
	own = own_socket(skb);
	if (!own)
		return SKIP_NO_SOCKET;
	if (was_sent_before(own, packet))
		return SKIP_RETRANSMISSION;
	/* Behind a segment that is not the last one, the next would overtake it. */
	if (packet->payload_length &&
	    (!(packet->tcp_flags & TCP_BIT_PSH) || !is_last_written(own, packet)))
		return SKIP_NOT_LAST;
	return SKIP_STAMPED;
}

/* SKIP_STAMPED if this packet can bear an option without harm. */
static __always_inline enum skip may_bear(struct __sk_buff *skb, const struct packet *packet,
					  const struct server_settings *settings,
					  const struct peer *peer)
{
	__u32 length = settings->keyed ? LOAD_REPORT_LENGTH_KEYED : LOAD_REPORT_LENGTH;
	__u32 base = sizeof(struct iphdr);

	if (packet->version == 6) {
		base = sizeof(struct ipv6hdr);
		length += LOAD_REPORT_OFFSET_IPV6;
	}
	if (peer->is_far)
		length += outer_length(peer);
	if (skb->gso_size)
		return SKIP_SEGMENTED;
	if (packet->ip_header_length != base)
		return SKIP_OPTIONS;
	if (packet->length + length > settings->mtu)
		return SKIP_MTU;
	return SKIP_STAMPED;
}

/* Of its own for the verifier, which otherwise walks through it once for each way that leads here. */
__attribute__((noinline)) int load_tell(struct metrics *metrics, struct application *application,
					__u64 now, struct load_report *report)
{
	if (!metrics || !application || !report)
		return 0;
	server_load_tell(metrics, application, now, report);
	return 1;
}

static __always_inline void report_fill(struct load_report *report, struct peer *peer,
					struct metrics *metrics, struct application *application,
					const struct server_settings *settings, __u64 now)
{
	load_tell(metrics, application, now, report);
	report->server_id = settings->server_id;
	report->sequence = __sync_fetch_and_add(&peer->sequence, 1) + 1;
	report->connections_seen = peer->connections_seen;
	report->flags |= (settings->keyed ? LOAD_REPORT_KEYED : 0) |
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
static __always_inline enum skip stamp_ipv4(struct __sk_buff *skb, const struct load_report *report,
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

/* The extension header of an IPv6 carrier: wire/load_report.h. */
struct report_header {
	__u8 next_header;
	__u8 length; /* in units of 8 bytes, the first not counted */
	__u8 padding[6];
	struct load_report_option option;
};

/* Likewise. The transport's checksum goes over none of it. */
static __always_inline enum skip stamp_ipv6(struct __sk_buff *skb, const struct load_report *report,
					    const struct server_settings *settings,
					    const struct peer *peer)
{
	struct load_report_key key = {{settings->report_key[0], settings->report_key[1]}};
	struct report_header header = {.padding = {1, 4}};
	__u32 length = LOAD_REPORT_OFFSET_IPV6 + LOAD_REPORT_LENGTH;
	struct ethhdr *eth;
	struct ipv6hdr *ip;
	void *end;

	load_report_encode(&header.option, report);
	load_report_to_ipv6(&header.option);
	if (settings->keyed)
		length = sizeof(header);
	if (bpf_skb_adjust_room(skb, (int)length, BPF_ADJ_ROOM_NET, 0))
		return SKIP_FAILED;
	eth = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end)
		return SKIP_FAILED;
	if (settings->keyed)
		header.option.tag =
			load_report_tag_ipv6(&header.option, &key, &ip->saddr, &ip->daddr);
	header.next_header = ip->nexthdr;
	header.length = length / 8 - 1;
	ip->nexthdr = IPPROTO_DSTOPTS;
	ip->payload_len = bpf_htons(bpf_ntohs(ip->payload_len) + length);
	mac_copy(eth->h_dest, peer->mac);
	if (settings->keyed)
		return bpf_skb_store_bytes(skb, sizeof(*eth) + sizeof(*ip), &header, sizeof(header),
					   0) ?
			       SKIP_FAILED :
			       SKIP_STAMPED;
	return bpf_skb_store_bytes(skb, sizeof(*eth) + sizeof(*ip), &header,
				   LOAD_REPORT_OFFSET_IPV6 + LOAD_REPORT_LENGTH, 0) ?
		       SKIP_FAILED :
		       SKIP_STAMPED;
}

/*
 * Writes a report to that balancer into the packet, all being decided. Of its own for the verifier, and for
 * the stack. Returns enum skip.
 */
__noinline int stamp(struct __sk_buff *skb, struct packet *packet, struct peer *peer, __u64 now)
{
	struct server_settings *set;
	struct load_report report = {};
	struct application *told;
	struct metrics *load;
	__u32 zero = 0;
	enum skip skip;
	__u64 last;

	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	told = bpf_map_lookup_elem(&application, &zero);
	if (!packet || !peer || !set || !load || !told)
		return SKIP_FAILED;
	/* One CPU reports, the others go on. */
	last = peer->reported_ns;
	if (__sync_val_compare_and_swap(&peer->reported_ns, last, now) != last)
		return SKIP_NOT_DUE;
	load->accept_queue = accept_queue(skb, &packet->source, packet->source_port);
	report_fill(&report, peer, load, told, set, now);
	skip = packet->version == 4 ? stamp_ipv4(skb, &report, set, peer) :
				      stamp_ipv6(skb, &report, set, peer);
	if (skip == SKIP_STAMPED && peer->is_far)
		skip = detour_write(skb, peer, packet->version);
	if (skip == SKIP_STAMPED) {
		__sync_fetch_and_add(&peer->reports, 1);
		__sync_fetch_and_add(&peer->report_bytes, skb->len);
	}
	return skip;
}

#endif
