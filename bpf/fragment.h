/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments. Only the first one bears ports: it leaves word of the backend that it was sent to, and the
 * later ones, which say by identification whose they are (RFC 791, RFC 8200 4.5), follow it there.
 */
#ifndef PLIMSOLL_FRAGMENT_H
#define PLIMSOLL_FRAGMENT_H

#include "bucket.h"
#include "hash.h"
#include "maps.h"
#include "packet.h"

/* A slot: fingerprint (28 bits) | backend (20) | tick (16). */
#define FRAGMENT_TICK_SHIFT 24 /* a tick is 2^24 ns, 17 ms */
#define FRAGMENT_TICK_BITS 16
#define FRAGMENT_TICK_MASK ((1U << FRAGMENT_TICK_BITS) - 1)
#define FRAGMENT_BACKEND_MASK ((1U << (BUCKET_FINGERPRINT_SHIFT - FRAGMENT_TICK_BITS)) - 1)
/* In the backend's place: the first fragment was left to the host. */
#define FRAGMENT_TO_HOST FRAGMENT_BACKEND_MASK
/* 15 s, which RFC 791 proposes for reassembly: then the identification may be another packet's. */
#define FRAGMENT_LIFE (15000000000ULL >> FRAGMENT_TICK_SHIFT)
#define TCP_FLAGS_AT 13
#define FRAGMENT_SALT 0x9e3779b97f4a7c15ULL

/* What is read of a fragment beyond the headers that all packets have. */
struct fragment {
	__u64 hash; /* of the packet that it is a part of */
	__u32 rest; /* offset in the frame of what follows the last header of the fragment itself */
	__u8 protocol; /* of that; in IPv6 it may be an extension header */
	__u8 is_first;
};

static __always_inline __u32 fragment_tick(void)
{
	return bpf_ktime_get_coarse_ns() >> FRAGMENT_TICK_SHIFT & FRAGMENT_TICK_MASK;
}

static __always_inline __u32 fragment_age(__u64 value, __u32 tick)
{
	return (tick - (__u32)value) & FRAGMENT_TICK_MASK;
}

/* In IPv6 the protocol is no part of what says which packet it is: RFC 8200, 4.5. */
static __always_inline __u64 fragment_hash(const struct packet *packet, __u64 seed,
					   __be32 identification, __u8 protocol)
{
	return hash_ends(seed ^ FRAGMENT_SALT, &packet->source, &packet->to.address,
			 identification >> 16, identification & 0xFFFF, protocol);
}

/* Reads what a packet that was PARSED_FRAGMENT says of itself. 0, or VERDICT_MALFORMED. */
static __noinline enum verdict fragment_read(struct xdp_md *xdp, const struct packet *packet,
					     __u64 seed, struct fragment *fragment)
{
	__u32 at = packet->link_header_length + packet->ip_header_length;
	struct extension_header header;

	if (!packet_is_whole(xdp, packet))
		return VERDICT_MALFORMED;
	if (packet->version == 4) {
		fragment->hash = fragment_hash(packet, seed, packet->ip->id, packet->to.protocol);
		fragment->is_first = !(packet->ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET));
		fragment->protocol = packet->to.protocol;
		fragment->rest = at;
	} else {
		if (packet_load(xdp, at, &header, sizeof(header)))
			return VERDICT_MALFORMED;
		fragment->hash = fragment_hash(packet, seed, header.identification, 0);
		fragment->is_first = !(header.fragment & bpf_htons(IPV6_FRAGMENT_OFFSET));
		fragment->protocol = header.next_header;
		fragment->rest = at + sizeof(header);
	}
	return packet->length + packet->link_header_length > fragment->rest ? VERDICT_NONE :
									      VERDICT_MALFORMED;
}

/*
 * Reads the ports of a first fragment into the packet. All of the transport's header must be in it: RFC
 * 3128 says why for TCP, RFC 7112 for IPv6.
 */
static __noinline enum verdict fragment_read_ports(struct xdp_md *xdp, struct packet *packet,
						   const struct fragment *fragment)
{
	__u32 end = packet->link_header_length + packet->length, at = fragment->rest, extensions;
	struct {
		__be16 source, destination;
	} ports;
	__u32 length;

	packet->to.protocol = fragment->protocol;
	if (packet->version == 6 && is_extension(packet->to.protocol)) {
		extensions = parse_extensions(xdp, at, packet->to.protocol);
		if (extensions >> EXTENSIONS_RESULT_SHIFT != PARSED_TCP)
			return VERDICT_MALFORMED;
		at = extensions & 0xFFFF;
		packet->to.protocol = extensions >> EXTENSIONS_PROTOCOL_SHIFT;
	}
	if (!has_ports(packet->to.protocol))
		return VERDICT_NOT_OURS;
	length = packet->to.protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
	if (at + length > end || packet_load(xdp, at, &ports, sizeof(ports)))
		return VERDICT_MALFORMED;
	packet->source_port = ports.source;
	packet->to.port = ports.destination;
	packet->tcp_flags = 0;
	if (packet->to.protocol == IPPROTO_TCP &&
	    packet_load(xdp, at + TCP_FLAGS_AT, &packet->tcp_flags, sizeof(packet->tcp_flags)))
		return VERDICT_MALFORMED;
	return VERDICT_NONE;
}

/* Where a fragment's first one went; BACKEND_NONE if that is not known, or too long ago. */
__noinline __u32 fragment_find(__u64 hash)
{
	__u32 index = hash & (FRAGMENT_BUCKETS - 1);
	struct bucket *bucket = bpf_map_lookup_elem(&fragments, &index);
	__u64 value;

	if (!bucket || !bucket_find(bucket, bucket_fingerprint(hash), &value) ||
	    fragment_age(value, fragment_tick()) > FRAGMENT_LIFE)
		return BACKEND_NONE;
	return value >> FRAGMENT_TICK_BITS & FRAGMENT_BACKEND_MASK;
}

/*
 * In the place of what has the same fingerprint, or else of the oldest. Of its own for the stack.
 */
__noinline int fragment_remember(__u64 hash, __u32 backend)
{
	__u32 index = hash & (FRAGMENT_BUCKETS - 1), tick = fragment_tick(), oldest = 0, i;
	struct bucket *bucket = bpf_map_lookup_elem(&fragments, &index);
	__u64 fingerprint = bucket_fingerprint(hash), seen, victim = 0;
	__u64 value = fingerprint | (__u64)backend << FRAGMENT_TICK_BITS | tick;
	__u32 place = 0, age;

	if (!bucket)
		return 0;
	for (i = 0; i < BUCKET_SLOTS; i++) {
		seen = bucket_read(&bucket->slot[i]);
		age = fragment_age(seen, tick);
		if (!seen)
			age = FRAGMENT_TICK_MASK + 1;
		if (seen >> BUCKET_FINGERPRINT_SHIFT == fingerprint >> BUCKET_FINGERPRINT_SHIFT)
			age = FRAGMENT_TICK_MASK + 2;
		if (i == 0 || age > oldest) {
			oldest = age;
			victim = seen;
			place = i;
		}
	}
	return bucket_exchange(&bucket->slot[place & (BUCKET_SLOTS - 1)], victim, value);
}

#endif
