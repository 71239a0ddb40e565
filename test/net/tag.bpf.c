/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A switch's trunk port, on kernels without VLAN devices: IP goes out with one tag or two, and comes in
 * without. ARP and neighbour discovery are left as they are: the port's own VLAN.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define CUSTOMER 100
#define SERVICE 200

SEC("tc/push")
int push(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IP) ?
		       bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), CUSTOMER) :
		       TC_ACT_OK;
}

SEC("tc/push2")
int push2(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), CUSTOMER);
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), SERVICE);
}

SEC("tc/pop")
int pop(struct __sk_buff *skb)
{
	return bpf_skb_vlan_pop(skb);
}

SEC("tc/pop2")
int pop2(struct __sk_buff *skb)
{
	bpf_skb_vlan_pop(skb);
	return bpf_skb_vlan_pop(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
