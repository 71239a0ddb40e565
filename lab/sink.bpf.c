/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In pass.bpf.c's place on the switch, where what a flood has sent is to end at little cost. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	return (bpf_ntohl(ip->saddr) & ~FLOOD_CLIENTS_MASK) == FLOOD_CLIENTS ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
