/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked of the simulator: contenders in worlds. The oracle runs in each world, too. */
#ifndef PLIMSOLL_SIMULATE_STUDIES_H
#define PLIMSOLL_SIMULATE_STUDIES_H

#include "simulate.h"

#include <stddef.h>

/* What a table shows of each run; the first by the oracle's. */
#define METRICS(X)                                                                                 \
	X(THROUGHPUT, "requests/s, % of oracle")                                                   \
	X(MEAN, "mean latency, ms")                                                                \
	X(P50, "p50, ms")                                                                          \
	X(P99, "p99, ms")                                                                          \
	X(P999, "p99.9, ms")                                                                       \
	X(SHARE, "reports, % of response packets")                                                 \
	X(REPORTS, "reports/s from a server to a balancer")                                        \
	X(AGE, "age of the report at the choice, ms")                                              \
	X(UNKNOWN, "choices without a report, %")                                                  \
	X(HERDING, "in-flight for capacity, largest : mean")                                       \
	X(SETTLED, "weights within 20 % after, s")                                                 \
	X(WEIGHT_ERROR, "error of the weights at the end, %")                                      \
	X(WEIGHT_CHANGES, "change of weights, % a second")                                         \
	X(SETTLE, "share settled after, ms")                                                       \
	X(FOCUS_SHARE, "its share of the connections : fair share")                                \
	X(FOCUS_PEAK, "its in-flight for capacity, peak : mean")

enum metric {
#define METRIC_ENUM(symbol, title) METRIC_##symbol,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
		METRIC_COUNT
};

#define STUDY_METRICS 5

struct study {
	const char *name;
	const char *question;
	const struct world *worlds;
	size_t world_count;
	const struct contender *contenders;
	size_t contender_count;
	uint32_t seeds; /* of which the median is shown */
	enum metric metrics[STUDY_METRICS];
	size_t metric_count;
	bool full; /* the short form leaves it out */
};

extern const struct study studies[];
extern const size_t study_count;

extern const struct contender oracle;

double metric_of(enum metric metric, const struct outcome *outcome, const struct outcome *oracle);
const char *metric_title(enum metric metric);

#endif
