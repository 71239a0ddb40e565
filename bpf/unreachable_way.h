/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of a datagram that no backend is up for, where `all_down` says reset: its client is told "port
 * unreachable" (RFC 792, RFC 4443), as by a host where nobody listens; no more often than of packets that
 * are too big.
 */
#ifndef PLIMSOLL_UNREACHABLE_WAY_H
#define PLIMSOLL_UNREACHABLE_WAY_H

#include "context.h"
#include "too_big.h"

#define ICMP_PORT_UNREACHABLE 3 /* code of ICMP_UNREACHABLE */
#define ICMPV6_PORT_UNREACHABLE 4

/* No single host: nobody who could be told (RFC 1122, 3.2.2; RFC 4443, 2.4). */
static __always_inline int is_nobody(const struct packet *packet)
{
	const struct ip_address *source = &packet->source;
	__u32 first = bpf_ntohl(source->word[packet->version == 4 ? 3 : 0]) >> 24;

	if (packet->version == 4)
		return first == 0 || first == 127 || first >= 224;
	return first == 0xFF ||
	       !(source->word[0] | source->word[1] | source->word[2] | source->word[3]);
}

/* All of the packet if it is not longer than `most`. Returns its length, or 0. */
static __always_inline __u32 quote_read(struct xdp_md *xdp, const struct packet *packet,
					struct quote *quote, __u32 most)
{
	__u32 length = packet->length, i;

	if (length > most)
		length = most;
	/* Once: the very register that is compared is to bound the access. */
	asm volatile("" : "+r"(length));
	if (length < sizeof(struct iphdr) + sizeof(struct udphdr) || length > QUOTE_IPV6)
		return 0;
	if (bpf_xdp_load_bytes(xdp, packet->link_header_length, quote->bytes, length))
		return 0;
		/* The checksum is made of words. */
#pragma unroll
	for (i = 0; i < 3; i++)
		quote->bytes[length + i] = 0;
	return length;
}

static __always_inline __u32 quote_sum(const struct quote *quote, __u32 length, __u32 sum)
{
	__u32 done;

	length = (length + 3) & ~3U;
#pragma unroll
	for (done = 0; done < sizeof(quote->bytes); done += CHECKSUM_PIECE) {
		__u32 piece = length > done ? length - done : 0;

		if (piece > CHECKSUM_PIECE)
			piece = CHECKSUM_PIECE;
		/* As in trace_copy(): the register that is compared, and no comparison with 0. */
		piece--;
		asm volatile("" : "+r"(piece));
		if (piece < CHECKSUM_PIECE)
			sum = bpf_csum_diff(0, 0, (__be32 *)&quote->bytes[done], piece + 1, sum);
	}
	return sum;
}

/* The packet stays where it is; the error's headers come in front of it, and its end is cut off. */
static __always_inline int unreachable_write(struct xdp_md *xdp, __u32 link_length, void *headers,
					     __u32 headers_length, __u32 quoted)
{
	int excess;

	if (link_header_move(xdp, link_length, headers_length) || link_length > LINK_HEADER_MAX ||
	    bpf_xdp_store_bytes(xdp, link_length, headers, headers_length))
		return -1;
	excess = (int)bpf_xdp_get_buff_len(xdp) - (int)(link_length + headers_length + quoted);
	if (excess < 0)
		return -1;
	return (int)bpf_xdp_adjust_tail(xdp, -excess);
}

static __always_inline int unreachable_make(struct xdp_md *xdp, const struct packet *packet,
					    struct quote *quote)
{
	__u32 most = packet->version == 4 ? QUOTE_IPV4 : QUOTE_IPV6;
	__u32 length = quote_read(xdp, packet, quote, most), sum;
	struct error_ipv4 ipv4;
	struct error_ipv6 ipv6;

	if (!length)
		return -1;
	if (packet->version == 4) {
		error_ipv4_fill(&ipv4, packet, ICMP_PORT_UNREACHABLE, 0, length);
		sum = checksum_add(0, &ipv4.icmp, sizeof(ipv4.icmp));
		ipv4.icmp.checksum = ~checksum_fold(quote_sum(quote, length, sum));
		return unreachable_write(xdp, packet->link_header_length, &ipv4, sizeof(ipv4),
					 length);
	}
	error_ipv6_fill(&ipv6, packet, ICMPV6_UNREACHABLE, ICMPV6_PORT_UNREACHABLE, 0, length);
	sum = checksum_add(pseudo_header_sum(&ipv6), &ipv6.icmp, sizeof(ipv6.icmp));
	ipv6.icmp.checksum = ~checksum_fold(quote_sum(quote, length, sum));
	return unreachable_write(xdp, packet->link_header_length, &ipv6, sizeof(ipv6), length);
}

static __always_inline enum verdict tell_unreachable(struct context *context)
{
	struct icmp_errors *errors = icmp_errors_here();
	__u32 zero = 0;
	struct quote *quote = bpf_map_lookup_elem(&quotes, &zero);

	if (!errors || !quote || !may_be_told_of(&context->packet, parse(context)) ||
	    is_nobody(&context->packet) || !error_allowed(errors) ||
	    unreachable_make(context->xdp, &context->packet, quote))
		return VERDICT_ALL_DOWN;
	context->action = XDP_TX;
	return VERDICT_UNREACHABLE;
}

SEC("xdp")
int unreachable_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, tell_unreachable(&context));
}

#endif
