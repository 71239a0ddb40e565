/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a slot of the flow table means, for the kernel and for the daemon that sweeps.
 *
 * Anybody can forge packets, and the servers' answers are not seen here. So a flow has to prove
 * itself before others have to give way to it:
 *
 *   fleeting      OPENING, ADOPTED, CLOSING, UDP: may give way to any new flow, the one that has been
 *                 unused for longest first
 *   established   OPEN, LASTING, UDP_LASTING: gives way only when it has been idle for long. A flood
 *                 of SYNs, ACKs or datagrams from invented addresses takes no established flow's place.
 *
 * Ticks of fleeting flows, and of UDP's, are fine ones. The daemon sweeps out what is over long before
 * ticks wrap.
 */
#ifndef PLIMSOLL_FLOW_SLOT_H
#define PLIMSOLL_FLOW_SLOT_H

#include "shared.h"

#define FLOW_MASK(bits) ((1ULL << (bits)) - 1)
#define FLOW_INLINE static inline __attribute__((always_inline, unused))

#define FLOW_TICKS(seconds) ((__u32)((seconds)*1000000000ULL >> FLOW_TICK_SHIFT))
#define FLOW_FINE_TICKS(seconds) ((__u32)((seconds)*1000000000ULL >> FLOW_FINE_SHIFT))

/* A fleeting flow unused for less than a handshake takes is not given up lightly. */
#define FLOW_FRESH FLOW_FINE_TICKS(1)
/* Idle for so long, an established flow gives way: clients vanish without a word. */
#define FLOW_OPEN_IDLE FLOW_TICKS(60)
#define FLOW_LASTING_IDLE FLOW_TICKS(900)

/* The same, where nobody wants its place: the daemon sweeps it out. */
#define FLOW_OPENING_OVER FLOW_FINE_TICKS(65) /* the kernel's last retry of a SYN waits 64 s */
#define FLOW_CLOSING_OVER FLOW_FINE_TICKS(60) /* the other direction may have more to say */
#define FLOW_ADOPTED_OVER FLOW_FINE_TICKS(300)
#define FLOW_OPEN_OVER FLOW_TICKS(8 * 3600) /* ticks wrap soon */

/* As in byte 13 of a TCP header. */
enum tcp_bit {
	TCP_BIT_FIN = 0x01,
	TCP_BIT_SYN = 0x02,
	TCP_BIT_RST = 0x04,
	TCP_BIT_PSH = 0x08,
	TCP_BIT_ACK = 0x10,
};

/* What a packet of the client's says about its flow. */
enum flow_hint {
	FLOW_HINT_BEGINS, /* SYN */
	FLOW_HINT_GOES_ON,
	FLOW_HINT_ENDS, /* FIN or RST */
	FLOW_HINT_UDP,
};

/* How dear a flow is to the table. The last does not give way, and the one before not gladly. */
enum flow_class {
	FLOW_CLASS_FREE,
	FLOW_CLASS_PAST,
	FLOW_CLASS_IDLE,
	FLOW_CLASS_FRESH,
	FLOW_CLASS_ESTABLISHED,
};

/* By state. A table, because the verifier walks every branch for every slot. */
static const struct flow_life {
	__u8 tick_shift;
	__u8 early, late; /* enum flow_class, until and after the limit */
	__u8 udp_timeout; /* 0xFF: that is the limit */
	__u32 limit; /* of its age, in ticks */
} flow_lives[FLOW_STATE_COUNT] = {
	[FLOW_FREE] = {FLOW_FINE_SHIFT, FLOW_CLASS_FREE, FLOW_CLASS_FREE, 0, 0},
	[FLOW_OPENING] = {FLOW_FINE_SHIFT, FLOW_CLASS_FRESH, FLOW_CLASS_PAST, 0, FLOW_FRESH},
	[FLOW_OPEN] = {FLOW_TICK_SHIFT, FLOW_CLASS_ESTABLISHED, FLOW_CLASS_IDLE, 0, FLOW_OPEN_IDLE},
	[FLOW_CLOSING] = {FLOW_FINE_SHIFT, FLOW_CLASS_FRESH, FLOW_CLASS_PAST, 0, FLOW_FRESH},
	[FLOW_ADOPTED] = {FLOW_FINE_SHIFT, FLOW_CLASS_FRESH, FLOW_CLASS_PAST, 0, FLOW_FRESH},
	[FLOW_LASTING] = {FLOW_TICK_SHIFT, FLOW_CLASS_ESTABLISHED, FLOW_CLASS_IDLE, 0,
			  FLOW_LASTING_IDLE},
	[FLOW_UDP] = {FLOW_FINE_SHIFT, FLOW_CLASS_FRESH, FLOW_CLASS_PAST, 0, FLOW_FRESH},
	[FLOW_UDP_LASTING] = {FLOW_FINE_SHIFT, FLOW_CLASS_ESTABLISHED, FLOW_CLASS_PAST, 0xFF, 0},
};

FLOW_INLINE __u32 flow_backend(__u64 value)
{
	return value >> FLOW_BACKEND_SHIFT & FLOW_MASK(FLOW_BACKEND_BITS);
}

FLOW_INLINE enum flow_state flow_state(__u64 value)
{
	return value >> FLOW_STATE_SHIFT & FLOW_MASK(FLOW_STATE_BITS);
}

FLOW_INLINE int flow_is_coarse(enum flow_state state)
{
	return flow_lives[state].tick_shift == FLOW_TICK_SHIFT;
}

FLOW_INLINE __u32 flow_tick(enum flow_state state, __u64 now_ns)
{
	return now_ns >> flow_lives[state].tick_shift & FLOW_MASK(FLOW_TICK_BITS);
}

FLOW_INLINE enum flow_hint flow_hint(__u32 protocol, __u8 tcp_flags)
{
	if (protocol != 6) /* IPPROTO_TCP, whose header is another for programs and for libc */
		return FLOW_HINT_UDP;
	if (tcp_flags & (TCP_BIT_FIN | TCP_BIT_RST))
		return FLOW_HINT_ENDS;
	return tcp_flags & TCP_BIT_SYN ? FLOW_HINT_BEGINS : FLOW_HINT_GOES_ON;
}

FLOW_INLINE __u64 flow_value(__u64 fingerprint, __u32 backend, enum flow_state state, __u64 now_ns)
{
	return fingerprint | (__u64)backend << FLOW_BACKEND_SHIFT |
	       (__u64)state << FLOW_STATE_SHIFT | flow_tick(state, now_ns);
}

/* Since its last packet, in ticks of its state's. */
FLOW_INLINE __u32 flow_age(__u64 value, __u64 now_ns)
{
	return (flow_tick(flow_state(value), now_ns) - (__u32)value) & FLOW_MASK(FLOW_TICK_BITS);
}

/* Was the last packet in an earlier coarse tick? */
FLOW_INLINE int flow_lasts(__u64 value, __u64 now_ns)
{
	__u32 fine = FLOW_TICK_SHIFT - flow_lives[flow_state(value)].tick_shift;

	return flow_tick(flow_state(value), now_ns) >> fine !=
	       (value & FLOW_MASK(FLOW_TICK_BITS)) >> fine;
}

/* The state after a packet. value: the slot's; 0 = the flow is unknown. */
FLOW_INLINE enum flow_state flow_next_state(__u64 value, enum flow_hint hint, __u64 now_ns)
{
	enum flow_state state = flow_state(value);

	if (hint == FLOW_HINT_UDP) {
		if (state == FLOW_UDP && flow_lasts(value, now_ns))
			return FLOW_UDP_LASTING;
		return state == FLOW_UDP_LASTING ? state : FLOW_UDP;
	}
	if (hint == FLOW_HINT_ENDS)
		return FLOW_CLOSING;
	if (hint == FLOW_HINT_BEGINS)
		return flow_is_coarse(state) ? state : FLOW_OPENING;
	switch (state) {
	case FLOW_OPENING:
		return FLOW_OPEN;
	case FLOW_OPEN:
		return flow_lasts(value, now_ns) ? FLOW_LASTING : FLOW_OPEN;
	case FLOW_ADOPTED:
		return flow_lasts(value, now_ns) ? FLOW_OPEN : FLOW_ADOPTED;
	case FLOW_LASTING:
	case FLOW_CLOSING:
		return state;
	default:
		return FLOW_ADOPTED;
	}
}

/* Has a flow of UDP timed out? */
FLOW_INLINE int flow_timed_out(__u64 value, __u64 now_ns, __u32 udp_timeout_ticks)
{
	enum flow_state state = flow_state(value);

	return (state == FLOW_UDP || state == FLOW_UDP_LASTING) &&
	       flow_age(value, now_ns) > udp_timeout_ticks;
}

/* The lowest gives way first: the class counts, then how recently it was used. */
FLOW_INLINE __u32 flow_rank(__u64 value, __u64 now_ns, __u32 udp_timeout_ticks)
{
	const struct flow_life *life = &flow_lives[flow_state(value)];
	__u32 limit = life->limit | (udp_timeout_ticks & life->udp_timeout * 0x01010101U);
	__u32 age = flow_age(value, now_ns);

	return (age > limit ? life->late : life->early) << FLOW_TICK_BITS |
	       (FLOW_MASK(FLOW_TICK_BITS) - age);
}

FLOW_INLINE enum flow_class flow_rank_class(__u32 rank)
{
	return rank >> FLOW_TICK_BITS;
}

/* Nobody will miss it: to be swept out. */
FLOW_INLINE int flow_over(__u64 value, __u64 now_ns, __u32 udp_timeout_ticks)
{
	__u32 age = flow_age(value, now_ns);

	switch (flow_state(value)) {
	case FLOW_FREE:
		return 0;
	case FLOW_OPENING:
		return age > FLOW_OPENING_OVER;
	case FLOW_CLOSING:
		return age > FLOW_CLOSING_OVER;
	case FLOW_ADOPTED:
		return age > FLOW_ADOPTED_OVER;
	case FLOW_UDP:
	case FLOW_UDP_LASTING:
		return age > udp_timeout_ticks;
	default:
		return age > FLOW_OPEN_OVER;
	}
}

#endif
