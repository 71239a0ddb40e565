/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The meter: which connections of a service are waiting for an answer, and for how long.
 *
 * A connection has a slot in the table only while it shakes hands or waits; an idle one costs
 * nothing. in_flight is the number of slots that wait, changed only by who wins the exchange of
 * the slot: so it comes back to 0 whatever is reset, retransmitted, evicted or raced for. What no
 * packet tells of, a connection that ends without one, the daemon finds (server/sweep.h).
 *
 * What it cannot know: whether bytes are a request. One that is answered before it has come in
 * full, or a message that nobody answers, waits until the connection's next answer or its end.
 */
#ifndef PLIMSOLL_METER_H
#define PLIMSOLL_METER_H

#include "bucket.h"
#include "hash.h"
#include "meter_slot.h"
#include "packet.h"
#include "server_load.h"
#include "server_maps.h"
#include "socket.h"

_Static_assert(METER_FINGERPRINT_SHIFT == BUCKET_FINGERPRINT_SHIFT + 1, "one fingerprint");

struct metered {
	struct bucket *bucket; /* in the front */
	__u64 *slot; /* NULL = neither shaking hands nor waiting */
	__u64 value;
	__u64 fingerprint;
	__u64 now_ns;
	__u32 behind; /* its bucket in the rest; server_settings.meter_buckets: there is no rest */
	__u32 buckets;
	int spilled; /* the slot is there */
};

/* What else has to be known of a response. */
enum response {
	RESPONSE_USUAL,
	RESPONSE_REPEATED, /* a SYN-ACK that had been sent before */
	RESPONSE_WITHHELD, /* likewise, and better not sent again now */
	RESPONSE_REFUSAL, /* a reset to a connection that was shaking hands or waiting */
};

/* client and service: as packets towards the server have them. */
static __always_inline void meter_find(const struct ip_address *client, __be16 client_port,
				       const struct ip_address *service, __be16 service_port,
				       const struct metrics *metrics, __u32 buckets, __u64 now,
				       struct metered *metered)
{
	__u64 hash = meter_hash(client, client_port, service, service_port);
	__u32 index = meter_bucket(hash, buckets);
	struct bucket *behind;

	metered->slot = 0;
	metered->value = 0;
	metered->fingerprint = bucket_fingerprint(hash);
	metered->now_ns = now;
	metered->behind = meter_bucket_behind(hash, buckets);
	metered->buckets = buckets;
	metered->spilled = 0;
	metered->bucket = bpf_map_lookup_elem(&meter, &index);
	if (metered->bucket)
		metered->slot = bucket_find(metered->bucket, metered->fingerprint, &metered->value);
	if (!metered->slot && metrics->spilled) {
		behind = bpf_map_lookup_elem(&meter, &metered->behind);
		if (behind)
			metered->slot = bucket_find(behind, metered->fingerprint, &metered->value);
		metered->spilled = 1;
	}
	if (!metered->slot)
		metered->value = 0;
}

/* Books the change of a slot from one value to another. */
static __always_inline void meter_book(struct metrics *metrics, __u64 from, __u64 to)
{
	int change = meter_waits(to) - meter_waits(from);

	if (change)
		__sync_fetch_and_add(&metrics->in_flight, change);
}

/* Exchanges the slot. Returns 1, or 0 if another CPU was faster: then it is as that one left it. */
static __always_inline int meter_set(struct metrics *metrics, const struct metered *metered,
				     __u64 value)
{
	if (!bucket_exchange(metered->slot, metered->value, value))
		return 0;
	meter_book(metrics, metered->value, value);
	if (metered->spilled && !value)
		__sync_fetch_and_add(&metrics->spilled, -1);
	return 1;
}

/* Free slots first, then handshakes, then those that wait longest. */
static __always_inline __u64 meter_rank(__u64 value, __u64 now_ns)
{
	/* Without a branch, as meter_age(): 1 for what is used, and for what waits. */
	__u64 used = (meter_state(value) + 7U) >> 3;
	__u64 waits = (meter_state(value) + 8U - METER_WAITING) >> 3;

	return used * ((1 + waits) << 32 | (METER_TIME_MASK - meter_age(value, now_ns)));
}

/*
 * Takes the slot of the lowest rank in the bucket, if that is lower than so much. spills: it is none of the
 * front's; that is said first, or else the connection's next packet might not look there. Returns 0 if no slot
 * ranks so low.
 */
static __always_inline int meter_take(struct metrics *metrics, struct bucket *bucket, __u64 below,
				      int spills, __u64 value, __u64 now_ns)
{
	int try, i;

	for (try = 0; try < BUCKET_TRIES; try++) {
		__u64 lowest = below, victim = 0;
		__u32 index = 0;
		int counts;

		for (i = 0; i < BUCKET_SLOTS; i++) {
			__u64 seen = bucket_read(&bucket->slot[i]);
			__u64 rank = meter_rank(seen, now_ns);

			if (rank < lowest) {
				lowest = rank;
				victim = seen;
				index = i;
			}
		}
		if (lowest == below)
			return 0;
		counts = spills && !victim;
		if (counts)
			__sync_fetch_and_add(&metrics->spilled, 1);
		if (!bucket_exchange(&bucket->slot[index & (BUCKET_SLOTS - 1)], victim, value)) {
			if (counts)
				__sync_fetch_and_add(&metrics->spilled, -1);
			continue;
		}
		meter_book(metrics, victim, value);
		if (meter_waits(victim))
			__sync_fetch_and_add(&metrics->evicted, 1);
		return 1;
	}
	return 1;
}

/* What the front may give up if there is a rest: free slots, and handshakes that have come to nothing. */
#define METER_FRONT_BELOW (1ULL << 32 | (METER_TIME_MASK - METER_HANDSHAKE_TICKS))

/* Takes a slot for a connection that has none. A handshake never drives out a request. */
static __always_inline void meter_insert(struct metrics *metrics, const struct metered *metered,
					 __u64 value)
{
	__u64 below = meter_waits(value) ? ~0ULL : 2ULL << 32;
	int has_rest = metered->behind < metered->buckets;
	struct bucket *behind;

	if (!metered->bucket ||
	    meter_take(metrics, metered->bucket, has_rest ? METER_FRONT_BELOW : below, 0, value,
		       metered->now_ns) ||
	    !has_rest)
		return;
	behind = bpf_map_lookup_elem(&meter, &metered->behind);
	if (behind)
		meter_take(metrics, behind, below, 1, value, metered->now_ns);
}

static __always_inline void meter_put(struct metrics *metrics, const struct metered *metered,
				      __u64 value)
{
	if (metered->slot)
		meter_set(metrics, metered, value);
	else
		meter_insert(metrics, metered, value);
}

/* A SYN with data (TCP Fast Open) keeps in its slot what acknowledges that data, too. */
static __always_inline __u64 meter_syn_value(const struct metered *metered,
					     const struct packet *packet)
{
	__u32 acknowledged = packet->sequence + 1 + packet->payload_length;

	if (!packet->payload_length)
		return meter_value(metered->fingerprint, METER_SYN, 0, metered->now_ns);
	return metered->fingerprint | (__u64)METER_SYN_DATA << METER_STATE_SHIFT | acknowledged;
}

static __always_inline int shakes_hands(const struct metered *metered)
{
	enum meter_state state = meter_state(metered->value);

	return state == METER_SYN || state == METER_SYN_ACK || state == METER_COOKIE;
}

/* Returns 1 if a request comes with it; not for its retransmission. */
static __always_inline int meter_syn(struct metrics *metrics, struct server_stats *stats,
				     const struct metered *metered, const struct packet *packet)
{
	if (meter_state(metered->value) == METER_SYN_DATA ||
	    (shakes_hands(metered) &&
	     meter_age(metered->value, metered->now_ns) < METER_HANDSHAKE_TICKS)) {
		if (meter_state(metered->value) != METER_SYN_DATA)
			meter_set(metrics, metered, meter_again(metered->value, metered->now_ns));
		return 0;
	}
	meter_put(metrics, metered, meter_syn_value(metered, packet));
	stats->connections++;
	return packet->payload_length != 0;
}

#define METER_PAUSE_NS 50000000ULL /* half of what makes a server suspect */

/* Does a handshake come to its end, so that its client has had the answer? */
static __always_inline int meter_ends_handshake(struct metrics *metrics,
						const struct metered *metered)
{
	if (!shakes_hands(metered))
		return 0;
	if ((__s64)(metered->now_ns - metrics->handshake_ns) > (__s64)METER_PAUSE_NS)
		metrics->resumed_ns = metered->now_ns;
	metrics->handshake_ns = metered->now_ns;
	return 1;
}

/* Returns 1 if it is the first of its connection. */
static __always_inline int meter_data(struct __sk_buff *skb, struct metrics *metrics,
				      const struct metered *metered, const struct packet *packet)
{
	enum meter_state state = METER_WAITING;

	/* More of a request: the time is that of its last byte. */
	if (metered->slot && meter_waits(metered->value)) {
		meter_set(metrics, metered, meter_again(metered->value, metered->now_ns));
		return 0;
	}
	/* The first data behind a handshake that a socket here has answered are new: no need to ask it. */
	if (meter_state(metered->value) != METER_SYN_ACK) {
		enum arrival is = arrival(skb, packet, meter_state(metered->value) == METER_COOKIE);

		if (is == ARRIVAL_OLD)
			return 0;
		if (is == ARRIVAL_ELSEWHERE)
			state = METER_ELSEWHERE;
	}
	meter_put(metrics, metered,
		  meter_value(metered->fingerprint, state, latency_level(metrics->in_flight + 1),
			      metered->now_ns));
	return meter_ends_handshake(metrics, metered);
}

/* A bare ACK says nothing: most of the packets towards a server of large files. */
static __always_inline int says_something(const struct packet *packet)
{
	return packet->payload_length ||
	       packet->tcp_flags & (TCP_BIT_SYN | TCP_BIT_RST | TCP_BIT_FIN);
}

/*
 * A packet of the client's. Returns 1 if with it a new connection counts as seen: by its first request, or
 * by its end if it has none. Until then the balancer knows of it as pending, and from then on it is in
 * flight: over a long way, a connection that counted from its SYN would be in neither for a round trip.
 */
__noinline int meter_request(struct __sk_buff *skb, struct packet *packet)
{
	struct server_settings *set;
	struct server_stats *stats;
	struct metrics *load;
	struct metered metered;
	__u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!packet || !set || !load || !stats)
		return 0;
	/* Of requests the latency is measured; of handshakes the age in minutes. */
	meter_find(&packet->source, packet->source_port, &packet->to.address, packet->to.port, load,
		   set->meter_buckets,
		   packet->payload_length ? bpf_ktime_get_ns() : bpf_ktime_get_coarse_ns(),
		   &metered);
	if (packet->tcp_flags & TCP_BIT_SYN)
		return meter_syn(load, stats, &metered, packet);
	if (packet->payload_length && !(packet->tcp_flags & TCP_BIT_RST))
		return meter_data(skb, load, &metered, packet);
	/* A client that has only closed its side may still wait for the answer. */
	if (metered.slot && (packet->tcp_flags & TCP_BIT_RST || !meter_waits(metered.value)))
		return meter_set(load, &metered, 0) && meter_ends_handshake(load, &metered);
	return 0;
}

/*
 * Whether a SYN-ACK that is sent late had better not be. It is a repetition, though the first one may never have
 * come as far as this: without a carrier the kernel does not know the client's MAC address. Both ends repeat
 * themselves after the same time, each by its own clock. Where no handshake came to its end for a while since the
 * SYN, answers may not have reached their clients, and the balancer, which sees that, too, sends the client's
 * next SYN to another server: then two answer, the client takes the first, and the other resets it. So this is
 * left to that SYN, if it comes here; but only once, for a client that has had the first answer sends
 * none. Of its own for the verifier.
 */
#define METER_REPEAT_NS 500000000ULL /* sooner, it answers a SYN that has just come */
__noinline int is_better_withheld(__u64 value, __u64 now)
{
	__u64 age_ns = meter_age(value, now) << LATENCY_TICK_SHIFT;
	struct server_settings *set;
	struct metrics *load;
	__u32 zero = 0;

	if (age_ns < METER_REPEAT_NS)
		return 0;
	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	if (!set || !load || !set->peer_count)
		return 0;
	return (__s64)(now - load->resumed_ns) < (__s64)age_ns ||
	       (__s64)(now - load->handshake_ns) > (__s64)METER_PAUSE_NS;
}

static __always_inline enum response meter_syn_ack(struct __sk_buff *skb, struct metrics *metrics,
						   const struct metered *metered,
						   const struct packet *packet)
{
	enum meter_state state = meter_state(metered->value);
	__u32 level = 0;

	if ((state == METER_SYN || state == METER_SYN_ACK) &&
	    is_better_withheld(metered->value, metered->now_ns)) {
		meter_set(metrics, metered,
			  meter_value(metered->fingerprint, METER_SYN_ACK, 0, metered->now_ns));
		return RESPONSE_WITHHELD;
	}
	if (state != METER_SYN && state != METER_SYN_DATA)
		return RESPONSE_REPEATED;
	if (state == METER_SYN_DATA && (__u32)metered->value == packet->acknowledged) {
		state = METER_WAITING;
		level = latency_level(metrics->in_flight + 1);
	} else {
		state = skb->sk ? METER_SYN_ACK : METER_COOKIE;
	}
	meter_set(metrics, metered,
		  meter_value(metered->fingerprint, state, level, metered->now_ns));
	return RESPONSE_USUAL;
}

/* Of its own for the verifier: see load_tell(). */
__attribute__((noinline)) __u64 penalty_next(struct metrics *metrics, __u64 now_ns)
{
	return metrics ? penalty_add(metrics, now_ns) : 0;
}

/*
 * A reset that refuses a connection goes by the balancer, with a report, only where nobody listens:
 * so that is what it tells there. A firewall's may be for this client alone.
 */
static __always_inline enum response
meter_refusal(struct __sk_buff *skb, const struct metered *metered, const struct packet *packet)
{
	enum meter_state state = meter_state(metered->value);

	if (state != METER_SYN && state != METER_SYN_DATA)
		return RESPONSE_REFUSAL;
	return is_listened_to(skb, &packet->source, packet->source_port) ? RESPONSE_USUAL :
									   RESPONSE_REFUSAL;
}

static __always_inline enum response meter_reset(struct __sk_buff *skb, struct metrics *metrics,
						 struct server_stats *stats,
						 const struct metered *metered,
						 const struct packet *packet)
{
	__u64 penalty = metrics->penalty;

	stats->resets++;
	if (!metered->slot || !meter_set(metrics, metered, 0))
		return RESPONSE_USUAL;
	__sync_val_compare_and_swap(&metrics->penalty, penalty,
				    penalty_next(metrics, metered->now_ns));
	return meter_refusal(skb, metered, packet);
}

static __always_inline void meter_answer(struct metrics *metrics, struct server_stats *stats,
					 const struct metered *metered)
{
	__u64 *level = &metrics->latency[meter_level(metered->value)];

	*level = latency_learn(*level, meter_age(metered->value, metered->now_ns), metered->now_ns);
	stats->requests++;
}

/* A packet of the server's. Of its own for the verifier, as meter_request(). Returns enum response. */
__noinline int meter_response(struct __sk_buff *skb, struct packet *packet, __u64 now)
{
	struct server_settings *set;
	struct server_stats *stats;
	const struct tcp_sock *own;
	struct metrics *load;
	struct metered metered;
	__u32 zero = 0;
	int opens;

	set = bpf_map_lookup_elem(&settings, &zero);
	load = bpf_map_lookup_elem(&metrics, &zero);
	stats = bpf_map_lookup_elem(&server_stats, &zero);
	if (!packet || !set || !load || !stats)
		return RESPONSE_USUAL;
	opens = packet->tcp_flags & TCP_BIT_SYN;
	meter_find(&packet->to.address, packet->to.port, &packet->source, packet->source_port, load,
		   set->meter_buckets, now, &metered);
	if (packet->tcp_flags & TCP_BIT_RST)
		return meter_reset(skb, load, stats, &metered, packet);
	if (!metered.slot)
		return opens ? RESPONSE_REPEATED : RESPONSE_USUAL;
	if (opens)
		return meter_syn_ack(skb, load, &metered, packet);
	/* The end of the last answer, once more, is not the beginning of the next. */
	own = own_socket(skb);
	if (own && was_sent_before(own, packet))
		return RESPONSE_USUAL;
	/* Answered, or closed without an answer: in each case nobody waits any more. */
	if (meter_set(load, &metered, 0) && packet->payload_length && meter_waits(metered.value))
		meter_answer(load, stats, &metered);
	return RESPONSE_USUAL;
}

#endif
