/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maximum segment size that a SYN-ACK offers. Where clients' packets come in an outer header, their
 * full segments have to leave room for it, or none of them would get here: offered is never more.
 */
#ifndef PLIMSOLL_CLAMP_H
#define PLIMSOLL_CLAMP_H

#include "packet.h"

#define TCP_OPTIONS_MAX 40
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2
#define TCP_OPTION_MSS_LENGTH 4

/* Where in the frame the value of the option stands; 0 if there is none. */
__noinline int mss_find(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	__u32 at = 0, i;

	if (!skb)
		return 0;
	for (i = 0; i < TCP_OPTIONS_MAX && at + TCP_OPTION_MSS_LENGTH <= length; i++) {
		__u8 option[2];

		if (bpf_skb_load_bytes(skb, offset + at, option, sizeof(option)) ||
		    option[0] == TCP_OPTION_END)
			return 0;
		if (option[0] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (option[0] == TCP_OPTION_MSS)
			return option[1] == TCP_OPTION_MSS_LENGTH ? (int)(offset + at + 2) : 0;
		if (option[1] < 2)
			return 0;
		at += option[1];
	}
	return 0;
}

/* tcp: where the header begins in the frame, which holds it whole. Never raises what is offered. */
__noinline int mss_clamp(struct __sk_buff *skb, __u32 tcp, __u32 header_length, __u32 most)
{
	__u16 offered = 0;
	__be16 before, after;
	int at;

	if (!skb || header_length <= sizeof(struct tcphdr))
		return 0;
	at = mss_find(skb, tcp + sizeof(struct tcphdr), header_length - sizeof(struct tcphdr));
	if (at <= 0 || bpf_skb_load_bytes(skb, at, &before, sizeof(before)))
		return 0;
	offered = bpf_ntohs(before);
	if (offered <= most)
		return 0;
	after = bpf_htons(most);
	if (bpf_skb_store_bytes(skb, at, &after, sizeof(after), 0))
		return 0;
	/* At an odd place its bytes belong to two words of the sum. */
	if ((at - tcp) & 1) {
		before = __builtin_bswap16(before);
		after = __builtin_bswap16(after);
	}
	bpf_l4_csum_replace(skb, tcp + offsetof(struct tcphdr, check), before, after,
			    sizeof(after));
	return 1;
}

#endif
