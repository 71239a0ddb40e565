/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a report carrier when its report has been read: the option is cut out, and the
 * packet goes on to its client.
 */
#ifndef PLIMSOLL_CARRIER_H
#define PLIMSOLL_CARRIER_H

#include "check.h"
#include "checksum.h"
#include "maps.h"
#include "packet.h"

#define AF_INET 2

/* How functions of their own tell both: the verdict, and the action << VERDICT_BITS. */
#define VERDICT_BITS 8

struct carrier {
	struct xdp_md *xdp;
	struct ethhdr *eth;
	struct iphdr *ip;
	__u32 link_header_length;
};

/* VLAN tags, of which there may be none, are moved with the Ethernet header. */
struct moved_headers {
	struct ethhdr eth;
	__u8 tags[VLAN_TAGS_MAX * sizeof(struct vlan_header)];
	__u32 tags_length;
	struct iphdr ip;
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

/* The headers, wherever the packet begins now; 0 if they are there. */
static __always_inline int carrier_find(struct carrier *carrier)
{
	void *data = (void *)(long)carrier->xdp->data;
	void *end = (void *)(long)carrier->xdp->data_end;
	struct iphdr *ip = data + (carrier->link_header_length & LINK_HEADER_MASK);

	/* Once: another sum of the two would to the verifier be another pointer. */
	asm volatile("" : "+r"(ip));
	carrier->eth = data;
	carrier->ip = ip;
	return (void *)(carrier->eth + 1) > end || (void *)(ip + 1) > end;
}

/* Takes the option out: the headers before it move up over it. */
static __always_inline int carrier_cut(struct carrier *carrier, __u32 length)
{
	struct moved_headers headers;

	headers.eth = *carrier->eth;
	headers.ip = *carrier->ip;
	headers.tags_length = carrier->link_header_length - sizeof(headers.eth);
	headers.ip.ihl = sizeof(headers.ip) / 4;
	headers.ip.tot_len = bpf_htons(bpf_ntohs(headers.ip.tot_len) - length);
	if (headers.tags_length && tags_load(carrier->xdp, &headers))
		return -1;
	if (bpf_xdp_adjust_head(carrier->xdp, (int)length) || carrier_find(carrier))
		return -1;
	*carrier->eth = headers.eth;
	*carrier->ip = headers.ip;
	ip_checksum_write(carrier->ip);
	return headers.tags_length ? (int)tags_store(carrier->xdp, &headers) : 0;
}

/*
 * The client's next hop is not known: leave the packet to the host, with a note for resolve() of
 * balancer.bpf.c. The kernel asks for the MAC address and keeps the packet meanwhile.
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
	return ifindex == xdp->ingress_ifindex ? (int)XDP_TX : (int)bpf_redirect(ifindex, 0);
}

static __always_inline int has_one_interface(void)
{
	__u32 zero = 0;
	const struct settings *current = bpf_map_lookup_elem(&settings, &zero);

	return current && !current->interfaces[1].ifindex;
}

/* VERDICT_NONE, and the action << VERDICT_BITS, if it is on its way. */
static __always_inline int carrier_send(const struct carrier *carrier)
{
	const struct iphdr *ip = carrier->ip;
	struct bpf_fib_lookup fib = {
		.family = AF_INET,
		.tos = ip->tos,
		.l4_protocol = ip->protocol,
		.tot_len = bpf_ntohs(ip->tot_len),
		.ipv4_src = ip->saddr,
		.ipv4_dst = ip->daddr,
		.ifindex = carrier->xdp->ingress_ifindex,
	};

	switch (bpf_fib_lookup(carrier->xdp, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		mac_copy(carrier->eth->h_dest, fib.dmac);
		mac_copy(carrier->eth->h_source, fib.smac);
		return send_by(carrier->xdp, fib.ifindex) << VERDICT_BITS;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return leave_to_resolve(carrier->xdp, fib.ifindex);
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		/*
		 * Somebody has taken back the setting that the look-up wants. Where there is only one way
		 * out, the host can still find the next hop.
		 */
		if (!has_one_interface())
			return VERDICT_REPORT_NO_ROUTE;
		return leave_to_resolve(carrier->xdp, fib.ifindex);
	default:
		return VERDICT_REPORT_NO_ROUTE;
	}
}

/* The answer to a check is the host's. */
static __always_inline int carrier_answers_check(const struct carrier *carrier)
{
	const struct tcphdr *tcp = (void *)(carrier->ip + 1);
	struct ip_address service = address_from_ipv4(carrier->ip->saddr);

	return (void *)(tcp + 1) <= (void *)(long)carrier->xdp->data_end &&
	       check_is_answer(&service, tcp->source, tcp->dest);
}

/* Of its own for the stack. Returns as carrier_send() does. */
__noinline int carrier_go_on(struct xdp_md *xdp, __u32 link_header_length, __u32 option_length)
{
	struct carrier carrier = {.xdp = xdp, .link_header_length = link_header_length};

	if (carrier_find(&carrier) || carrier_cut(&carrier, option_length))
		return VERDICT_REPORT_NO_ROOM;
	if (carrier_answers_check(&carrier))
		return VERDICT_REPORT_CHECK;
	return carrier_send(&carrier);
}

#endif
