/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP (RFC 792) and ICMPv6 (RFC 4443) as far as they concern a service: who asks for an echo of a VIP,
 * and errors about packets that servers have sent in a VIP's name.
 */
#ifndef PLIMSOLL_ICMP_H
#define PLIMSOLL_ICMP_H

#include "checksum.h"
#include "packet.h"

/* Of our own packets. */
#define OWN_TTL 64

/* <linux/icmp.h> cannot be had here: it includes what is of user space. */
enum icmp_type {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,

	ICMPV6_UNREACHABLE = 1,
	ICMPV6_PACKET_TOO_BIG = 2,
	ICMPV6_PARAMETER_PROBLEM = 4,
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
};

#define ICMP_FRAGMENTATION_NEEDED 4 /* code of ICMP_UNREACHABLE */

/* What all of these messages begin with. */
struct icmp_header {
	__u8 type, code;
	__u16 checksum;
	__be32 rest;
};

static __always_inline int is_icmp(const struct packet *packet)
{
	return packet->to.protocol == (packet->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static __always_inline int has_more_headers(const struct packet *packet)
{
	return packet->ip_header_length !=
	       (packet->version == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

static __always_inline int is_echo_request(const struct packet *packet,
					   const struct icmp_header *icmp)
{
	return icmp->type == (packet->version == 4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST) &&
	       !icmp->code;
}

/* Redirects are no errors, and not for a host behind us; source quench is deprecated (RFC 6633). */
static __always_inline int is_icmp_error(const struct packet *packet,
					 const struct icmp_header *icmp)
{
	if (packet->version == 4)
		return icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED ||
		       icmp->type == ICMP_PARAMETER_PROBLEM;
	return icmp->type >= ICMPV6_UNREACHABLE && icmp->type <= ICMPV6_PARAMETER_PROBLEM;
}

static __always_inline long echo_turn_ipv4(struct packet *packet)
{
	__be16 *ttl_and_protocol = (__be16 *)&packet->ip->ttl;
	__u16 was = *ttl_and_protocol;

	packet->ip->saddr = packet->to.address.word[3];
	packet->ip->daddr = packet->source.word[3];
	packet->ip->ttl = OWN_TTL;
	packet->ip->check = checksum_change(packet->ip->check, was, *ttl_and_protocol);
	return 0;
}

static __always_inline long echo_turn_ipv6(struct xdp_md *xdp, const struct packet *packet)
{
	struct {
		__u8 hop_limit;
		struct ip_address source, destination;
	} __attribute__((packed)) turned = {OWN_TTL, packet->to.address, packet->source};

	return bpf_xdp_store_bytes(xdp,
				   packet->link_header_length + offsetof(struct ipv6hdr, hop_limit),
				   &turned, sizeof(turned));
}

/*
 * Makes the answer of a request, in its place: what is asked is not copied but turned round. Checksums
 * are changed by what has changed, so a wrong one stays wrong, and the packet is of no use to anybody. 0 if
 * all went well.
 */
static __always_inline int echo_turn(struct xdp_md *xdp, struct packet *packet)
{
	__u32 at = packet->link_header_length + packet->ip_header_length;
	struct icmp_header icmp;
	__u8 mac[ETH_ALEN];
	__u16 was;

	if (packet_load(xdp, at, &icmp, sizeof(icmp)))
		return -1;
	mac_copy(mac, packet->eth->h_dest);
	mac_copy(packet->eth->h_dest, packet->eth->h_source);
	mac_copy(packet->eth->h_source, mac);
	was = *(__u16 *)&icmp;
	icmp.type = packet->version == 4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY;
	icmp.checksum = checksum_change(icmp.checksum, was, *(__u16 *)&icmp);
	if (packet->version == 4 ? echo_turn_ipv4(packet) : echo_turn_ipv6(xdp, packet))
		return -1;
	return (int)bpf_xdp_store_bytes(xdp, at, &icmp, sizeof(icmp));
}

/* What of an error's quotation is read: of the packet that a server has sent to a client. */
struct quotation {
	union {
		struct iphdr ip;
		struct ipv6hdr ip6;
	};
	struct {
		__be16 source, destination;
		__be32 more; /* is quoted, but not needed */
	} ports;
};

/*
 * These turn the packet, an error, into one of the flow that it quotes, as far as steering goes: from the
 * client that was to get what is quoted. VERDICT_NOT_OURS if there is nothing in it that we know.
 */
static __always_inline enum verdict become_quoted_ipv4(struct xdp_md *xdp, struct packet *packet,
						       __u32 at, __u32 end)
{
	struct quotation quotation;
	__u32 length;

	if (at + sizeof(quotation.ip) > end ||
	    packet_load(xdp, at, &quotation.ip, sizeof(quotation.ip)) ||
	    quotation.ip.version != 4 || quotation.ip.ihl < 5)
		return VERDICT_MALFORMED;
	length = quotation.ip.ihl * 4;
	if (!has_ports(quotation.ip.protocol) || quotation.ip.saddr != packet->ip->daddr ||
	    quotation.ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return VERDICT_NOT_OURS;
	if (at + length + sizeof(quotation.ports) > end ||
	    packet_load(xdp, at + length, &quotation.ports, sizeof(quotation.ports)))
		return VERDICT_MALFORMED;
	packet->source = address_from_ipv4(quotation.ip.daddr);
	packet->source_port = quotation.ports.destination;
	packet->to.port = quotation.ports.source;
	packet->to.protocol = quotation.ip.protocol;
	return VERDICT_NONE;
}

static __always_inline enum verdict become_quoted_ipv6(struct xdp_md *xdp, struct packet *packet,
						       __u32 at, __u32 end)
{
	struct quotation quotation;
	__u32 extensions;

	if (at + sizeof(quotation.ip6) > end ||
	    packet_load(xdp, at, &quotation.ip6, sizeof(quotation.ip6)) ||
	    quotation.ip6.version != 6)
		return VERDICT_MALFORMED;
	extensions = parse_extensions(xdp, at + sizeof(quotation.ip6), quotation.ip6.nexthdr);
	packet->to.protocol = extensions >> EXTENSIONS_PROTOCOL_SHIFT;
	if (extensions >> EXTENSIONS_RESULT_SHIFT == PARSED_MALFORMED)
		return VERDICT_MALFORMED;
	if (extensions >> EXTENSIONS_RESULT_SHIFT != PARSED_TCP ||
	    !has_ports(packet->to.protocol) ||
	    !ip_address_equal((const struct ip_address *)&quotation.ip6.saddr, &packet->to.address))
		return VERDICT_NOT_OURS;
	at = extensions & 0xFFFF;
	if (at + sizeof(quotation.ports) > end ||
	    packet_load(xdp, at, &quotation.ports, sizeof(quotation.ports)))
		return VERDICT_MALFORMED;
	__builtin_memcpy(&packet->source, &quotation.ip6.daddr, sizeof(packet->source));
	packet->source_port = quotation.ports.destination;
	packet->to.port = quotation.ports.source;
	return VERDICT_NONE;
}

static __always_inline enum verdict packet_become_quoted(struct xdp_md *xdp, struct packet *packet)
{
	__u32 end = packet->link_header_length + packet->length;
	__u32 at =
		packet->link_header_length + packet->ip_header_length + sizeof(struct icmp_header);

	return packet->version == 4 ? become_quoted_ipv4(xdp, packet, at, end) :
				      become_quoted_ipv6(xdp, packet, at, end);
}

#endif
