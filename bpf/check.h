/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of our own health checks. The service's address is a local one here: a connection to it would
 * never leave the machine. So the daemon's socket connects to the server's own address, and here, in tc, the
 * service's address is put into what leaves, which then goes by the backend's way, as clients' packets do,
 * in an outer header if they do; and the server's address into what returns, which comes as answers to
 * clients come. The stack knows nothing of it.
 *
 * Where the service's address is of another family than the server's, so is the packet: its header is another
 * one then, with an address of ours of that family, to which the server can answer.
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

#include "encap.h"
#include "maps.h"
#include "packet.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct check_packet {
	struct ip_address source, destination;
	__be16 source_port, destination_port;
	__u16 ip_header_length, tcp_length;
	__u8 traffic_class, ttl;
	__u8 opens;
};

/* An IP header of either family, and what it is. */
struct check_header {
	union {
		struct iphdr ip;
		struct ipv6hdr ip6;
	};
	__be16 type; /* Ethernet's */
	__u16 length;
};

static __always_inline struct ip_address check_ipv6(const struct in6_addr *address)
{
	struct ip_address copy;

	__builtin_memcpy(&copy, address, sizeof(copy));
	return copy;
}

static __always_inline void check_read_ipv4(struct check_packet *packet, const struct iphdr *ip)
{
	packet->ip_header_length = sizeof(*ip);
	packet->tcp_length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
	packet->traffic_class = ip->tos;
	packet->ttl = ip->ttl;
	packet->source = address_from_ipv4(ip->saddr);
	packet->destination = address_from_ipv4(ip->daddr);
}

static __always_inline void check_read_ipv6(struct check_packet *packet, const struct ipv6hdr *ip6)
{
	packet->ip_header_length = sizeof(*ip6);
	packet->tcp_length = bpf_ntohs(ip6->payload_len);
	packet->traffic_class = bpf_ntohs(*(const __be16 *)ip6) >> 4;
	packet->ttl = ip6->hop_limit;
	packet->source = check_ipv6(&ip6->saddr);
	packet->destination = check_ipv6(&ip6->daddr);
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
	if (eth->h_proto == bpf_htons(ETH_P_IP) && ip->ihl == 5 && ip->protocol == IPPROTO_TCP) {
		tcp = (void *)(ip + 1);
		check_read_ipv4(packet, ip);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end &&
		   ip6->nexthdr == IPPROTO_TCP) {
		tcp = (void *)(ip6 + 1);
		check_read_ipv6(packet, ip6);
	} else {
		return 0;
	}
	if ((void *)(tcp + 1) > end)
		return 0;
	packet->source_port = tcp->source;
	packet->destination_port = tcp->dest;
	packet->opens = tcp->syn && !tcp->ack;
	return 1;
}

/* The header that the packet is to have, by its new addresses. */
static __always_inline void check_make_header(struct check_header *header,
					      const struct check_packet *packet)
{
	__builtin_memset(header, 0, sizeof(*header));
	if (is_ipv4(&packet->destination)) {
		header->type = bpf_htons(ETH_P_IP);
		header->length = sizeof(header->ip);
		header->ip = (struct iphdr){
			.version = 4,
			.ihl = sizeof(header->ip) / 4,
			.tos = packet->traffic_class,
			.tot_len = bpf_htons(packet->tcp_length + sizeof(header->ip)),
			.frag_off = bpf_htons(IP_DONT_FRAGMENT),
			.ttl = packet->ttl,
			.protocol = IPPROTO_TCP,
			.saddr = packet->source.word[3],
			.daddr = packet->destination.word[3],
		};
		ip_checksum_write(&header->ip);
		return;
	}
	header->type = bpf_htons(ETH_P_IPV6);
	header->length = sizeof(header->ip6);
	*(__be32 *)&header->ip6 = bpf_htonl(6U << 28 | (__u32)packet->traffic_class << 20);
	header->ip6.payload_len = bpf_htons(packet->tcp_length);
	header->ip6.nexthdr = IPPROTO_TCP;
	header->ip6.hop_limit = packet->ttl;
	__builtin_memcpy(&header->ip6.saddr, &packet->source, sizeof(header->ip6.saddr));
	__builtin_memcpy(&header->ip6.daddr, &packet->destination, sizeof(header->ip6.daddr));
}

static __always_inline int check_store_header(struct __sk_buff *skb,
					      const struct check_header *header)
{
	if (bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &header->type,
				sizeof(header->type), 0))
		return -1;
	if (header->length == sizeof(header->ip))
		return bpf_skb_store_bytes(skb, ETH_HLEN, &header->ip, sizeof(header->ip),
					   BPF_F_RECOMPUTE_CSUM);
	return bpf_skb_store_bytes(skb, ETH_HLEN, &header->ip6, sizeof(header->ip6),
				   BPF_F_RECOMPUTE_CSUM);
}

/*
 * Other addresses, and with them the other family if they are of it. In TCP's checksum the family adds
 * nothing: that which IPv4's addresses have in front comes to a word of ones, which is 0 there.
 */
static __always_inline int check_readdress(struct __sk_buff *skb, struct check_packet *packet,
					   const struct ip_address *source,
					   const struct ip_address *destination)
{
	struct ip_address before[2] = {packet->source, packet->destination};
	struct ip_address after[2] = {*source, *destination};
	struct check_header header;
	__s64 difference;

	difference =
		bpf_csum_diff((__be32 *)before, sizeof(before), (__be32 *)after, sizeof(after), 0);
	if (difference < 0)
		return -1;
	packet->source = *source;
	packet->destination = *destination;
	check_make_header(&header, packet);
	if (header.length != packet->ip_header_length && bpf_skb_change_proto(skb, header.type, 0))
		return -1;
	packet->ip_header_length = header.length;
	return check_store_header(skb, &header) ||
	       bpf_l4_csum_replace(skb, ETH_HLEN + header.length + offsetof(struct tcphdr, check),
				   0, difference, BPF_F_PSEUDO_HDR);
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

/* As its flow's in XDP. */
static __always_inline __u64 check_hash(const struct check_packet *packet)
{
	const struct settings *current;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	return current ? hash_ends(current->hash_seed, &packet->source, &packet->destination,
				   packet->source_port, packet->destination_port, IPPROTO_TCP) :
			 0;
}

/* What encapsulate() does in XDP. */
static __always_inline int check_encapsulate(struct __sk_buff *skb,
					     const struct check_packet *packet,
					     const struct backend *backend)
{
	struct inner inner = {
		.fragment = bpf_htons(IP_DONT_FRAGMENT),
		.length = packet->ip_header_length + packet->tcp_length,
		.protocol = is_ipv4(&packet->destination) ? IPPROTO_IPIP : IPPROTO_IPV6,
		.traffic_class = packet->traffic_class,
	};
	__u64 hash = check_hash(packet) >> 32;
	struct check_header outer = {.length = outer_header_length(backend)};

	if (outer.length == sizeof(outer.ip)) {
		outer.type = bpf_htons(ETH_P_IP);
		write_ipv4(&outer.ip, &inner, backend, hash);
		if (bpf_skb_adjust_room(skb, sizeof(outer.ip), BPF_ADJ_ROOM_MAC,
					BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
			return -1;
	} else {
		outer.type = bpf_htons(ETH_P_IPV6);
		write_ipv6(&outer.ip6, &inner, backend, hash);
		if (bpf_skb_adjust_room(skb, sizeof(outer.ip6), BPF_ADJ_ROOM_MAC,
					BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
			return -1;
	}
	return check_store_header(skb, &outer);
}

/* Addressed to the service, and on to the backend. Returns 0 if it is. */
static __always_inline int check_send(struct __sk_buff *skb, struct check_packet *packet,
				      const struct check_socket *socket,
				      const struct backend *backend)
{
	struct ip_address source = packet->source;
	struct ethhdr eth;

	if (is_ipv4(&socket->service) != is_ipv4(&socket->server))
		source = socket->source;
	if (check_readdress(skb, packet, &source, &socket->service))
		return -1;
	if (backend->forward == FORWARD_IPIP && check_encapsulate(skb, packet, backend))
		return -1;
	mac_copy(eth.h_dest, backend->mac);
	mac_copy(eth.h_source, backend->source_mac);
	return bpf_skb_store_bytes(skb, 0, &eth, offsetof(struct ethhdr, h_proto), 0);
}

/* Out of the machine. */
static __always_inline int check_leave(struct __sk_buff *skb)
{
	struct check_packet packet;
	struct check_socket *socket;
	struct backend *backend;
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
	if (packet.opens)
		socket->own = packet.source;
	if (check_send(skb, &packet, socket, backend))
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
	if (check_readdress(skb, &packet, &socket->server, &socket->own))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

#endif
