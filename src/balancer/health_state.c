/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/health_state.h"

#include <stdio.h>

const char *health_state_name(enum health_state state)
{
	static const char *const names[] = {
#define HEALTH_STATE_NAME(symbol, name, sentence) name,
		HEALTH_STATES(HEALTH_STATE_NAME)
#undef HEALTH_STATE_NAME
	};

	return names[state];
}

bool check_note(struct check_record *record, bool passed, const char *result, uint32_t rise,
		uint32_t fall)
{
	enum check_verdict before = record->verdict;

	snprintf(record->result, sizeof(record->result), "%s", result);
	if (passed) {
		record->failed = 0;
		record->passed++;
		/* Who has never been down need not rise. */
		if (before == CHECK_UNDECIDED || record->passed >= rise)
			record->verdict = CHECK_UP;
	} else {
		record->passed = 0;
		record->failed++;
		if (record->failed >= fall)
			record->verdict = CHECK_DOWN;
	}
	return record->verdict != before;
}

bool health_facts_equal(const struct health_facts *a, const struct health_facts *b)
{
	return a->verdict == b->verdict && a->draining == b->draining && a->leaving == b->leaving &&
	       a->reachable == b->reachable && a->unreachable == b->unreachable &&
	       a->suspect == b->suspect && a->reports == b->reports && a->answered == b->answered;
}

enum health_state health_judge(const struct health_facts *facts)
{
	if (facts->draining)
		return HEALTH_DRAINING;
	if (facts->unreachable || facts->verdict == CHECK_DOWN)
		return HEALTH_DOWN;
	if (facts->suspect)
		return HEALTH_SUSPECT;
	return facts->verdict == CHECK_UP || facts->answered || facts->reports ? HEALTH_HEALTHY :
										 HEALTH_UNKNOWN;
}

void health_cause(const struct health_facts *facts, const struct health_details *details,
		  char cause[HEALTH_CAUSE_MAX])
{
	const char *text;

	switch (health_judge(facts)) {
	case HEALTH_DRAINING:
		text = facts->leaving ?
			       "is removed: it is gone when its last connection has ended" :
			       "drains: new connections go to the others";
		break;
	case HEALTH_DOWN:
		text = facts->ipv6 ?
			       "does not answer neighbour discovery: new connections go to the "
			       "others" :
			       "does not answer ARP: new connections go to the others";
		if (facts->unreachable)
			break;
		snprintf(cause, HEALTH_CAUSE_MAX, "fails its %s: %s", details->check,
			 details->result);
		return;
	case HEALTH_SUSPECT:
		if (details->refused) {
			snprintf(cause, HEALTH_CAUSE_MAX,
				 "refuses connections: nobody listens there, %u ms after the first "
				 "that was not answered",
				 details->silence_ms);
			return;
		}
		snprintf(cause, HEALTH_CAUSE_MAX,
			 "has left %u connections without an answer for %u ms%s",
			 details->unanswered, details->silence_ms,
			 details->reports ? ", though it reports its load: does it refuse them?" :
					    ", and does not report its load");
		return;
	case HEALTH_HEALTHY:
		text = facts->answered ? "answers clients' connections" : "reports its load";
		if (facts->verdict != CHECK_UP)
			break;
		snprintf(cause, HEALTH_CAUSE_MAX, "passes its %s", details->check);
		return;
	default:
		text = "is being asked for its MAC address";
		if (facts->reachable)
			text = facts->ipv6 ?
				       "answers neighbour discovery; no client has connected to it yet" :
				       "answers ARP; no client has connected to it yet";
		break;
	}
	snprintf(cause, HEALTH_CAUSE_MAX, "%s", text);
}

uint32_t health_ramp(uint64_t back_for_ns, uint64_t slow_start_ns)
{
	uint64_t step_ns = slow_start_ns / HEALTH_RAMP_STEPS;

	if (!step_ns || back_for_ns >= slow_start_ns)
		return HEALTH_RAMP_ONE;
	return (uint32_t)((back_for_ns / step_ns + 1) * HEALTH_RAMP_ONE / HEALTH_RAMP_STEPS);
}
