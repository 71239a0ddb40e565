/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ethernet, IPv4 and TCP headers, found and checked in a packet of XDP or tc alike. */
#ifndef PLIMSOLL_PACKET_H
#define PLIMSOLL_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include "shared.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1FFF

/* Fields in network byte order where their type says so; lengths in bytes. */
struct packet {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct tcphdr *tcp;
	__u32 ip_header_length;
	__u32 length; /* of the IP packet */
	__u32 payload_length; /* of TCP */
};

enum parse_result {
	PARSED,
	PARSED_OTHER, /* not IPv4 and TCP: nothing to do with us */
	PARSED_FRAGMENT, /* ip is valid, tcp is not */
	PARSED_MALFORMED, /* ip is valid, tcp is not */
};

static __always_inline enum parse_result packet_parse(void *data, void *end, __u32 frame_length,
						      struct packet *packet)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp;
	__u32 transport_length;

	if ((void *)(ip + 1) > end)
		return PARSED_OTHER;
	packet->eth = eth;
	packet->ip = ip;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4 || ip->ihl < 5 ||
	    ip->protocol != IPPROTO_TCP)
		return PARSED_OTHER;
	if (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET))
		return PARSED_FRAGMENT;

	packet->ip_header_length = ip->ihl * 4;
	packet->length = bpf_ntohs(ip->tot_len);
	tcp = (void *)ip + packet->ip_header_length;
	if ((void *)(tcp + 1) > end || packet->length > frame_length - sizeof(*eth) ||
	    packet->length < packet->ip_header_length + sizeof(*tcp))
		return PARSED_MALFORMED;
	packet->tcp = tcp;
	transport_length = packet->length - packet->ip_header_length;
	if (tcp->doff < 5 || tcp->doff * 4U > transport_length)
		return PARSED_MALFORMED;
	packet->payload_length = transport_length - tcp->doff * 4U;
	return PARSED;
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
