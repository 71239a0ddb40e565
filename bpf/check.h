/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of our own health checks. The service's address is a local one here: a connection to it would
 * never leave the machine. So the daemon's socket connects to the server's own address, and here, in tc, the
 * service's address is put into what leaves, which then goes by the backend's way, as clients' packets do;
 * and the server's address into what returns. The stack knows nothing of it.
 *
 * In tc, because in XDP there are no packets of our own. They are of our own making: no options, no extension
 * headers, no fragments.
 */
#ifndef PLIMSOLL_CHECK_H
#define PLIMSOLL_CHECK_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stddef.h>

#include "maps.h"
#include "packet.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct check_packet {
	struct ip_address source, destination;
	__be16 source_port, destination_port;
	__u32 ip_offset, tcp_offset; /* in the frame */
	__u8 version; /* 4 or 6 */
	__u8 opens;
};

static __always_inline struct ip_address check_ipv6(const struct in6_addr *address)
{
	struct ip_address copy;

	__builtin_memcpy(&copy, address, sizeof(copy));
	return copy;
}

/* Returns whether it might be of a check. */
static __always_inline int check_parse(struct __sk_buff *skb, struct check_packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > end)
		return 0;
	packet->ip_offset = sizeof(*eth);
	if (eth->h_proto == bpf_htons(ETH_P_IP) && ip->ihl == 5 && ip->protocol == IPPROTO_TCP) {
		tcp = (void *)(ip + 1);
		packet->version = 4;
		packet->source = address_from_ipv4(ip->saddr);
		packet->destination = address_from_ipv4(ip->daddr);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end &&
		   ip6->nexthdr == IPPROTO_TCP) {
		tcp = (void *)(ip6 + 1);
		packet->version = 6;
		packet->source = check_ipv6(&ip6->saddr);
		packet->destination = check_ipv6(&ip6->daddr);
	} else {
		return 0;
	}
	if ((void *)(tcp + 1) > end)
		return 0;
	packet->tcp_offset = (void *)tcp - data;
	packet->source_port = tcp->source;
	packet->destination_port = tcp->dest;
	packet->opens = tcp->syn && !tcp->ack;
	return 1;
}

/* Puts another address where `before` stands, `offset` bytes into the IP header; mends the checksums. */
static __always_inline int check_replace(struct __sk_buff *skb, const struct check_packet *packet,
					 __u32 offset, const struct ip_address *before,
					 const struct ip_address *after)
{
	__u32 checksum = packet->tcp_offset + offsetof(struct tcphdr, check);
	__u32 first = packet->version == 4 ? 3 : 0, i;

	for (i = first; i < 4; i++)
		if (bpf_l4_csum_replace(skb, checksum, before->word[i], after->word[i],
					BPF_F_PSEUDO_HDR | sizeof(__be32)))
			return -1;
	if (packet->version == 4 &&
	    bpf_l3_csum_replace(skb, packet->ip_offset + offsetof(struct iphdr, check),
				before->word[3], after->word[3], sizeof(__be32)))
		return -1;
	if (packet->version == 4)
		return bpf_skb_store_bytes(skb, packet->ip_offset + offset, &after->word[3],
					   sizeof(__be32), 0);
	return bpf_skb_store_bytes(skb, packet->ip_offset + offset, after, sizeof(*after), 0);
}

static __always_inline struct check_socket *check_find(__be16 port)
{
	return bpf_map_lookup_elem(&check_sockets, &port);
}

/* In XDP: whether a packet of a service's is the answer to a check. */
static __always_inline int check_is_answer(const struct ip_address *service, __be16 port,
					   __be16 own_port)
{
	struct check_socket *socket = check_find(own_port);

	return socket && socket->port == port && ip_address_equal(&socket->service, service);
}

static __always_inline void count_sent(const struct backend *backend)
{
	__u32 server = backend->server;
	struct load *load = bpf_map_lookup_elem(&loads, &server);

	if (load)
		__sync_fetch_and_add(&load->connections_sent, 1);
}

/* Out of the machine. */
static __always_inline int check_leave(struct __sk_buff *skb)
{
	struct check_packet packet;
	struct check_socket *socket;
	struct backend *backend;
	struct ethhdr eth;
	__u32 index;

	if (!check_parse(skb, &packet))
		return TC_ACT_UNSPEC;
	socket = check_find(packet.source_port);
	if (!socket || socket->port != packet.destination_port ||
	    !ip_address_equal(&socket->server, &packet.destination))
		return TC_ACT_UNSPEC;
	index = socket->backend;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend || !backend->ifindex)
		return TC_ACT_SHOT;
	if (check_replace(skb, &packet,
			  packet.version == 4 ? offsetof(struct iphdr, daddr) :
						offsetof(struct ipv6hdr, daddr),
			  &socket->server, &socket->service))
		return TC_ACT_SHOT;
	mac_copy(eth.h_dest, backend->mac);
	mac_copy(eth.h_source, backend->source_mac);
	if (bpf_skb_store_bytes(skb, 0, &eth, offsetof(struct ethhdr, h_proto), 0))
		return TC_ACT_SHOT;
	/* The server counts it as any other connection from here. */
	if (packet.opens)
		count_sent(backend);
	return TC_ACT_UNSPEC;
}

/* Into the machine. */
static __always_inline int check_return(struct __sk_buff *skb)
{
	struct check_packet packet;
	struct check_socket *socket;

	if (!check_parse(skb, &packet))
		return TC_ACT_UNSPEC;
	socket = check_find(packet.destination_port);
	if (!socket || socket->port != packet.source_port ||
	    !ip_address_equal(&socket->service, &packet.source))
		return TC_ACT_UNSPEC;
	if (check_replace(skb, &packet,
			  packet.version == 4 ? offsetof(struct iphdr, saddr) :
						offsetof(struct ipv6hdr, saddr),
			  &socket->service, &socket->server))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

#endif
