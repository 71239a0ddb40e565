/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_studies.h"

#include <math.h>

#define SETTLED_ERROR 0.2

const struct contender oracle = {.name = "oracle", .knowledge = KNOWS_ALL};

static double percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* The first second from which on the weights stay near the capacities. */
static double settled(const struct outcome *outcome)
{
	uint32_t second = outcome->seconds;

	while (second > 1 && outcome->course_error[second - 1] < SETTLED_ERROR)
		second--;
	return second;
}

double metric_of(enum metric metric, const struct outcome *outcome, const struct outcome *best)
{
	switch (metric) {
	case METRIC_THROUGHPUT:
		return percent(outcome->requests_per_second, best->requests_per_second);
	case METRIC_P50:
		return outcome->p50_ms;
	case METRIC_P99:
		return outcome->p99_ms;
	case METRIC_P999:
		return outcome->p999_ms;
	case METRIC_SHARE:
		return 100 * outcome->report_share;
	case METRIC_REPORTS:
		return outcome->reports_per_second;
	case METRIC_AGE:
		return outcome->age_ms;
	case METRIC_HERDING:
		return outcome->herding;
	case METRIC_SETTLED:
		return settled(outcome);
	case METRIC_WEIGHT_ERROR:
		return 100 * outcome->weight_error;
	case METRIC_WEIGHT_CHANGES:
		return 100 * outcome->weight_changes;
	case METRIC_COUNT:
		break;
	}
	return 0;
}

const char *metric_title(enum metric metric)
{
	static const char *const titles[] = {
#define METRIC_TITLE(symbol, title) title,
		METRICS(METRIC_TITLE)
#undef METRIC_TITLE
	};

	return titles[metric];
}

/* -------------------------------------------------------------------- worlds */

#define EIGHT .servers = 8, .balancers = 1

static const struct world table_worlds[] = {
	{.name = "uneven,ok", EIGHT, .sizes = SIZES_UNEVEN, .weights_known = true},
	{.name = "uneven", EIGHT, .sizes = SIZES_UNEVEN},
	{.name = "antagonist", EIGHT, .antagonist = true},
	{.name = "batch", EIGHT, .sizes = SIZES_UNEVEN, .antagonist = true, .batch = true},
};

static const struct world open_worlds[] = {
	{.name = "uneven,ok", EIGHT, .sizes = SIZES_UNEVEN, .weights_known = true, .load = 0.8},
	{.name = "uneven", EIGHT, .sizes = SIZES_UNEVEN, .load = 0.8, .warmup = 20},
	{.name = "antagonist", EIGHT, .antagonist = true, .load = 0.8},
	{.name = "batch",
	 EIGHT,
	 .sizes = SIZES_UNEVEN,
	 .antagonist = true,
	 .batch = true,
	 .load = 0.8,
	 .warmup = 20},
};

/* So that the large ones end in minutes. */
#define SCALE(text, n, b, s)                                                                       \
	.name = text, .servers = (n), .balancers = (b), .sizes = SIZES_UNEVEN,                     \
	.weights_known = true, .warmup = (s), .seconds = (s)

static const struct world scale_worlds[] = {
	{SCALE("8 x 1", 8, 1, 5)},
	{SCALE("8 x 8", 8, 8, 5)},
	{SCALE("8 x 100", 8, 100, 5)},
	{SCALE("64 x 1", 64, 1, 3)},
	{SCALE("64 x 8", 64, 8, 3)},
	{SCALE("64 x 100", 64, 100, 3)},
	{SCALE("1000 x 1", 1000, 1, 1)},
	{SCALE("1000 x 8", 1000, 8, 1)},
	{SCALE("1000 x 100", 1000, 100, 1)},
	{SCALE("10000 x 1", 10000, 1, 0.5), .full = true},
	{SCALE("10000 x 8", 10000, 8, 0.5), .full = true},
	{SCALE("10000 x 100", 10000, 100, 0.5), .full = true},
};

static const struct world giant_worlds[] = {
	{SCALE("10000 x 100", 10000, 100, 0.4)},
};

/* ---------------------------------------------------------------- contenders */

#define STATIC(text, of) .name = text, .policy = of
#define POLL(text, interval) .name = text, .knowledge = KNOWS_BY_POLLING, .interval_ns = interval
#define IN_BAND(text) .name = text, .knowledge = KNOWS_BY_REPORTS
#define PLAIN .choices = 2, .without_pending = true

static const struct contender table_contenders[] = {
	{STATIC("maglev", "maglev")},
	{STATIC("round-robin", "round-robin")},
	{POLL("poll 1 s, 2 choices, plain", SECOND), PLAIN},
	{POLL("poll 1 s, 2 choices", SECOND), .choices = 2},
	{POLL("poll 100 ms, 2 choices, plain", 100 * MS), PLAIN},
	{POLL("poll 100 ms, 2 choices", 100 * MS), .choices = 2},
	{POLL("poll 10 ms, 2 choices, plain", 10 * MS), PLAIN},
	{POLL("poll 10 ms, 2 choices", 10 * MS), .choices = 2},
	{IN_BAND("in-band 1 ms, 2 choices"), .choices = 2},
	{IN_BAND("in-band 1 ms, 4 choices")},
	{IN_BAND("in-band 1 ms, 8 choices"), .choices = 8},
	{IN_BAND("in-band 10 ms, 2 choices"), .choices = 2, .interval_ns = 10 * MS},
	{IN_BAND("in-band 10 ms, 4 choices"), .interval_ns = 10 * MS},
	{IN_BAND("in-band 10 ms, 8 choices"), .choices = 8, .interval_ns = 10 * MS},
	{IN_BAND("in-band 1 ms, least-loaded"), .policy = "least-loaded"},
	{IN_BAND("in-band 1 ms, prequal"), .policy = "prequal"},
	{IN_BAND("in-band 1 ms, weighted-random"), .policy = "weighted-random"},
	{IN_BAND("in-band, as by default"), .max_share = 0.05, .auto_weights = true},
	{.name = "truth, 4 choices", .knowledge = KNOWS_THE_TRUTH},
};

static const struct contender scale_contenders[] = {
	{STATIC("maglev", "maglev")},
	{IN_BAND("in-band 1 ms")},
	{IN_BAND("in-band 10 ms"), .interval_ns = 10 * MS},
	{IN_BAND("in-band 100 ms"), .interval_ns = 100 * MS},
	{IN_BAND("in-band 1 ms, 5 % and 100/s"), .max_share = 0.05},
};

static const struct contender giant_contenders[] = {
	{IN_BAND("in-band 1 ms")},
};

#define LIST(array) (array), sizeof(array) / sizeof((array)[0])

const struct study studies[] = {
	{"table",
	 "the design's table: eight servers, one balancer",
	 LIST(table_worlds),
	 LIST(table_contenders),
	 3,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_SHARE, METRIC_HERDING},
	 4,
	 false},
	{"open",
	 "the same in an open loop at 80 % of capacity",
	 LIST(open_worlds),
	 LIST(table_contenders),
	 3,
	 {METRIC_P50, METRIC_P99, METRIC_P999},
	 3,
	 false},
	{"scale",
	 "servers x balancers, weights right: where does the loop stop to help?",
	 LIST(scale_worlds),
	 LIST(scale_contenders),
	 1,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_AGE, METRIC_SHARE, METRIC_HERDING},
	 5,
	 false},
	{"giant",
	 "ten thousand servers, a hundred balancers",
	 LIST(giant_worlds),
	 LIST(giant_contenders),
	 1,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_AGE, METRIC_SHARE, METRIC_HERDING},
	 5,
	 false},
};
const size_t study_count = sizeof(studies) / sizeof(studies[0]);
