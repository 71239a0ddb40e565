/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a backend's health is, out of all that speaks for and against it. No clock and no maps. */
#ifndef PLIMSOLL_BALANCER_HEALTH_STATE_H
#define PLIMSOLL_BALANCER_HEALTH_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_STATES(X)                                                                           \
	X(UNKNOWN, "unknown", "nothing speaks for or against it yet; it gets connections")         \
	X(HEALTHY, "healthy", "clients' connections go on, or its check passes")                   \
	X(SUSPECT, "suspect",                                                                      \
	  "has left its connections without an answer; it gets one now and "                       \
	  "then, on trial")                                                                        \
	X(DOWN, "down", "fails its check, or does not answer ARP; it gets no connections")         \
	X(DRAINING, "draining", "drains, by hand; it gets no connections")

enum health_state {
#define HEALTH_STATE_ENUM(symbol, name, sentence) HEALTH_##symbol,
	HEALTH_STATES(HEALTH_STATE_ENUM)
#undef HEALTH_STATE_ENUM
		HEALTH_STATE_COUNT
};

const char *health_state_name(enum health_state state);

enum check_verdict {
	CHECK_UNDECIDED,
	CHECK_UP,
	CHECK_DOWN,
};

/* How a check has gone. */
struct check_record {
	enum check_verdict verdict;
	uint32_t passed, failed; /* in a row */
	char result[64]; /* the latest: "status 500, not 200" */
};

/* One more result. Returns whether the verdict has changed. */
bool check_note(struct check_record *record, bool passed, const char *result, uint32_t rise,
		uint32_t fall);

struct health_facts {
	enum check_verdict verdict; /* undecided if it is not checked */
	bool draining;
	bool leaving; /* draining too */
	bool ipv6; /* its MAC address is asked for by neighbour discovery, not by ARP */
	bool reachable; /* answers that */
	bool unreachable; /* has had the time to, and does not */
	bool suspect; /* the data path says so */
	bool reports; /* its latest report is fresh */
	bool answered; /* a client's connection has gone on, ever */
};

bool health_facts_equal(const struct health_facts *a, const struct health_facts *b);

/* What there is to say beside. */
struct health_details {
	const char *check; /* "http check" */
	const char *result; /* its latest */
	uint32_t unanswered; /* SYNs, until it became suspect... */
	uint32_t silence_ms; /* ...in so long */
	uint32_t refused; /* connections, since the last that was answered */
	bool reports; /* it has reported meanwhile */
};

#define HEALTH_CAUSE_MAX 160

enum health_state health_judge(const struct health_facts *facts);

/* A sentence whose subject is the backend. */
void health_cause(const struct health_facts *facts, const struct health_details *details,
		  char cause[HEALTH_CAUSE_MAX]);

/*
 * The part of its weight, in 1/256, of a backend that came back so long ago: from a tenth to all of
 * it in slow_start_ns, in tenths.
 */
uint32_t health_ramp(uint64_t back_for_ns, uint64_t slow_start_ns);
#define HEALTH_RAMP_ONE 256
#define HEALTH_RAMP_STEPS 10

#endif
