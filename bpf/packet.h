/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The headers of a packet, found and checked, in XDP and in tc alike: Ethernet, up to two VLAN tags
 * (802.1Q, 802.1ad), IPv4 with its options or IPv6 with its extension headers, TCP or UDP.
 */
#ifndef PLIMSOLL_PACKET_H
#define PLIMSOLL_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "hash.h"
#include "shared.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1FFF
#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV6_FRAGMENT_OFFSET 0xFFF8

#define VLAN_TAGS_MAX 2
/* Of an IP header with another packet behind it; and what it and a link header come to is below. */
#define OUTER_LENGTH_MAX 60
#define OUTER_MASK 127
#define LINK_HEADER_MASK 31 /* the greatest length is 22: what the verifier wants to see */
/* RFC 8200, 4.1 knows seven, of which one may come twice. */
#define EXTENSIONS_MAX 8
/* So far into the frame the transport's header is looked for. */
#define EXTENSIONS_END_MAX 2048

struct vlan_header {
	__be16 tag;
	__be16 protocol; /* of what follows */
};

/* What all extension headers begin with; and all of a fragment's. */
struct extension_header {
	__u8 next_header;
	__u8 length; /* in units of 8 bytes, the first not counted */
	__be16 fragment;
	__be32 identification;
};

/* What reads packets that need not lie in front of us in one piece. */
#ifdef PACKETS_OF_TC
typedef struct __sk_buff packet_context;
#define packet_load bpf_skb_load_bytes
#else
typedef struct xdp_md packet_context;
#define packet_load bpf_xdp_load_bytes
#endif

/* Fields in network byte order where their type says so; lengths in bytes. */
struct packet {
	struct ethhdr *eth;
	union { /* by `version` */
		struct iphdr *ip;
		struct ipv6hdr *ip6;
	};
	union { /* by `to.protocol` */
		struct tcphdr *tcp;
		struct udphdr *udp;
	};
	struct ip_address source;
	struct service_key to; /* destination, its port, and IPPROTO_* behind extension headers */
	__be16 source_port;
	__u8 tcp_flags; /* as in byte 13 of its header; 0 for UDP */
	__u8 version; /* 4 or 6 */
	__u32 link_header_length; /* 14, and 4 for each VLAN tag */
	__u32 ip_header_length; /* with options or extension headers */
	__u32 length; /* of the IP packet */
#ifdef PACKETS_OF_TC
	__u32 payload_length; /* of the transport's */
	__u32 sequence, acknowledged; /* of TCP; who wants them reads them */
#endif
};

/* What is valid of struct packet grows down the list: that of the line, and of all lines above it. */
enum parse_result {
	PARSED_NOT_IP, /* eth; or too short for that */
	PARSED_MALFORMED, /* link_header_length, ip, version, source, to without its port */
	PARSED_FRAGMENT, /* ip_header_length (in IPv6 up to the fragment header), length */
	PARSED_OTHER, /* ip_header_length: a transport whose ports nobody here can read */
	PARSED_UDP, /* everything */
	PARSED_TCP,
};

static __always_inline struct ip_address address_from_ipv4(__be32 address)
{
	struct ip_address mapped;
	__u64 half[2] = {0};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	half[1] = (__u64)address << 32 | bpf_htonl(0xFFFF);
#else
	half[1] = 0xFFFFULL << 32 | address;
#endif
	/* What is stored in whole words can be loaded in whole words at once. */
	__builtin_memcpy(&mapped, half, sizeof(mapped));
	return mapped;
}

/* Of IPv4's mapped addresses, and of no others, are the first two words zero. */
static __always_inline int is_ipv4(const struct ip_address *address)
{
	return !address->word[0] && !address->word[1];
}

static __always_inline int is_parsed(enum parse_result parsed)
{
	return parsed == PARSED_UDP || parsed == PARSED_TCP;
}

#define IS_VLAN(protocol)                                                                          \
	((protocol) == bpf_htons(ETH_P_8021Q) || (protocol) == bpf_htons(ETH_P_8021AD))

/* TCP or UDP; of all others ports are not looked at. */
static __always_inline int has_ports(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/*
 * What seldom comes is found out by functions of its own, which the verifier walks once: so the rest of
 * the way is not walked again for each number of tags and headers. They return scalars, of which it
 * knows nothing.
 */

/* Of a tagged packet: where its IP header begins, and the protocol that it is (__be16) << 16. */
__noinline __u32 parse_tags(packet_context *context)
{
	__u32 offset = offsetof(struct ethhdr, h_proto), i;
	__be16 protocol = 0;

	for (i = 0; i <= VLAN_TAGS_MAX; i++, offset += sizeof(struct vlan_header)) {
		if (packet_load(context, offset, &protocol, sizeof(protocol)))
			return 0;
		if (!IS_VLAN(protocol))
			return (offset + sizeof(protocol)) | (__u32)protocol << 16;
	}
	return 0;
}

static __always_inline int is_extension(__u32 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_AH ||
	       protocol == IPPROTO_DSTOPTS;
}

static __always_inline __u32 extension_length(const struct extension_header *header, __u32 protocol)
{
	switch (protocol) {
	case IPPROTO_FRAGMENT:
		return sizeof(*header);
	case IPPROTO_AH:
		return (header->length + 2U) * 4;
	default:
		return (header->length + 1U) * 8;
	}
}

#define EXTENSIONS_PROTOCOL_SHIFT 16
#define EXTENSIONS_RESULT_SHIFT 24

/*
 * Walks over extension headers from the offset of the first one on: the offset behind them, the
 * protocol there, and PARSED_TCP, or why it is not found. A packet that is its own only fragment (RFC 6946) is whole.
 */
__noinline __u32 parse_extensions(packet_context *context, __u32 offset, __u32 protocol)
{
	enum parse_result parsed = PARSED_TCP;
	struct extension_header header;
	int i;

	for (i = 0; i < EXTENSIONS_MAX; i++) {
		if (!is_extension(protocol))
			break;
		parsed = PARSED_MALFORMED;
		if (offset > EXTENSIONS_END_MAX ||
		    packet_load(context, offset, &header, sizeof(header)))
			break;
		if (protocol == IPPROTO_FRAGMENT &&
		    header.fragment & bpf_htons(IPV6_MORE_FRAGMENTS | IPV6_FRAGMENT_OFFSET)) {
			protocol = header.next_header;
			parsed = PARSED_FRAGMENT;
			break;
		}
		offset += extension_length(&header, protocol);
		protocol = header.next_header;
		parsed = is_extension(protocol) ? PARSED_MALFORMED : PARSED_TCP;
	}
	return (offset & 0xFFFF) | (protocol & 0xFF) << EXTENSIONS_PROTOCOL_SHIFT |
	       parsed << EXTENSIONS_RESULT_SHIFT;
}

/* TCP or UDP, whose header begins so far into a packet of packet->length. */
static __always_inline enum parse_result parse_transport(struct packet *packet, const void *end,
							 __u32 frame_length)
{
	__u32 length = packet->length - packet->ip_header_length;
	__u32 header = sizeof(struct udphdr);
	const struct udphdr *udp = packet->udp;
	enum parse_result parsed = PARSED_UDP;

	if (packet->length > frame_length - packet->link_header_length ||
	    packet->length < packet->ip_header_length + header || (const void *)(udp + 1) > end)
		return PARSED_MALFORMED;
	packet->source_port = udp->source;
	packet->to.port = udp->dest;
	packet->tcp_flags = 0;
	if (packet->to.protocol == IPPROTO_TCP) {
		parsed = PARSED_TCP;
		if ((const void *)(packet->tcp + 1) > end)
			return PARSED_MALFORMED;
		packet->tcp_flags = ((const __u8 *)packet->tcp)[13];
		header = packet->tcp->doff * 4U;
		if (header < sizeof(struct tcphdr) || header > length)
			return PARSED_MALFORMED;
	} else if (bpf_ntohs(udp->len) < header || bpf_ntohs(udp->len) > length) {
		return PARSED_MALFORMED;
	}
#ifdef PACKETS_OF_TC
	packet->payload_length = length - header;
#endif
	return parsed;
}

static __always_inline enum parse_result parse_ipv4(struct packet *packet, const void *end,
						    __u32 frame_length)
{
	struct iphdr *ip = packet->ip;

	if (ip->version != 4 || ip->ihl < 5)
		return PARSED_NOT_IP;
	packet->version = 4;
	packet->to.protocol = ip->protocol;
	packet->ip_header_length = ip->ihl * 4;
	packet->length = bpf_ntohs(ip->tot_len);
	packet->source = address_from_ipv4(ip->saddr);
	packet->to.address = address_from_ipv4(ip->daddr);
	if (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET))
		return PARSED_FRAGMENT;
	if (!has_ports(ip->protocol))
		return PARSED_OTHER;
	packet->tcp = (void *)ip + packet->ip_header_length;
	asm volatile("" : "+r"(packet->tcp)); /* once, likewise */
	return parse_transport(packet, end, frame_length);
}

static __always_inline enum parse_result parse_ipv6(packet_context *context, struct packet *packet,
						    const void *end, __u32 frame_length)
{
	struct ipv6hdr *ip6 = packet->ip6;
	__u32 extensions;

	if ((const void *)(ip6 + 1) > end || ip6->version != 6)
		return PARSED_NOT_IP;
	packet->version = 6;
	packet->to.protocol = ip6->nexthdr;
	packet->ip_header_length = sizeof(*ip6);
	packet->length = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	__builtin_memcpy(&packet->source, &ip6->saddr, sizeof(packet->source));
	__builtin_memcpy(&packet->to.address, &ip6->daddr, sizeof(packet->to.address));
	if (is_extension(packet->to.protocol)) {
		extensions = parse_extensions(context, packet->link_header_length + sizeof(*ip6),
					      packet->to.protocol);
		packet->to.protocol = extensions >> EXTENSIONS_PROTOCOL_SHIFT;
		packet->ip_header_length = (extensions & 0xFFFF) - packet->link_header_length;
		/* Constants: of any other value the verifier would think that it may be any. */
		if (extensions >> EXTENSIONS_RESULT_SHIFT == PARSED_FRAGMENT)
			return PARSED_FRAGMENT;
		if (extensions >> EXTENSIONS_RESULT_SHIFT != PARSED_TCP)
			return PARSED_MALFORMED;
	}
	if (!has_ports(packet->to.protocol))
		return PARSED_OTHER;
	if (packet->ip_header_length > EXTENSIONS_END_MAX)
		return PARSED_MALFORMED;
	packet->tcp = (void *)ip6 + packet->ip_header_length;
	asm volatile("" : "+r"(packet->tcp)); /* once, likewise */
	return parse_transport(packet, end, frame_length);
}

/* Where the IP header begins, of whichever version; no more than an IPv4 header has been looked for. */
static __always_inline int parse_link(struct packet *packet, void *data, const void *end,
				      __u32 offset)
{
	packet->eth = data;
	packet->link_header_length = offset;
	packet->ip = data + offset;
	/* Once: another sum of the two would to the verifier be another pointer. */
	asm volatile("" : "+r"(packet->ip));
	/* It is looked up as it is, with what lies behind its last field. */
	packet->to = (struct service_key){};
	return (const void *)(packet->ip + 1) <= end;
}

static __always_inline enum parse_result packet_parse(packet_context *context, void *data,
						      void *end, __u32 frame_length,
						      struct packet *packet)
{
	const struct ethhdr *eth = data;
	__u32 offset = sizeof(*eth), tags;
	__be16 protocol;

	/* Kept in memory: of registers, clang would set each once more before each way out. */
	asm volatile("" : : "r"(packet) : "memory");
	/* An IPv4 header is the least that is of interest. */
	if ((void *)(eth + 1) + sizeof(struct iphdr) > end)
		return PARSED_NOT_IP;
	protocol = eth->h_proto;
	if (IS_VLAN(protocol)) {
		tags = parse_tags(context);
		offset = tags & LINK_HEADER_MASK;
		protocol = tags >> 16;
	}
	if (!parse_link(packet, data, end, offset))
		return PARSED_NOT_IP;
	if (protocol == bpf_htons(ETH_P_IP))
		return parse_ipv4(packet, end, frame_length);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(context, packet, end, frame_length);
	return PARSED_NOT_IP;
}

/* Whether all of the packet is in the frame, as its header says. */
static __always_inline int packet_is_whole(packet_context *context, const struct packet *packet)
{
	__u64 frame_length = (void *)(long)context->data_end - (void *)(long)context->data;

	/* A difference of pointers, before anything else is added to it. */
	asm volatile("" : "+r"(frame_length));
	return packet->link_header_length + packet->length <= frame_length;
}

static __always_inline int ip_address_is_ipv4(const struct ip_address *address)
{
	return !address->word[0] && !address->word[1] && address->word[2] == bpf_htonl(0xFFFF);
}

static __always_inline int ip_address_is_set(const struct ip_address *address)
{
	return address->word[0] || address->word[1] || address->word[2] || address->word[3];
}

static __always_inline int ip_address_within(const struct ip_address *address,
					     const struct ip_address *prefix,
					     const struct ip_address *mask)
{
	int i;

#pragma unroll
	for (i = 0; i < 4; i++)
		if ((address->word[i] & mask->word[i]) != prefix->word[i])
			return 0;
	return 1;
}

static __always_inline int ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
}

/* The hash of the packet's flow: the same for the CLI, which knows only the ends. */
static __always_inline __u64 packet_hash(const struct packet *packet, __u64 seed)
{
	return hash_ends(seed, &packet->source, &packet->to.address, packet->source_port,
			 packet->to.port, packet->to.protocol);
}

/* MAC addresses as one word and a half: memcmp() would be a loop over bytes. */
static __always_inline int mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b &&
	       *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__builtin_memcpy(to, from, ETH_ALEN);
}

#endif
