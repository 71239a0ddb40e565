/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Makes frames of invented clients, each time another; flood.c has them run and sent. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

/* As every frame begins: what has been sent comes back with other people's addresses in it. */
const volatile __u8 ethernet[ETH_HLEN] = {0};
/* What does not change, added up as the Internet checksum has it (RFC 1071). */
const volatile __u32 ip_sum = 0, tcp_sum = 0;
const volatile __u32 kind = FLOOD_SYN;
const volatile __u64 seed = 0;
/* Of forged reports: the service, and whose load they claim to tell. Network byte order. */
const volatile __u32 service = 0, server = 0;
const volatile __u16 service_port = 0;
__u64 count; /* of frames: only one test run at a time makes them */

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static __always_inline __u16 finish(__u32 sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return bpf_htons(~sum);
}

/* Numbers that do not look it. */
static __always_inline __u64 scatter(__u64 number)
{
	number = (number + seed) * 0x9E3779B97F4A7C15ULL;
	number ^= number >> 29;
	number *= 0xBF58476D1CE4E5B9ULL;
	return number ^ number >> 32;
}

SEC("xdp")
int flood(struct xdp_md *xdp)
{
	struct frame *frame = (void *)(long)xdp->data;
	__u32 client, port, flags, sequence, i;
	__u64 number = count++, invented;

	if ((void *)(frame + 1) > (void *)(long)xdp->data_end)
		return XDP_ABORTED;
	for (i = 0; i < ETH_HLEN; i++)
		((__u8 *)frame)[i] = ethernet[i];
	flags = kind == FLOOD_ACK ? FLOOD_FLAGS_ACK : FLOOD_FLAGS_SYN;
	if (kind == FLOOD_OPEN && number & 1)
		flags = FLOOD_FLAGS_ACK;
	invented = scatter(kind == FLOOD_OPEN ? number >> 1 : number);
	client = FLOOD_CLIENTS | (invented & FLOOD_CLIENTS_MASK);
	port = 1024 + (invented >> 32 & 0xFFFF) % 64512;
	sequence = invented >> 20;
	frame->ip.saddr = bpf_htonl(client);
	frame->ip.check = finish(ip_sum + (client >> 16) + (client & 0xFFFF));
	frame->tcp.source = bpf_htons(port);
	frame->tcp.seq = bpf_htonl(sequence);
	((__u8 *)&frame->tcp)[13] = flags;
	frame->tcp.check = finish(tcp_sum + (client >> 16) + (client & 0xFFFF) + port + flags +
				  (sequence >> 16) + (sequence & 0xFFFF));
	return XDP_TX;
}

/* doc/wire-format.md: type, length, magic, version 1 with a tag. */
#define REPORT_BEGINS 0x5E20B718
#define REPORT_WORDS 8

struct carrier {
	struct ethhdr eth;
	struct iphdr ip;
	__be32 report[REPORT_WORDS];
	struct tcphdr tcp;
} __attribute__((packed));

static __always_inline void carrier_check(struct carrier *carrier)
{
	const __be16 *half = (void *)&carrier->ip;
	__u32 sum = 0, i;

	for (i = 0; i < (sizeof(carrier->ip) + sizeof(carrier->report)) / sizeof(*half); i++)
		sum += bpf_ntohs(half[i]);
	carrier->ip.check = finish(sum);
}

SEC("xdp")
int flood_reports(struct xdp_md *xdp)
{
	struct carrier *carrier = (void *)(long)xdp->data;
	__u64 invented = scatter(count++);
	__u32 i;

	if ((void *)(carrier + 1) > (void *)(long)xdp->data_end)
		return XDP_ABORTED;
	for (i = 0; i < ETH_HLEN; i++)
		((__u8 *)carrier)[i] = ethernet[i];
	carrier->ip = (struct iphdr){
		.version = 4,
		.ihl = (sizeof(carrier->ip) + sizeof(carrier->report)) / 4,
		.tot_len = bpf_htons(sizeof(*carrier) - sizeof(carrier->eth)),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = service,
		.daddr = bpf_htonl(FLOOD_CLIENTS | (invented & FLOOD_CLIENTS_MASK)),
	};
	carrier->report[0] = bpf_htonl(REPORT_BEGINS);
	carrier->report[1] = server;
	for (i = 2; i < REPORT_WORDS; i++)
		carrier->report[i] = (__be32)scatter(invented + i);
	carrier_check(carrier);
	carrier->tcp = (struct tcphdr){
		.source = service_port, .dest = (__be16)(invented >> 40), .doff = 5, .ack = 1};
	return XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
