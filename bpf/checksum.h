/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Internet checksum (RFC 1071). */
#ifndef PLIMSOLL_CHECKSUM_H
#define PLIMSOLL_CHECKSUM_H

#include <linux/ip.h>

/* Writes the checksum of a header without options. */
static __always_inline void ip_checksum_write(struct iphdr *ip)
{
	__u16 *word = (__u16 *)ip;
	__u32 sum = 0;
	int i;

	ip->check = 0;
#pragma unroll
	for (i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xFFFF) + (sum >> 16);
	ip->check = ~((sum & 0xFFFF) + (sum >> 16));
}

#endif
