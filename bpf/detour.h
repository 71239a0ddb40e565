/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of a carrier to a balancer behind a router: in an outer header, from this server's own
 * address to that balancer's (RFC 2003, 2473, 4213).
 */
#ifndef PLIMSOLL_DETOUR_H
#define PLIMSOLL_DETOUR_H

#include "checksum.h"
#include "packet.h"
#include "shared.h"

#define OUTER_TTL 64
#define IP_DONT_FRAGMENT 0x4000

static __always_inline int peer_is_ipv4(const struct peer *peer)
{
	return !peer->address.word[0] && !peer->address.word[1];
}

static __always_inline __u32 outer_length(const struct peer *peer)
{
	return peer_is_ipv4(peer) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

static __always_inline long outer_write_ipv4(struct __sk_buff *skb, const struct peer *peer,
					     __u8 protocol)
{
	struct iphdr outer = {
		.version = 4,
		.ihl = sizeof(outer) / 4,
		.tot_len = bpf_htons(skb->len - sizeof(struct ethhdr)),
		.frag_off = bpf_htons(IP_DONT_FRAGMENT),
		.ttl = OUTER_TTL,
		.protocol = protocol,
		.saddr = peer->own.word[3],
		.daddr = peer->address.word[3],
	};

	ip_checksum_write(&outer);
	return bpf_skb_store_bytes(skb, sizeof(struct ethhdr), &outer, sizeof(outer), 0);
}

static __always_inline long outer_write_ipv6(struct __sk_buff *skb, const struct peer *peer,
					     __u8 protocol)
{
	struct ipv6hdr outer = {
		.version = 6,
		.payload_len = bpf_htons(skb->len - sizeof(struct ethhdr) - sizeof(outer)),
		.nexthdr = protocol,
		.hop_limit = OUTER_TTL,
	};

	__builtin_memcpy(&outer.saddr, &peer->own, sizeof(outer.saddr));
	__builtin_memcpy(&outer.daddr, &peer->address, sizeof(outer.daddr));
	return bpf_skb_store_bytes(skb, sizeof(struct ethhdr), &outer, sizeof(outer), 0);
}

/* Puts the carrier, a packet of that version, into its outer header. */
static __always_inline enum skip detour_write(struct __sk_buff *skb, const struct peer *peer,
					      __u8 version)
{
	__u8 protocol = version == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	int by_ipv4 = peer_is_ipv4(peer);
	__be16 ethertype = by_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	__u64 flags = by_ipv4 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
	long err;

	if (bpf_skb_adjust_room(skb, (int)outer_length(peer), BPF_ADJ_ROOM_MAC, flags))
		return SKIP_FAILED;
	err = by_ipv4 ? outer_write_ipv4(skb, peer, protocol) :
			outer_write_ipv6(skb, peer, protocol);
	if (err || bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &ethertype,
				       sizeof(ethertype), 0))
		return SKIP_FAILED;
	return SKIP_STAMPED;
}

#endif
