/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a table takes out of an outcome. */
#include "simulate_studies.h"

static double percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

double metric_of(enum metric metric, const struct outcome *outcome, const struct outcome *best)
{
	switch (metric) {
	case METRIC_THROUGHPUT:
		return percent(outcome->requests_per_second, best->requests_per_second);
	case METRIC_MEAN:
		return outcome->mean_ms;
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
	case METRIC_UNKNOWN:
		return 100 * outcome->unknown;
	case METRIC_HERDING:
		return outcome->herding;
	case METRIC_SETTLED:
		return outcome->settled_s;
	case METRIC_WEIGHT_ERROR:
		return 100 * outcome->weight_error;
	case METRIC_WEIGHT_CHANGES:
		return 100 * outcome->weight_changes;
	case METRIC_SETTLE:
		return outcome->settle_ms;
	case METRIC_FOCUS_SHARE:
		return outcome->focus_share;
	case METRIC_FOCUS_PEAK:
		return outcome->focus_peak;
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
