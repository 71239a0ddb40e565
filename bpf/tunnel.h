/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that a balancer has put into an outer IP header (RFC 2003, 2473, 4213): it is taken off here,
 * without any tunnel device, for all four combinations of the families. Only what comes from where
 * balancers send from, and holds a packet to a VIP of ours, is opened: nobody else gets anything
 * through us. What is not opened stays as it is.
 */
#ifndef PLIMSOLL_TUNNEL_H
#define PLIMSOLL_TUNNEL_H

#include "packet.h"
#include "server_maps.h"

#define ECN_MASK 3
#define ECN_CE 3

static __always_inline int is_tunnel(__u32 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

#define TUNNEL_CLOSED 0
#define TUNNEL_FROM_ANY (BALANCERS_MAX + 1)

/* The number of the balancer, from 1, that sends from there; TUNNEL_FROM_ANY: who it is, is not known. */
static __always_inline int tunnel_origin(const struct server_settings *set,
					 const struct ip_address *source)
{
	__u32 i;

	for (i = 0; i < TUNNEL_ORIGINS_MAX && i < set->tunnel_origin_count; i++) {
		const struct tunnel_origin *origin = &set->tunnel_origins[i];

		if (ip_address_within(source, &origin->address, &origin->mask))
			return origin->peer ? (int)origin->peer : TUNNEL_FROM_ANY;
	}
	return TUNNEL_CLOSED;
}

/* Is that a VIP, and is it not once more a tunnel? */
static __always_inline int tunnel_leads_here(const struct ip_address *destination, __u32 protocol)
{
	struct service_key vip = {.address = *destination};

	return !is_tunnel(protocol) && bpf_map_lookup_elem(&services, &vip);
}

/* The packet that begins so far behind: may it come in? */
static __always_inline int tunnel_holds_ipv4(struct __sk_buff *skb, __u32 offset, __u32 room)
{
	struct ip_address destination;
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5 ||
	    bpf_ntohs(ip.tot_len) > room)
		return 0;
	destination = address_from_ipv4(ip.daddr);
	return tunnel_leads_here(&destination, ip.protocol);
}

static __always_inline int tunnel_holds_ipv6(struct __sk_buff *skb, __u32 offset, __u32 room)
{
	struct ip_address destination;
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6 ||
	    sizeof(ip) + bpf_ntohs(ip.payload_len) > room)
		return 0;
	__builtin_memcpy(&destination, &ip.daddr, sizeof(destination));
	return tunnel_leads_here(&destination, ip.nexthdr);
}

static __always_inline int outer_congestion(const struct packet *outer)
{
	const __u8 *first = (const void *)outer->ip;

	if (outer->version == 4)
		return (outer->ip->tos & ECN_MASK) == ECN_CE;
	return (first[1] >> 4 & ECN_MASK) == ECN_CE;
}

/* Cuts the outer header out. 0, or the packet is as it was or of no more use. */
static __always_inline int tunnel_cut(struct __sk_buff *skb, const struct packet *outer)
{
	__be16 inner =
		outer->to.protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	int length = (int)outer->ip_header_length;
	int changes = (outer->version == 4) != (inner == bpf_htons(ETH_P_IP));

	/*
	 * adjust_room takes a header off, but the kernel would take what is left for the same protocol
	 * (a flag for that came with Linux 6.3). Changing the protocol adds or removes 20 bytes.
	 */
	if (changes) {
		if (bpf_skb_change_proto(skb, inner, 0))
			return -1;
		length += inner == bpf_htons(ETH_P_IP) ? -20 : 20;
	}
	if (bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return -1;
	return changes ? (int)bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &inner,
						  sizeof(inner), 0) :
			 0;
}

/* Of what answers have to leave room for: the longest header that has come. */
static __always_inline void tunnel_remember(struct metrics *load, const struct packet *outer)
{
	__u32 length = outer->version == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	if (load->outer_length < length)
		load->outer_length = length;
}

/* Takes the outer header off. Returns what tunnel_origin() has, or TUNNEL_CLOSED if it is not off. */
static __always_inline int tunnel_open(struct __sk_buff *skb, const struct server_settings *set,
				       struct server_stats *stats, struct metrics *load,
				       const struct packet *outer)
{
	__u32 offset = outer->link_header_length + outer->ip_header_length;
	__u32 room = outer->length - outer->ip_header_length;
	int congestion, from = tunnel_origin(set, &outer->source), mine = 0;

	if (from != TUNNEL_CLOSED && outer->length >= outer->ip_header_length &&
	    outer->length <= skb->len - outer->link_header_length)
		mine = outer->to.protocol == IPPROTO_IPIP ? tunnel_holds_ipv4(skb, offset, room) :
							    tunnel_holds_ipv6(skb, offset, room);
	if (!mine) {
		stats->tunnel_refused++;
		return TUNNEL_CLOSED;
	}
	congestion = outer_congestion(outer);
	tunnel_remember(load, outer);
	if (tunnel_cut(skb, outer))
		return TUNNEL_CLOSED;
	/* RFC 6040: a router's word on the way here is a word to the sender. */
	if (congestion)
		bpf_skb_ecn_set_ce(skb);
	stats->tunnel_packets++;
	return from;
}

#endif
