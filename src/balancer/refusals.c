/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/refusals.h"

#include <inttypes.h>

#include "attach.h"
#include "clock.h"

static const struct {
	const char *name, *sentence;
} verdicts[] = {
#define VERDICT_ROW(symbol, name, action, sentence) {name, sentence},
	VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

uint64_t refusal_due(struct refusal *refusal, uint64_t count, uint64_t now)
{
	uint64_t more = count - refusal->told;

	if (count <= refusal->told ||
	    (refusal->told_ns && now - refusal->told_ns < REFUSALS_QUIET_NS))
		return 0;
	*refusal = (struct refusal){count, now};
	return more;
}

static void tell(struct events *events, uint32_t verdict, uint64_t count)
{
	events_add(events, EVENT_REPORTS_REFUSED, NULL, NULL,
		   "packets with reports dropped as %s (%s): %" PRIu64
		   "; whose they are: plimsoll trace --verdict %s",
		   verdicts[verdict].name, verdicts[verdict].sentence, count,
		   verdicts[verdict].name);
}

void refusals_look(struct refusals *refusals, int map, struct events *events)
{
	for (uint32_t i = 0; i < REFUSAL_KINDS; i++) {
		uint32_t verdict = VERDICT_REPORT_MALFORMED + i;
		uint64_t count, due;

		if (percpu_sum(map, verdict, &count, 1))
			continue;
		if (!refusals->begun)
			refusals->kinds[i].told = count;
		due = refusal_due(&refusals->kinds[i], count, now_ns());
		if (due)
			tell(events, verdict, due);
	}
	refusals->begun = true;
}
