/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a report carrier when its report has been read: the option is cut out, a packet
 * around it is taken off, and it goes on to its client.
 */
#ifndef PLIMSOLL_CARRIER_H
#define PLIMSOLL_CARRIER_H

#include "check.h"
#include "checksum.h"
#include "maps.h"
#include "packet.h"

#define AF_INET 2
#define AF_INET6 10
#define FLOW_INFO_MASK 0x0FFFFFFF /* traffic class and flow label */

/* How functions of their own tell both: the verdict, and the action << VERDICT_BITS. */
#define VERDICT_BITS 8

/* Fields of what arrived; then the headers of what goes on. */
struct carrier {
	struct xdp_md *xdp;
	struct ethhdr *eth;
	union { /* by `version` */
		struct iphdr *ip;
		struct ipv6hdr *ip6;
	};
	__u32 link_header_length;
	__u32 outer_length; /* of the IP header in front, if there is one */
	__u32 option_length; /* or of its extension header */
	__u8 version;
};

/* VLAN tags, of which there may be none, are moved with the Ethernet header. */
struct moved_headers {
	struct ethhdr eth;
	__u8 tags[VLAN_TAGS_MAX * sizeof(struct vlan_header)];
	__u32 tags_length;
	union {
		struct iphdr ip;
		struct ipv6hdr ip6;
	};
};

static __always_inline long tags_load(struct xdp_md *xdp, struct moved_headers *headers)
{
	if (headers->tags_length == sizeof(headers->tags))
		return bpf_xdp_load_bytes(xdp, ETH_HLEN, headers->tags, sizeof(headers->tags));
	return bpf_xdp_load_bytes(xdp, ETH_HLEN, headers->tags, sizeof(struct vlan_header));
}

static __always_inline long tags_store(struct xdp_md *xdp, struct moved_headers *headers)
{
	if (headers->tags_length == sizeof(headers->tags))
		return bpf_xdp_store_bytes(xdp, ETH_HLEN, headers->tags, sizeof(headers->tags));
	return bpf_xdp_store_bytes(xdp, ETH_HLEN, headers->tags, sizeof(struct vlan_header));
}

/* The headers, the packet's own at that offset; 0 if they are there. */
static __always_inline int carrier_find(struct carrier *carrier, __u32 offset)
{
	void *data = (void *)(long)carrier->xdp->data;
	void *end = (void *)(long)carrier->xdp->data_end;
	struct iphdr *ip = data + (offset & OUTER_MASK);

	/* Once: another sum of the two would to the verifier be another pointer. */
	asm volatile("" : "+r"(ip));
	carrier->eth = data;
	carrier->ip = ip;
	return (void *)(carrier->eth + 1) > end || (void *)(carrier->ip + 1) > end;
}

/* Likewise of IPv6, whose header may be longer than a short datagram of IPv4. */
static __always_inline int carrier_is_short(const struct carrier *carrier)
{
	return carrier->version != 4 &&
	       (void *)(carrier->ip6 + 1) > (void *)(long)carrier->xdp->data_end;
}

/* The base header as it was before the option came, and before a packet was put around it. */
static __always_inline int headers_read(const struct carrier *carrier,
					struct moved_headers *headers)
{
	__be16 length;

	headers->eth = *carrier->eth;
	headers->tags_length = carrier->link_header_length - sizeof(headers->eth);
	if (carrier->version == 4) {
		headers->ip = *carrier->ip;
		headers->ip.ihl = sizeof(headers->ip) / 4;
		length = bpf_htons(bpf_ntohs(headers->ip.tot_len) - carrier->option_length);
		headers->ip.tot_len = length;
		ip_checksum_write(&headers->ip);
		return 0;
	}
	headers->ip6 = *carrier->ip6;
	length = bpf_htons(bpf_ntohs(headers->ip6.payload_len) - carrier->option_length);
	headers->ip6.payload_len = length;
	return (int)bpf_xdp_load_bytes(carrier->xdp,
				       carrier->link_header_length + carrier->outer_length +
					       sizeof(headers->ip6),
				       &headers->ip6.nexthdr, sizeof(headers->ip6.nexthdr));
}

/* Of another version than the outer packet it may be. */
static __always_inline int protocol_store(const struct carrier *carrier)
{
	__be16 protocol = carrier->version == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);

	return (int)bpf_xdp_store_bytes(carrier->xdp,
					carrier->link_header_length - sizeof(protocol), &protocol,
					sizeof(protocol));
}

/* Takes the option out, and the outer header off: what stood before them moves up over them. */
static __always_inline int carrier_cut(struct carrier *carrier)
{
	__u32 length = carrier->outer_length + carrier->option_length;
	struct moved_headers headers;

	if (headers_read(carrier, &headers) ||
	    (headers.tags_length && tags_load(carrier->xdp, &headers)) ||
	    bpf_xdp_adjust_head(carrier->xdp, (int)length) ||
	    carrier_find(carrier, carrier->link_header_length) || carrier_is_short(carrier))
		return -1;
	*carrier->eth = headers.eth;
	if (carrier->version == 4)
		*carrier->ip = headers.ip;
	else
		*carrier->ip6 = headers.ip6;
	if (headers.tags_length && tags_store(carrier->xdp, &headers))
		return -1;
	return carrier->outer_length ? protocol_store(carrier) : 0;
}

/*
 * The client's next hop is not known: leave the packet to the host, with a note for resolve() of
 * host_side.h. The kernel asks for the MAC address and keeps the packet meanwhile.
 */
static __always_inline enum verdict leave_to_resolve(struct xdp_md *xdp, __u32 ifindex)
{
	struct resolve_note *note;

	if (bpf_xdp_adjust_meta(xdp, -(int)sizeof(*note)))
		return VERDICT_REPORT_NO_ROUTE;
	note = (void *)(long)xdp->data_meta;
	if ((void *)(note + 1) > (void *)(long)xdp->data)
		return VERDICT_REPORT_NO_ROUTE;
	note->magic = RESOLVE_MAGIC;
	note->ifindex = ifindex;
	return VERDICT_REPORT_RESOLVING;
}

static __always_inline int send_by(const struct xdp_md *xdp, __u32 ifindex)
{
	/* The verifier wants the field read from where the context begins. */
	asm volatile("" : "+r"(xdp));
	return ifindex == xdp->ingress_ifindex ? (int)XDP_TX : (int)bpf_redirect(ifindex, 0);
}

static __always_inline int has_one_interface(void)
{
	__u32 zero = 0;
	const struct settings *current = bpf_map_lookup_elem(&settings, &zero);

	return current && !current->interfaces[1].ifindex;
}

/*
 * The header of what is no IPv4. Its length is looked at again, behind clang's back: Linux 6.1 does not know
 * any more what the version has been when carrier_cut() did.
 */
static __always_inline const struct ipv6hdr *carrier_ipv6(const struct carrier *carrier)
{
	const struct ipv6hdr *ip6 = carrier->ip6;

	asm volatile("" : "+r"(ip6));
	return (void *)(ip6 + 1) <= (void *)(long)carrier->xdp->data_end ? ip6 : 0;
}

static __always_inline void fib_fill(struct bpf_fib_lookup *fib, const struct carrier *carrier)
{
	const struct iphdr *ip = carrier->ip;
	const struct ipv6hdr *ip6;

	fib->ifindex = carrier->xdp->ingress_ifindex;
	if (carrier->version == 4) {
		fib->family = AF_INET;
		fib->tos = ip->tos;
		fib->l4_protocol = ip->protocol;
		fib->tot_len = bpf_ntohs(ip->tot_len);
		fib->ipv4_src = ip->saddr;
		fib->ipv4_dst = ip->daddr;
		return;
	}
	fib->family = AF_INET6;
	ip6 = carrier_ipv6(carrier);
	if (!ip6)
		return;
	fib->flowinfo = *(const __be32 *)ip6 & bpf_htonl(FLOW_INFO_MASK);
	fib->l4_protocol = ip6->nexthdr;
	fib->tot_len = bpf_ntohs(ip6->payload_len) + sizeof(*ip6);
	__builtin_memcpy(fib->ipv6_src, &ip6->saddr, sizeof(fib->ipv6_src));
	__builtin_memcpy(fib->ipv6_dst, &ip6->daddr, sizeof(fib->ipv6_dst));
}

/* The answer to a check is the host's: it has no way on, for it is to an address of our own. */
static __always_inline int carrier_answers_check(const struct carrier *carrier)
{
	const struct tcphdr *tcp = (void *)(carrier->ip + 1);
	const struct ipv6hdr *ip6;
	struct ip_address service;

	if (carrier->version == 4) {
		service = address_from_ipv4(carrier->ip->saddr);
	} else {
		ip6 = carrier_ipv6(carrier);
		if (!ip6)
			return 0;
		__builtin_memcpy(&service, &ip6->saddr, sizeof(service));
		tcp = (void *)(ip6 + 1);
	}
	return (void *)(tcp + 1) <= (void *)(long)carrier->xdp->data_end &&
	       check_is_answer(&service, tcp->source, tcp->dest);
}

/* VERDICT_NONE, and the action << VERDICT_BITS, if it is on its way. */
static __always_inline int carrier_send(const struct carrier *carrier)
{
	struct bpf_fib_lookup fib = {};

	fib_fill(&fib, carrier);
	switch (bpf_fib_lookup(carrier->xdp, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		mac_copy(carrier->eth->h_dest, fib.dmac);
		mac_copy(carrier->eth->h_source, fib.smac);
		return send_by(carrier->xdp, fib.ifindex) << VERDICT_BITS;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return leave_to_resolve(carrier->xdp, fib.ifindex);
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		if (carrier_answers_check(carrier))
			return VERDICT_REPORT_CHECK;
		/*
		 * Somebody has taken back the setting that the look-up wants. Where there is only one way
		 * out, the host can still find the next hop.
		 */
		if (!has_one_interface())
			return VERDICT_REPORT_NO_ROUTE;
		return leave_to_resolve(carrier->xdp, fib.ifindex);
	default:
		return carrier_answers_check(carrier) ? VERDICT_REPORT_CHECK :
							VERDICT_REPORT_NO_ROUTE;
	}
}

/* Of its own for the stack. Returns as carrier_send() does. */
__noinline int carrier_go_on(struct xdp_md *xdp, __u32 link_header_length, __u32 outer_length,
			     __u32 option_length)
{
	struct carrier carrier = {
		.xdp = xdp,
		.link_header_length = link_header_length & LINK_HEADER_MASK,
		.outer_length = outer_length,
		.option_length = option_length,
	};

	if (carrier_find(&carrier, link_header_length + outer_length))
		return VERDICT_REPORT_NO_ROOM;
	carrier.version = carrier.ip->version;
	if (carrier_is_short(&carrier) || carrier_cut(&carrier))
		return VERDICT_REPORT_NO_ROOM;
	return carrier_send(&carrier);
}

#endif
