/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Resets to clients, as they would get from a host where nobody listens (RFC 9293, 3.10.7.1): a packet is
 * turned into its own answer, and goes back the way it came.
 */
#ifndef PLIMSOLL_REFUSE_H
#define PLIMSOLL_REFUSE_H

#include "checksum.h"
#include "packet.h"

#define RESET_HOPS 64
#define IP_DF 0x4000
/* Shorter frames than these are not sent on Ethernet. */
#define FRAME_MIN 60

/* With the pseudo-header. Addresses of IPv4 are mapped: 0xffff adds nothing. */
static __always_inline void reset_checksum(struct tcphdr *tcp, const struct packet *packet)
{
	__u32 sum = bpf_htons(sizeof(*tcp)) + bpf_htons(IPPROTO_TCP);

	sum = checksum_add(sum, &packet->source, sizeof(packet->source));
	sum = checksum_add(sum, &packet->to.address, sizeof(packet->to.address));
	tcp->check = ~checksum_fold(checksum_add(sum, tcp, sizeof(*tcp)));
}

static __always_inline void reset_tcp(struct tcphdr *reset, const struct packet *packet)
{
	const struct tcphdr *tcp = packet->tcp;
	__u32 payload = packet->length - packet->ip_header_length - tcp->doff * 4U;
	__u32 length = payload + tcp->syn + tcp->fin;

	__builtin_memset(reset, 0, sizeof(*reset));
	reset->source = tcp->dest;
	reset->dest = tcp->source;
	reset->doff = sizeof(*reset) / 4;
	reset->rst = 1;
	if (tcp->ack) {
		reset->seq = tcp->ack_seq;
	} else {
		reset->ack = 1;
		reset->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + length);
	}
	reset_checksum(reset, packet);
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	mac_copy(mac, eth->h_dest);
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, mac);
}

/* Options are left out, and so are the extension headers of IPv6. */
static __always_inline void reset_ipv4(struct iphdr *ip)
{
	struct iphdr reset = {
		.version = 4,
		.ihl = sizeof(reset) / 4,
		.tot_len = bpf_htons(sizeof(reset) + sizeof(struct tcphdr)),
		.frag_off = bpf_htons(IP_DF),
		.ttl = RESET_HOPS,
		.protocol = IPPROTO_TCP,
		.saddr = ip->daddr,
		.daddr = ip->saddr,
	};

	ip_checksum_write(&reset);
	*ip = reset;
}

static __always_inline void reset_ipv6(struct ipv6hdr *ip)
{
	struct ipv6hdr reset = {
		.version = 6,
		.payload_len = bpf_htons(sizeof(struct tcphdr)),
		.nexthdr = IPPROTO_TCP,
		.hop_limit = RESET_HOPS,
		.saddr = ip->daddr,
		.daddr = ip->saddr,
	};

	*ip = reset;
}

/*
 * If a packet's verdict is that it is to be reset, it becomes the reset that answers it. Returns the verdict,
 * or another where there is no such answer: to resets. Of its own for the verifier and
 * the stack.
 */
__noinline int refuse(struct xdp_md *xdp, int verdict)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	__u32 length = end - data, reset_length;
	struct packet packet;
	struct tcphdr reset;
	struct tcphdr *tcp;

	if (verdict != VERDICT_REFUSED && verdict != VERDICT_FLOW_RESET)
		return verdict;
	if (packet_parse(xdp, data, end, length, &packet) != PARSED_TCP || packet.tcp->rst)
		return VERDICT_ALL_DOWN;
	reset_tcp(&reset, &packet);
	reset_length = packet.version == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	tcp = (void *)packet.ip + reset_length;
	if ((void *)(tcp + 1) > end)
		return VERDICT_ALL_DOWN;
	*tcp = reset;
	if (packet.version == 4)
		reset_ipv4(packet.ip);
	else
		reset_ipv6(packet.ip6);
	swap_macs(packet.eth);
	reset_length += packet.link_header_length + sizeof(*tcp);
	if (reset_length < FRAME_MIN)
		reset_length = FRAME_MIN;
	if (length > reset_length && bpf_xdp_adjust_tail(xdp, (int)(reset_length - length)))
		return VERDICT_ALL_DOWN;
	return verdict;
}

#endif
