// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's half of the server's part of the packet benchmark: as packet.bpf.c, but of type tc.
 * server_harness() also puts the connection into the meter as the row has it, or takes it out.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "packet_server_recipe.h"
#include "shared.h"

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
	__type(value, struct server_recipe);
} recipe SEC(".maps");

/* The server's own, of which the first bucket is the only one in use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bucket);
} meter SEC(".maps");

SEC("tc")
int server_harness(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct server_recipe *next = bpf_map_lookup_elem(&recipe, &zero);
	struct bucket *bucket = bpf_map_lookup_elem(&meter, &zero);
	void *frame;
	int i;

	if (!next || !bucket)
		return TC_ACT_SHOT;
	if (skb->len != next->frame_length &&
	    bpf_skb_adjust_room(skb, (int)(next->frame_length - skb->len), BPF_ADJ_ROOM_NET, 0))
		return TC_ACT_SHOT;
	frame = (void *)(long)skb->data;
	if (frame + SERVER_HEADERS_LENGTH > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	__builtin_memcpy(frame, next->headers, SERVER_HEADERS_LENGTH);
	bucket->slot[0] = next->slot;
#pragma unroll
	for (i = 1; i < BUCKET_SLOTS; i++)
		bucket->slot[i] = 0;
	bpf_tail_call(skb, &target, 0);
	return TC_ACT_SHOT;
}

SEC("tc")
int server_null(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

/* As the server does for a report: what server_harness() then has to undo is its own cost. */
SEC("tc")
int server_null_growing(struct __sk_buff *skb)
{
	bpf_skb_adjust_room(skb, SERVER_REPORT_LENGTH, BPF_ADJ_ROOM_NET, 0);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
