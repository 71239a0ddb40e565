/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Telling a client that its packets are too big for the way to the backend: "fragmentation needed" (RFC
 * 792, RFC 1191) or "packet too big" (RFC 4443), in the VIP's name, at most so many a second.
 */
#ifndef PLIMSOLL_TOO_BIG_H
#define PLIMSOLL_TOO_BIG_H

#include "icmp.h"
#include "maps.h"

/* On each CPU; as many as Linux sends of its own (icmp_msgs_per_sec, icmp_msgs_burst). */
#define ERRORS_PER_SECOND 1000
#define ERRORS_BURST 50
#define ERROR_NS (1000000000ULL / ERRORS_PER_SECOND)

/* So much of the packet is quoted that the error is 576 bytes (RFC 1812, 4.3.2.3), or 1280 (RFC 4443, 2.4). */
#define QUOTE_IPV4 (576 - sizeof(struct iphdr) - sizeof(struct icmp_header))
#define QUOTE_IPV6 (1280 - sizeof(struct ipv6hdr) - sizeof(struct icmp_header))
/* What bpf_csum_diff() takes at once. */
#define CHECKSUM_PIECE 512
#define LINK_HEADER_MAX (ETH_HLEN + VLAN_TAGS_MAX * sizeof(struct vlan_header))

struct error_ipv4 {
	struct iphdr ip;
	struct icmp_header icmp;
};

struct error_ipv6 {
	struct ipv6hdr ip6;
	struct icmp_header icmp;
};

static __always_inline struct icmp_errors *icmp_errors_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&icmp_errors, &zero);
}

/* Links of which the MTU is less than IPv6's least are not looked for: so most packets need no look at all. */
#define SURELY_FITS (1280 - sizeof(struct ipv6hdr))

/*
 * Whether a packet of so many bytes is too big for the interface when an outer header of so many is before
 * it. Then it is noted what would fit. Of its own for the stack.
 */
__noinline int is_too_big(struct xdp_md *xdp, __u32 ifindex, __u32 length, __u32 outer_length)
{
	struct icmp_errors *errors = icmp_errors_here();
	__u32 mtu = length;

	if (!errors ||
	    bpf_check_mtu(xdp, ifindex, &mtu, (int)outer_length, 0) != BPF_MTU_CHK_RET_FRAG_NEEDED)
		return 0;
	errors->mtu = mtu - outer_length;
	return 1;
}

/* May this CPU send one more? */
static __always_inline int error_allowed(struct icmp_errors *errors)
{
	__u64 now = bpf_ktime_get_ns();

	if (errors->spent_until_ns + ERRORS_BURST * ERROR_NS < now)
		errors->spent_until_ns = now - ERRORS_BURST * ERROR_NS;
	if (errors->spent_until_ns + ERROR_NS > now)
		return 0;
	errors->spent_until_ns += ERROR_NS;
	return 1;
}

/* Of the bytes at `quote`, which must be there; added to `sum`. */
static __always_inline __u32 checksum_of_quote(void *quote, __u32 length, __u32 sum)
{
	__u32 done;

#pragma unroll
	for (done = 0; done + CHECKSUM_PIECE <= length; done += CHECKSUM_PIECE)
		sum = bpf_csum_diff(0, 0, quote + done, CHECKSUM_PIECE, sum);
	return bpf_csum_diff(0, 0, quote + done, length - done, sum);
}

/* code: of "unreachable". */
static __always_inline void error_ipv4_fill(struct error_ipv4 *error, const struct packet *packet,
					    __u8 code, __u32 rest, __u32 quote)
{
	*error = (struct error_ipv4){
		.ip =
			{
				.version = 4,
				.ihl = sizeof(error->ip) / 4,
				.tos = 0xC0, /* internetwork control: RFC 1812, 4.3.2.5 */
				.tot_len = bpf_htons(sizeof(*error) + quote),
				.frag_off = bpf_htons(0x4000),
				.ttl = OWN_TTL,
				.protocol = IPPROTO_ICMP,
				.saddr = packet->to.address.word[3],
				.daddr = packet->source.word[3],
			},
		.icmp =
			{
				.type = ICMP_UNREACHABLE,
				.code = code,
				.rest = bpf_htonl(rest),
			},
	};
	ip_checksum_write(&error->ip);
}

static __always_inline void error_ipv6_fill(struct error_ipv6 *error, const struct packet *packet,
					    __u8 type, __u8 code, __u32 rest, __u32 quote)
{
	*error = (struct error_ipv6){
		.ip6 =
			{
				.version = 6,
				.payload_len = bpf_htons(sizeof(error->icmp) + quote),
				.nexthdr = IPPROTO_ICMPV6,
				.hop_limit = OWN_TTL,
			},
		.icmp = {.type = type, .code = code, .rest = bpf_htonl(rest)},
	};
	__builtin_memcpy(&error->ip6.saddr, &packet->to.address, sizeof(error->ip6.saddr));
	__builtin_memcpy(&error->ip6.daddr, &packet->source, sizeof(error->ip6.daddr));
}

/* Of the pseudo-header: RFC 8200, 8.1. */
static __always_inline __u32 pseudo_header_sum(const struct error_ipv6 *error)
{
	__u32 sum = checksum_add(0, &error->ip6.saddr, 2 * sizeof(error->ip6.saddr));

	return sum + error->ip6.payload_len + bpf_htons(IPPROTO_ICMPV6);
}

/* Makes room in front of the packet for `length` bytes, and puts the link header, turned round, there. */
static __always_inline int link_header_move(struct xdp_md *xdp, __u32 link_length, __u32 length)
{
	__u8 link[LINK_HEADER_MAX], mac[ETH_ALEN];

	if (bpf_xdp_load_bytes(xdp, 0, link, sizeof(link)))
		return -1;
	mac_copy(mac, link);
	mac_copy(link, link + ETH_ALEN);
	mac_copy(link + ETH_ALEN, mac);
	if (bpf_xdp_adjust_head(xdp, -(int)length))
		return -1;
	/* See trace_copy(): the very register that is compared. */
	link_length -= ETH_HLEN;
	asm volatile("" : "+r"(link_length));
	if (link_length > sizeof(link) - ETH_HLEN)
		return -1;
	return (int)bpf_xdp_store_bytes(xdp, 0, link, link_length + ETH_HLEN);
}

/*
 * The last step for both families: the error's headers are in front of the packet as it came; writes the
 * checksum of what is kept of that, and cuts off the rest.
 */
static __always_inline int error_finish(struct xdp_md *xdp, __u32 link_length, void *headers,
					__u32 headers_length, __u32 quote, __u16 *checksum,
					__u32 sum)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	void *quoted = data + link_length + headers_length;

	if (link_length > LINK_HEADER_MAX || quoted + quote > end)
		return -1;
	*checksum = ~checksum_fold(checksum_of_quote(quoted, quote, sum));
	if (bpf_xdp_store_bytes(xdp, link_length, headers, headers_length))
		return -1;
	return (int)bpf_xdp_adjust_tail(xdp, (int)(quoted + quote - end));
}

/* Not of a piece that is not the first (RFC 1122, 3.2.2), and not of an error. */
static __always_inline int may_be_told_of(const struct packet *packet, enum parse_result parsed)
{
	if (parsed == PARSED_FRAGMENT)
		return packet->version == 6 ||
		       !(packet->ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET));
	return parsed == PARSED_TCP || parsed == PARSED_UDP;
}

static __always_inline int error_make(struct xdp_md *xdp, const struct packet *packet, __u32 mtu)
{
	__u32 link_length = packet->link_header_length;
	struct error_ipv4 ipv4;
	struct error_ipv6 ipv6;

	if (packet->version == 4) {
		error_ipv4_fill(&ipv4, packet, ICMP_FRAGMENTATION_NEEDED, mtu, QUOTE_IPV4);
		return link_header_move(xdp, link_length, sizeof(ipv4)) ||
		       error_finish(xdp, link_length, &ipv4, sizeof(ipv4), QUOTE_IPV4,
				    &ipv4.icmp.checksum,
				    checksum_add(0, &ipv4.icmp, sizeof(ipv4.icmp)));
	}
	error_ipv6_fill(&ipv6, packet, ICMPV6_PACKET_TOO_BIG, 0, mtu, QUOTE_IPV6);
	return link_header_move(xdp, link_length, sizeof(ipv6)) ||
	       error_finish(xdp, link_length, &ipv6, sizeof(ipv6), QUOTE_IPV6, &ipv6.icmp.checksum,
			    checksum_add(pseudo_header_sum(&ipv6), &ipv6.icmp, sizeof(ipv6.icmp)));
}

#endif
