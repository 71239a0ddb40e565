/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The report: how a server tells a balancer its load, inside an ordinary response packet.
 * This header is the whole contract between the two machines. It is compiled into the
 * kernel's programs and into user space, and depends on nothing of Plimsoll's.
 *
 * IPv4: an option directly behind the 20 byte header; type 0x5E (94): not copied on
 * fragmentation, class 2 "debugging and measurement" (RFC 791), number 30, an RFC 3692-style
 * experiment of RFC 4727. All experiments share that number, hence the magic.
 * All fields are big-endian.
 *
 * IPv6: the same body in a destination options header of its own, directly behind the base header and
 * before the transport's; option type 0x1E (RFC 4727), whose length byte counts only what follows it.
 * In front of it stands a PadN of 6 bytes, so that the option begins at byte 8 of the header:
 *
 *    next header | 3, or 4 with a tag | 1 | 4 | 0 | 0 | 0 | 0 | option, 24 or 32 bytes
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+---------------+-------+-------+
 *  0 | type = 0x5E   | length 24, 32 | magic = 0xB7  | ver=1 | flags |
 *    +---------------+---------------+---------------+-------+-------+
 *  4 | server id: the server's own IPv4 address, or a 32-bit digest  |
 *    | of its IPv6 address                                           |
 *    +---------------------------------------------------------------+
 *  8 | sequence (serial number arithmetic, RFC 1982)                 |
 *    +-------------------------------+-------------------------------+
 * 12 | in-flight requests            | utilisation, 0..65535 = 0..1  |
 *    +-------------------------------+-------------------------------+
 * 16 | latency, 16-bit float, us     | accept queue, 0..65535 = 0..1 |
 *    +-------------------------------+-------------------------------+
 * 20 | new connections seen from this balancer, cumulative (2^32)    |
 *    +---------------------------------------------------------------+
 * 24 | tag (64): SipHash-2-4 over the bytes before the tag, then the |
 *    | packet's source and destination address; only with flag K     |
 *    +---------------------------------------------------------------+
 */
#ifndef PLIMSOLL_LOAD_REPORT_H
#define PLIMSOLL_LOAD_REPORT_H

#include <linux/types.h>

#define LOAD_REPORT_OPTION_IPV4 0x5E
#define LOAD_REPORT_OPTION_IPV6 0x1E
#define LOAD_REPORT_UNCOUNTED_IPV6 2 /* bytes of an option that its length in IPv6 leaves out */
#define LOAD_REPORT_OFFSET_IPV6 8 /* of the option in its extension header */
#define LOAD_REPORT_MAGIC 0xB7
#define LOAD_REPORT_VERSION 1
#define LOAD_REPORT_LENGTH 24
#define LOAD_REPORT_LENGTH_KEYED 32
#define LOAD_REPORT_KEY_BYTES 16

enum load_report_flags {
	LOAD_REPORT_KEYED = 0x8, /* K: a tag follows */
	LOAD_REPORT_DRAINING = 0x4, /* D: send me no new connections */
	LOAD_REPORT_APPLICATION = 0x2, /* A: the utilisation is the application's own */
	LOAD_REPORT_RESTARTED = 0x1, /* R: my counters began anew */
};

/* The option as it stands in the packet. Naturally aligned, so that BPF loads whole words. */
struct load_report_option {
	__u8 type;
	__u8 length; /* bytes, type and length included: 24, or 32 with a tag; in IPv6 22 or 30 */
	__u8 magic;
	__u8 version_flags; /* version in the high 4 bits, enum load_report_flags in the low */
	__be32 server_id;
	__be32 sequence;
	__be16 in_flight;
	__be16 utilisation;
	__be16 latency;
	__be16 accept_queue;
	__be32 connections_seen;
	__be64 tag;
};

_Static_assert(__builtin_offsetof(struct load_report_option, type) == 0, "type");
_Static_assert(__builtin_offsetof(struct load_report_option, length) == 1, "length");
_Static_assert(__builtin_offsetof(struct load_report_option, magic) == 2, "magic");
_Static_assert(__builtin_offsetof(struct load_report_option, version_flags) == 3, "version");
_Static_assert(__builtin_offsetof(struct load_report_option, server_id) == 4, "server id");
_Static_assert(__builtin_offsetof(struct load_report_option, sequence) == 8, "sequence");
_Static_assert(__builtin_offsetof(struct load_report_option, in_flight) == 12, "in-flight");
_Static_assert(__builtin_offsetof(struct load_report_option, utilisation) == 14, "utilisation");
_Static_assert(__builtin_offsetof(struct load_report_option, latency) == 16, "latency");
_Static_assert(__builtin_offsetof(struct load_report_option, accept_queue) == 18, "accept queue");
_Static_assert(__builtin_offsetof(struct load_report_option, connections_seen) == 20, "seen");
_Static_assert(__builtin_offsetof(struct load_report_option, tag) == LOAD_REPORT_LENGTH, "tag");
_Static_assert(sizeof(struct load_report_option) == LOAD_REPORT_LENGTH_KEYED, "option");

/* The same in host byte order and plain units. */
struct load_report {
	__u32 server_id; /* as on the wire: big-endian, to be compared with addresses */
	__u32 sequence;
	__u32 connections_seen;
	__u16 in_flight; /* requests; 65535 stands for that many or more */
	__u16 utilisation; /* 65535 = 1 */
	__u16 accept_queue; /* 65535 = 1 */
	__u16 latency; /* as load_report_float_encode() makes it from microseconds */
	__u8 flags; /* enum load_report_flags */
};

/* A key of 128 bits; the two words are its bytes read as little-endian, as SipHash has it. */
struct load_report_key {
	__u64 word[2];
};

/* Why an option is not a report. */
enum load_report_error {
	LOAD_REPORT_OK,
	LOAD_REPORT_NOT_OURS, /* another experiment's option, or none */
	LOAD_REPORT_BAD_VERSION,
	LOAD_REPORT_BAD_LENGTH, /* the length does not fit the K flag */
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define load_report_be16(x) ((__u16)__builtin_bswap16(x))
#define load_report_be32(x) ((__u32)__builtin_bswap32(x))
#define load_report_be64(x) ((__u64)__builtin_bswap64(x))
#define load_report_le64(x) ((__u64)(x))
#else
#define load_report_be16(x) ((__u16)(x))
#define load_report_be32(x) ((__u32)(x))
#define load_report_be64(x) ((__u64)(x))
#define load_report_le64(x) ((__u64)__builtin_bswap64(x))
#endif

#define LOAD_REPORT_INLINE static inline __attribute__((always_inline, unused))

/*
 * The 16-bit float: exponent e in the high 5 bits, mantissa m in the low 11.
 *   e = 0: the value is m;  e >= 1: the value is (2048 + m) * 2^(e - 1).
 * So 0..4095 are exact and the relative error above is at most 1/4096. Codes are in the order
 * of their values. Encoding rounds to nearest, a tie upwards, and saturates at 0xFFFF.
 */
LOAD_REPORT_INLINE __u16 load_report_float_encode(__u64 value)
{
	__u32 shift = 0;
	__u64 code;

	if (value >= (4095ULL << 30))
		return 0xFFFF;
	/* Binary search for the shift that leaves 12 bits: no loop for the verifier to walk. */
	if (value >> 28)
		shift = 16;
	if (value >> (shift + 20))
		shift += 8;
	if (value >> (shift + 16))
		shift += 4;
	if (value >> (shift + 14))
		shift += 2;
	if (value >> (shift + 13))
		shift += 1;
	if (value >> (shift + 12))
		shift += 1;
	if (!shift)
		return (__u16)value; /* below 4096 the code is the value itself */
	/* Rounding may carry into the exponent, which is then the right code. */
	code = ((__u64)shift << 11) + (value >> shift) + ((value >> (shift - 1)) & 1);
	return code > 0xFFFF ? 0xFFFF : (__u16)code;
}

LOAD_REPORT_INLINE __u64 load_report_float_decode(__u16 code)
{
	__u32 exponent = code >> 11;
	__u64 mantissa = code & 0x7FF;

	return exponent ? (2048 + mantissa) << (exponent - 1) : mantissa;
}

/* Is a newer than b, in the arithmetic of RFC 1982? */
LOAD_REPORT_INLINE int load_report_newer(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/*
 * SipHash-2-4 (Aumasson, Bernstein 2012), fed a 64-bit little-endian word at a time: what is
 * hashed here is always a whole number of words.
 */
struct siphash {
	__u64 v0, v1, v2, v3;
};

LOAD_REPORT_INLINE __u64 siphash_rotate(__u64 x, int bits)
{
	return x << bits | x >> (64 - bits);
}

LOAD_REPORT_INLINE void siphash_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
	s->v0 = siphash_rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
	s->v2 = siphash_rotate(s->v2, 32);
}

LOAD_REPORT_INLINE void siphash_start(struct siphash *s, const struct load_report_key *key)
{
	s->v0 = key->word[0] ^ 0x736f6d6570736575ULL;
	s->v1 = key->word[1] ^ 0x646f72616e646f6dULL;
	s->v2 = key->word[0] ^ 0x6c7967656e657261ULL;
	s->v3 = key->word[1] ^ 0x7465646279746573ULL;
}

LOAD_REPORT_INLINE void siphash_word(struct siphash *s, __u64 word)
{
	s->v3 ^= word;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= word;
}

/* last: the bytes behind the last whole word (none here), and the length in the top byte. */
LOAD_REPORT_INLINE __u64 siphash_finish(struct siphash *s, __u64 last)
{
	siphash_word(s, last);
	s->v2 ^= 0xff;
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/*
 * The tag of an option in an IPv4 packet, as it stands in the field (the 64-bit hash,
 * big-endian). Source and destination are as in the header. The first 24 bytes of the option,
 * the K flag among them, must be final.
 */
LOAD_REPORT_INLINE __be64 load_report_tag_ipv4(const struct load_report_option *option,
					       const struct load_report_key *key, __be32 source,
					       __be32 destination)
{
	__u64 pair[4];
	struct siphash s;
	int i;

	__builtin_memcpy(pair, option, LOAD_REPORT_LENGTH);
	__builtin_memcpy(&pair[3], &source, sizeof(source));
	__builtin_memcpy((char *)&pair[3] + sizeof(source), &destination, sizeof(destination));
	siphash_start(&s, key);
	for (i = 0; i < 4; i++)
		siphash_word(&s, load_report_le64(pair[i]));
	return load_report_be64(siphash_finish(&s, (__u64)sizeof(pair) << 56));
}

/* The same for an IPv6 packet; its addresses are 16 bytes each. */
LOAD_REPORT_INLINE __be64 load_report_tag_ipv6(const struct load_report_option *option,
					       const struct load_report_key *key,
					       const void *source, const void *destination)
{
	__u64 words[7];
	struct siphash s;
	int i;

	__builtin_memcpy(words, option, LOAD_REPORT_LENGTH);
	__builtin_memcpy(&words[3], source, 16);
	__builtin_memcpy(&words[5], destination, 16);
	siphash_start(&s, key);
	for (i = 0; i < 7; i++)
		siphash_word(&s, load_report_le64(words[i]));
	return load_report_be64(siphash_finish(&s, (__u64)sizeof(words) << 56));
}

/*
 * The server id of a server that is known by an IPv6 address: SipHash-2-4 with a key of zeros over its
 * 16 bytes, of which the lowest 32 bits, big-endian. address: 4 words of 32 bits, as in the packet.
 */
LOAD_REPORT_INLINE __be32 load_report_id_ipv6(const __be32 *address)
{
	const struct load_report_key no_key = {{0, 0}};
	__u64 words[2];
	struct siphash s;

	__builtin_memcpy(words, address, sizeof(words));
	siphash_start(&s, &no_key);
	siphash_word(&s, load_report_le64(words[0]));
	siphash_word(&s, load_report_le64(words[1]));
	return load_report_be32((__u32)siphash_finish(&s, (__u64)sizeof(words) << 56));
}

/* Everything but the tag. report->flags decide whether there is to be one. */
LOAD_REPORT_INLINE void load_report_encode(struct load_report_option *option,
					   const struct load_report *report)
{
	option->type = LOAD_REPORT_OPTION_IPV4;
	option->length =
		report->flags & LOAD_REPORT_KEYED ? LOAD_REPORT_LENGTH_KEYED : LOAD_REPORT_LENGTH;
	option->magic = LOAD_REPORT_MAGIC;
	option->version_flags = LOAD_REPORT_VERSION << 4 | (report->flags & 0xF);
	option->server_id = report->server_id;
	option->sequence = load_report_be32(report->sequence);
	option->in_flight = load_report_be16(report->in_flight);
	option->utilisation = load_report_be16(report->utilisation);
	option->latency = load_report_be16(report->latency);
	option->accept_queue = load_report_be16(report->accept_queue);
	option->connections_seen = load_report_be32(report->connections_seen);
	option->tag = 0;
}

/* Turns what load_report_encode() has made into an option of IPv6. Before the tag. */
LOAD_REPORT_INLINE void load_report_to_ipv6(struct load_report_option *option)
{
	option->type = LOAD_REPORT_OPTION_IPV6;
	option->length -= LOAD_REPORT_UNCOUNTED_IPV6;
}

/* And back, so that load_report_decode() reads it; what is no option of ours comes out as none. */
LOAD_REPORT_INLINE void load_report_from_ipv6(struct load_report_option *option)
{
	option->type = option->type == LOAD_REPORT_OPTION_IPV6 ? LOAD_REPORT_OPTION_IPV4 : 0;
	option->length += LOAD_REPORT_UNCOUNTED_IPV6;
}

/*
 * Reads everything but the tag, of which the caller has to make sure (load_report_tag_ipv4()).
 * 24 bytes must be readable; whether option->length fits into the header is the caller's too.
 */
LOAD_REPORT_INLINE enum load_report_error
load_report_decode(const struct load_report_option *option, struct load_report *report)
{
	if (option->type != LOAD_REPORT_OPTION_IPV4 || option->magic != LOAD_REPORT_MAGIC)
		return LOAD_REPORT_NOT_OURS;
	if (option->version_flags >> 4 != LOAD_REPORT_VERSION)
		return LOAD_REPORT_BAD_VERSION;
	report->flags = option->version_flags & 0xF;
	if (option->length !=
	    (report->flags & LOAD_REPORT_KEYED ? LOAD_REPORT_LENGTH_KEYED : LOAD_REPORT_LENGTH))
		return LOAD_REPORT_BAD_LENGTH;
	report->server_id = option->server_id;
	report->sequence = load_report_be32(option->sequence);
	report->in_flight = load_report_be16(option->in_flight);
	report->utilisation = load_report_be16(option->utilisation);
	report->latency = load_report_be16(option->latency);
	report->accept_queue = load_report_be16(option->accept_queue);
	report->connections_seen = load_report_be32(option->connections_seen);
	return LOAD_REPORT_OK;
}

#endif
