// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's half of the packet benchmark. A test run with many repetitions does not restore the
 * packet in between: harness() does, makes it the next flow's, and jumps into the program under
 * test. What harness() itself costs is measured with null(), and subtracted.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "checksum.h"
#include "packet.h"
#include "packet_recipe.h"

#define FIRST_CLIENT 0x0a400000 /* 10.64.0.0 */
#define PORTS_BITS 12 /* of a client's flows */
#define FIRST_PORT 1024
#define REPORT_LENGTH 32

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct recipe);
} recipe SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REPORT_VARIANTS);
	__type(key, __u32);
	__type(value, struct report_variant);
} variants SEC(".maps");

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	__u8 rest[HEADERS_LENGTH - sizeof(struct ethhdr) - sizeof(struct iphdr) -
		  sizeof(struct tcphdr)];
} __attribute__((packed));

static __always_inline void set_flow(struct headers *headers, __u32 flow)
{
	headers->ip.saddr = bpf_htonl(FIRST_CLIENT + (flow >> PORTS_BITS));
	headers->tcp.source = bpf_htons(FIRST_PORT + (flow & ((1 << PORTS_BITS) - 1)));
}

static __always_inline void set_report(struct headers *headers, __u32 number)
{
	__u32 index = number & (REPORT_VARIANTS - 1);
	const struct report_variant *variant = bpf_map_lookup_elem(&variants, &index);

	if (!variant)
		return;
	__builtin_memcpy((void *)headers + __builtin_offsetof(struct headers, tcp), variant->option,
			 REPORT_LENGTH); /* where TCP would be without */
	headers->ip.check = variant->checksum;
}

SEC("xdp")
int harness(struct xdp_md *xdp)
{
	__u32 zero = 0, length = xdp->data_end - xdp->data, number;
	struct recipe *next = bpf_map_lookup_elem(&recipe, &zero);
	struct headers *headers;

	if (!next)
		return XDP_ABORTED;
	if (length != next->frame_length &&
	    bpf_xdp_adjust_head(xdp, (int)(length - next->frame_length)))
		return XDP_ABORTED;
	headers = (void *)(long)xdp->data;
	if ((void *)(headers + 1) > (void *)(long)xdp->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(headers, next->headers, sizeof(*headers));
	number = next->counter++;
	if (next->with_report)
		set_report(headers, number);
	else
		set_flow(headers, next->flows ? number & (next->flows - 1) : number);
	bpf_tail_call(xdp, &target, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int null(struct xdp_md *xdp)
{
	return XDP_TX;
}

/* As the balancer does with a report: what harness() then has to undo is its own cost. */
SEC("xdp")
int null_cutting(struct xdp_md *xdp)
{
	bpf_xdp_adjust_head(xdp, REPORT_LENGTH);
	return XDP_TX;
}

/* The same for a packet that grows by an outer header. */
SEC("xdp")
int null_growing(struct xdp_md *xdp)
{
	bpf_xdp_adjust_head(xdp, -(int)sizeof(struct iphdr));
	return XDP_TX;
}

/* The least that any balancer does: parse, rewrite, send. No table, no counter. */
SEC("xdp")
int floor_l2(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	static const __u8 mac[ETH_ALEN] = {2, 0, 0, 0, 0, 0x11};
	struct packet packet;

	if (packet_parse(xdp, data, end, end - data, &packet) != PARSED_TCP)
		return XDP_PASS;
	mac_copy(packet.eth->h_source, packet.eth->h_dest);
	mac_copy(packet.eth->h_dest, mac);
	return XDP_TX;
}

/* The same, with an outer header in front. */
SEC("xdp")
int floor_ipip(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	static const __u8 mac[2][ETH_ALEN] = {{2, 0, 0, 0, 0, 0x11}, {2, 0, 0, 0, 0, 0x12}};
	struct ethhdr *eth;
	struct packet packet;
	struct iphdr *outer;
	__u32 length;

	if (packet_parse(xdp, data, end, end - data, &packet) != PARSED_TCP)
		return XDP_PASS;
	length = packet.length;
	if (bpf_xdp_adjust_head(xdp, -(int)sizeof(*outer)))
		return XDP_PASS;
	eth = (void *)(long)xdp->data;
	outer = (void *)(eth + 1);
	if ((void *)(outer + 1) > (void *)(long)xdp->data_end)
		return XDP_PASS;
	mac_copy(eth->h_dest, mac[0]);
	mac_copy(eth->h_source, mac[1]);
	eth->h_proto = bpf_htons(ETH_P_IP);
	*outer = (struct iphdr){
		.version = 4,
		.ihl = sizeof(*outer) / 4,
		.tot_len = bpf_htons(length + sizeof(*outer)),
		.ttl = 64,
		.protocol = IPPROTO_IPIP,
		.saddr = bpf_htonl(0x0a010002),
		.daddr = bpf_htonl(0x0a010011),
	};
	ip_checksum_write(outer);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
