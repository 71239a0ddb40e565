/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a balancer's frames meet first on the switch: a veth hands on what its peer sends by
 * XDP_TX only if it has an XDP program itself.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* And what may stand in the way of others on an interface: it lets all pass, and ends the matter. */
SEC("tc")
int end(struct __sk_buff *skb)
{
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
