/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv4 options of packets to a service. They are the server's: only that they can be walked over (RFC 791)
 * is seen to here. What they say, a load report that a client pretends to have included, nobody asks.
 */
#ifndef PLIMSOLL_IP_OPTIONS_H
#define PLIMSOLL_IP_OPTIONS_H

#include "packet.h"

#define IP_OPTIONS_MAX 40
#define OPTION_END 0
#define OPTION_NOP 1

static __always_inline int options_load(struct xdp_md *xdp, __u32 at, __u32 length, __u8 *options)
{
	/* See trace_copy(): the very register, and no comparison with 0. */
	length--;
	asm volatile("" : "+r"(length));
	if (length >= IP_OPTIONS_MAX)
		return -1;
	return (int)bpf_xdp_load_bytes(xdp, at, options, length + 1);
}

struct options_walk {
	__u8 bytes[64]; /* a power of two, in which every masked index is */
	__u32 place, length;
	__u32 broken;
};

/* For bpf_loop(): from one option to the next. */
static long option_step(__u32 number, struct options_walk *walk)
{
	__u32 place = walk->place, size;
	__u8 type = walk->bytes[place & 63];

	if (place >= walk->length || type == OPTION_END)
		return 1;
	size = walk->bytes[(place + 1) & 63];
	if (type == OPTION_NOP)
		size = 1;
	else if (size < 2)
		size = IP_OPTIONS_MAX + 1; /* leads nowhere */
	walk->place = place + size;
	walk->broken = walk->place > walk->length;
	return walk->broken;
}

/* Whether each option ends where the next one begins. A function of its own for the verifier. */
__noinline int options_are_sound(struct xdp_md *xdp, __u32 at, __u32 length)
{
	struct options_walk walk = {.length = length};

	if (options_load(xdp, at, length, walk.bytes))
		return 0;
	bpf_loop(IP_OPTIONS_MAX, option_step, &walk, 0);
	return !walk.broken;
}

/* VERDICT_MALFORMED where a packet's options are not what they say; mostly there are none. */
static __always_inline enum verdict options_check(struct xdp_md *xdp, const struct packet *packet)
{
	__u32 length = packet->ip_header_length - sizeof(struct iphdr);

	if (packet->version != 4 || !length ||
	    options_are_sound(xdp, packet->link_header_length + sizeof(struct iphdr), length))
		return VERDICT_NONE;
	return VERDICT_MALFORMED;
}

#endif
