/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Internet checksum (RFC 1071) of IPv4 headers, with and without our option behind them. */
#ifndef PLIMSOLL_CHECKSUM_H
#define PLIMSOLL_CHECKSUM_H

#include <linux/ip.h>

#include "load_report.h"

static __always_inline __u32 checksum_add(__u32 sum, const void *data, int bytes)
{
	const __u16 *word = data;
	int i;

#pragma unroll
	for (i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

static __always_inline __u16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (sum & 0xFFFF) + (sum >> 16);
}

/* What a checksum becomes when one of its words changes (RFC 1624). */
static __always_inline __u16 checksum_change(__u16 checksum, __u16 was, __u16 is)
{
	return ~checksum_fold((__u32)(__u16)~checksum + (__u16)~was + is);
}

/* Of a header without options. */
static __always_inline void ip_checksum_write(struct iphdr *ip)
{
	ip->check = 0;
	ip->check = ~checksum_fold(checksum_add(0, ip, sizeof(*ip)));
}

/* The same sum by twice as long words: half as many steps. What is folded from it is the same. */
static __always_inline __u64 checksum_add_wide(__u64 sum, const void *data, int bytes)
{
	const __u32 *word = data;
	int i;

#pragma unroll
	for (i = 0; i < bytes / 4; i++)
		sum += word[i];
	return sum;
}

/* With the option, of which an unkeyed one has a tag of 0 that adds nothing. */
static __always_inline __u16 option_checksum(const struct iphdr *ip,
					     const struct load_report_option *option)
{
	__u64 sum =
		checksum_add_wide(checksum_add_wide(0, ip, sizeof(*ip)), option, sizeof(*option));

	/* 16 bits, and the carries of three more words. */
	return checksum_fold((__u32)(sum & 0xFFFF) + (__u32)(sum >> 16 & 0xFFFF) +
			     (__u32)(sum >> 32));
}

#endif
