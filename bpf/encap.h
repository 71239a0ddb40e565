/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A client's packet inside one to the backend's own address: IPv4 in IPv4 (RFC 2003), IPv6 in IPv6 and
 * IPv4 in IPv6 (RFC 2473), IPv6 in IPv4 (RFC 4213). The client's packet is not touched.
 *
 * Of it, the outer header takes the traffic class with its ECN bits (RFC 6040), and in IPv4 whether it may
 * be fragmented, with its identification if so. An IPv6 packet may not. The outer flow label
 * is of the flow.
 */
#ifndef PLIMSOLL_ENCAP_H
#define PLIMSOLL_ENCAP_H

#include "checksum.h"
#include "packet.h"

#define OUTER_TTL 64
#define IP_DONT_FRAGMENT 0x4000
#define FLOW_LABEL_MASK 0x000FFFFF

/* What the outer header needs to know of the inner packet. */
struct inner {
	__be16 id;
	__be16 fragment; /* DF, or nothing */
	__u16 length;
	__u8 protocol; /* IPPROTO_IPIP or IPPROTO_IPV6 */
	__u8 traffic_class;
};

/* Returns 0 if it is there. */
static __always_inline int inner_read(struct inner *inner, const struct iphdr *ip, const void *end)
{
	const struct ipv6hdr *ip6 = (const void *)ip;

	if ((const void *)(ip + 1) > end)
		return -1;
	if (ip->version == 4) {
		inner->protocol = IPPROTO_IPIP;
		inner->traffic_class = ip->tos;
		inner->length = bpf_ntohs(ip->tot_len);
		inner->fragment = ip->frag_off & bpf_htons(IP_DONT_FRAGMENT);
		inner->id = ip->id;
		return 0;
	}
	if ((const void *)(ip6 + 1) > end)
		return -1;
	inner->protocol = IPPROTO_IPV6;
	inner->traffic_class = bpf_ntohs(*(const __be16 *)ip6) >> 4;
	inner->length = bpf_ntohs(ip6->payload_len) + sizeof(*ip6);
	inner->fragment = bpf_htons(IP_DONT_FRAGMENT);
	inner->id = 0;
	return 0;
}

static __always_inline void write_ipv4(struct iphdr *outer, const struct inner *inner,
				       const struct backend *backend, __u32 hash)
{
	__be32 source = backend->outer_source.word[3];

	if (backend->varied)
		source |= bpf_htonl(hash & OUTER_SOURCE_IPV4_MASK);
	*outer = (struct iphdr){
		.version = 4,
		.ihl = sizeof(*outer) / 4,
		.tos = inner->traffic_class,
		.tot_len = bpf_htons(inner->length + sizeof(*outer)),
		.id = inner->id,
		.frag_off = inner->fragment,
		.ttl = OUTER_TTL,
		.protocol = inner->protocol,
		.saddr = source,
		.daddr = backend->address.word[3],
	};
	ip_checksum_write(outer);
}

static __always_inline void write_ipv6(struct ipv6hdr *outer, const struct inner *inner,
				       const struct backend *backend, __u32 hash)
{
	*(__be32 *)outer =
		bpf_htonl(6U << 28 | (__u32)inner->traffic_class << 20 | (hash & FLOW_LABEL_MASK));
	outer->payload_len = bpf_htons(inner->length);
	outer->nexthdr = inner->protocol;
	outer->hop_limit = OUTER_TTL;
	__builtin_memcpy(&outer->saddr, &backend->outer_source, sizeof(outer->saddr));
	__builtin_memcpy(&outer->daddr, &backend->address, sizeof(outer->daddr));
	if (backend->varied)
		outer->saddr.s6_addr32[2] = hash;
}

/* VLAN tags are the link's: they stand before the outer header then. */
static __always_inline int move_tags(struct xdp_md *xdp, __u32 from, __u32 tags_length)
{
	__u8 tags[VLAN_TAGS_MAX * sizeof(struct vlan_header)];

	if (tags_length == sizeof(tags))
		return bpf_xdp_load_bytes(xdp, from, tags, sizeof(tags)) ||
		       bpf_xdp_store_bytes(xdp, ETH_HLEN, tags, sizeof(tags));
	return bpf_xdp_load_bytes(xdp, from, tags, sizeof(struct vlan_header)) ||
	       bpf_xdp_store_bytes(xdp, ETH_HLEN, tags, sizeof(struct vlan_header));
}

static __always_inline __u32 outer_header_length(const struct backend *backend)
{
	return is_ipv4(&backend->address) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/*
 * Makes the packet one to the backend, from us on. Of its own for the verifier: it knows the packet's
 * headers again only by their offset. Returns 0 if it has.
 */
__noinline int encapsulate(struct xdp_md *xdp, const struct backend *backend, __u64 hash,
			   __u32 link_header_length)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct iphdr *ip = data + (link_header_length & LINK_HEADER_MASK);
	__be16 family = bpf_htons(ETH_P_IP), type;
	__u32 outer_length = sizeof(struct iphdr);
	struct inner inner;
	struct ethhdr *eth = data;
	void *outer;

	if (!backend || (void *)(eth + 1) > end || inner_read(&inner, ip, end))
		return -1;
	type = eth->h_proto;
	if (!is_ipv4(&backend->address)) {
		family = bpf_htons(ETH_P_IPV6);
		outer_length = sizeof(struct ipv6hdr);
	}
	if (bpf_xdp_adjust_head(xdp, -(int)outer_length))
		return -1;
	if (link_header_length != ETH_HLEN &&
	    (move_tags(xdp, outer_length + ETH_HLEN, link_header_length - ETH_HLEN) ||
	     bpf_xdp_store_bytes(xdp, (link_header_length & LINK_HEADER_MASK) - sizeof(family),
				 &family, sizeof(family))))
		return -1;

	eth = data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	outer = data + (link_header_length & LINK_HEADER_MASK);
	asm volatile("" : "+r"(outer));
	if ((void *)(eth + 1) > end || outer + sizeof(struct ipv6hdr) > end)
		return -1;
	if (family == bpf_htons(ETH_P_IP))
		write_ipv4(outer, &inner, backend, hash >> 32);
	else
		write_ipv6(outer, &inner, backend, hash >> 32);
	mac_copy(eth->h_dest, backend->mac);
	mac_copy(eth->h_source, backend->source_mac);
	eth->h_proto = link_header_length == ETH_HLEN ? family : type;
	return 0;
}

#endif
