/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a backend answers, told from the clients' packets alone: answers do not pass here, but a
 * client goes on with its connection only when it has had one. A backend is suspect when connections have
 * been sent to it for a while and not one of them has gone on; or at once, when it tells itself that nobody
 * listens there: by a report on the reset that refuses a connection. It gets none then, but for one
 * now and then, on trial; the first that goes on ends the suspicion.
 *
 * Who chooses by load sends hardly any to a backend that has left one without an answer: that is pending.
 * So as not to wait for what does not come, one in doubt is sent the next ones, until it has answered or
 * been sent enough.
 *
 * Pure functions of the evidence (struct health) and of the time, for the data path and user space.
 * CPUs write at once and without locks: a count that is lost does no harm.
 */
#ifndef PLIMSOLL_HEALTH_H
#define PLIMSOLL_HEALTH_H

#include "shared.h"

#define HEALTH_INLINE static inline __attribute__((always_inline, unused))

/* So long after the first unanswered SYN, and what two handshakes take... */
#define HEALTH_SILENCE_NS 100000000ULL
/* ...and so many SYNs: fewer may have been lost on the way... */
#define HEALTH_UNANSWERED_MIN 3
/* ...or so many times what is usual beyond one: in a flood most are never answered, whoever they go to. */
#define HEALTH_UNANSWERED_USUAL 16
/* The usual is a mean of about so many answers, in such parts of one. */
#define HEALTH_USUAL_ANSWERS 16
#define HEALTH_USUAL_ONE 256
#define HEALTH_UNANSWERED_MOST (1 << 18) /* is told from more by nobody */
/* For each SYN, and for two handshakes, one in doubt is waited for so long, before it is sent the next. */
#define HEALTH_DOUBT_NS 25000000ULL
/* As long as no handshake has been timed: what clients wait before they repeat a SYN. */
#define HEALTH_HANDSHAKE_UNKNOWN_US 1000000
/* A repeated SYN goes elsewhere if nothing at all has been answered for this long. */
#define HEALTH_REPEATED_NS 900000000ULL
/* A handshake that takes longer is not timed any more. */
#define HEALTH_TIMED_MAX_NS 3000000000ULL

/* Trials are so far apart: twice as far each time. Each may cost a client a second. */
#define HEALTH_TRIAL_NS 250000000ULL
#define HEALTH_TRIAL_DOUBLINGS 6
#define HEALTH_REFUSED_MAX 0xFFFF

HEALTH_INLINE __u64 health_two_handshakes_ns(const struct health *health)
{
	__u64 handshake_us =
		health->handshake_us ? health->handshake_us : HEALTH_HANDSHAKE_UNKNOWN_US;

	return 2 * handshake_us * 1000;
}

/* For how long connections have been sent without an answer. */
HEALTH_INLINE __u64 health_silence_ns(const struct health *health, __u64 now)
{
	__u64 since = *(volatile const __u64 *)&health->unanswered_ns;

	return since && (__s64)(now - since) > 0 ? now - since : 0;
}

/* So many SYNs without an answer in between say that there will be none. */
HEALTH_INLINE __u32 health_enough(const struct health *health)
{
	__u32 usual = health->usual_unanswered, beyond;

	beyond = usual > HEALTH_USUAL_ONE ? usual - HEALTH_USUAL_ONE : 0;
	beyond = beyond * HEALTH_UNANSWERED_USUAL / HEALTH_USUAL_ONE;
	return beyond > HEALTH_UNANSWERED_MIN ? beyond : HEALTH_UNANSWERED_MIN;
}

HEALTH_INLINE int health_is_silent(const struct health *health, __u64 now)
{
	return health->unanswered >= health_enough(health) &&
	       health_silence_ns(health, now) >
		       HEALTH_SILENCE_NS + health_two_handshakes_ns(health);
}

/* Whether one more connection would tell something: it is to be sent there, or to be the one too many. */
HEALTH_INLINE int health_is_in_doubt(const struct health *health, __u64 now)
{
	__u64 unanswered = health->unanswered;

	if (unanswered >= health_enough(health))
		return health_is_silent(health, now);
	return health_silence_ns(health, now) >
	       unanswered * HEALTH_DOUBT_NS + health_two_handshakes_ns(health);
}

HEALTH_INLINE void health_suspect(struct health *health, __u64 now)
{
	health->suspect_ns = now;
	health->trials = 0;
	health->trial_ns = now + HEALTH_TRIAL_NS;
}

/* It has refused a connection: nobody listens there. */
HEALTH_INLINE void health_refuse(struct health *health, __u64 now)
{
	if (!health->suspect_ns)
		health_suspect(health, now);
	if (health->refused < HEALTH_REFUSED_MAX)
		health->refused++;
}

/* What its clients do so shortly after a refusal may still be for answers from before it. */
HEALTH_INLINE int health_has_just_refused(const struct health *health, __u64 now)
{
	return health->refused &&
	       (__s64)(now - health->suspect_ns) < (__s64)(2000ULL * health->handshake_us);
}

/* For one that is suspect. */
HEALTH_INLINE int health_trial_due(const struct health *health, __u64 now)
{
	return (__s64)(now - health->trial_ns) >= 0;
}

HEALTH_INLINE void health_try(struct health *health, __u64 now)
{
	if (!health_trial_due(health, now))
		return;
	health->trial_ns = now + (HEALTH_TRIAL_NS << health->trials);
	if (health->trials < HEALTH_TRIAL_DOUBLINGS)
		health->trials++;
}

/* What of a flow's hash is remembered. */
HEALTH_INLINE __u32 health_timed(__u64 flow)
{
	return (__u32)(flow ^ flow >> 32) | 1;
}

/* A connection is sent there. One at a time is timed. */
HEALTH_INLINE void health_sent(struct health *health, __u64 flow, __u64 now)
{
	if (!health->unanswered_ns)
		health->unanswered_ns = now;
	health->unanswered++;
	if (health->timed_flow && now - health->timed_ns < HEALTH_TIMED_MAX_NS)
		return;
	health->timed_flow = health_timed(flow);
	health->timed_ns = now;
}

/* Its SYN comes again. What a handshake takes cannot be told from that one any more. */
HEALTH_INLINE void health_repeated(struct health *health, __u64 flow)
{
	if (health->unanswered_ns)
		health->unanswered++;
	if (health->timed_flow == health_timed(flow))
		health->timed_flow = 0;
}

/* Up at once and half of the way, down slowly: what is wanted is rather too much than too little. */
HEALTH_INLINE void health_time(struct health *health, __u64 took_ns)
{
	__u32 took_us = took_ns < 1000 ? 1 : (__u32)(took_ns / 1000);
	__u32 known_us = health->handshake_us;

	if (!known_us)
		health->handshake_us = took_us;
	else if (took_us > known_us)
		health->handshake_us = known_us + (took_us - known_us) / 2;
	else
		health->handshake_us = known_us - (known_us - took_us) / 8;
}

/*
 * So many were sent between two answers. If all are answered that is one, however many are under way at
 * once.
 */
HEALTH_INLINE void health_learn(struct health *health, __u32 unanswered)
{
	__u32 seen = unanswered < HEALTH_UNANSWERED_MOST ? unanswered : HEALTH_UNANSWERED_MOST;

	health->usual_unanswered -= health->usual_unanswered / HEALTH_USUAL_ANSWERS;
	health->usual_unanswered += seen * (HEALTH_USUAL_ONE / HEALTH_USUAL_ANSWERS);
}

/* A client goes on with its connection: it has had an answer. Returns whether that ends any suspicion. */
HEALTH_INLINE int health_answered(struct health *health, __u64 flow, __u64 now)
{
	if (health->timed_flow == health_timed(flow)) {
		health_time(health, now - health->timed_ns);
		health->timed_flow = 0;
	}
	health->answered_ns = now;
	if (health_has_just_refused(health, now))
		return 0;
	/* What a dead one was sent is not usual. */
	if (!health->suspect_ns)
		health_learn(health, health->unanswered);
	health->unanswered = 0;
	health->unanswered_ns = 0;
	health->suspect_ns = 0;
	health->refused = 0;
	return 1;
}

#endif
