/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_studies.h"

const struct contender oracle = {.name = "oracle", .knowledge = KNOWS_ALL};

/* -------------------------------------------------------------------- worlds */

#define EIGHT .servers = 8, .balancers = 1
#define UNEVEN EIGHT, .sizes = SIZES_UNEVEN
#define TUNED UNEVEN, .weights_known = true
/* As long as the slow loop takes. */
#define LEARNED .warmup = 8, .seconds = 20

/* The lab's workloads, as bench/measure/plan.py has them. */
#define LAB_UNEVEN                                                                                 \
	{                                                                                          \
		.name = "uneven", UNEVEN, LEARNED                                                  \
	}
#define LAB_ANTAGONIST                                                                             \
	{                                                                                          \
		.name = "antagonist", EIGHT, .antagonist = true, LEARNED                           \
	}
#define LAB_BATCH                                                                                  \
	{                                                                                          \
		.name = "batch", UNEVEN, .work = WORK_BATCH, .antagonist = true, LEARNED           \
	}
#define LAB_INFERENCE                                                                              \
	{                                                                                          \
		.name = "inference", EIGHT, .sizes = SIZES_SPEEDS, .work = WORK_UNIFORM,           \
		.service_ns = 50 * MS, LEARNED                                                     \
	}
#define LAB_TUNED                                                                                  \
	{                                                                                          \
		.name = "uneven-tuned", TUNED, LEARNED                                             \
	}

static const struct world lab_worlds[] = {
	LAB_UNEVEN, LAB_ANTAGONIST, LAB_BATCH, LAB_INFERENCE, LAB_TUNED,
};

static const struct world slow_worlds[] = {
	{.name = "step",
	 EIGHT,
	 .incident = INCIDENT_STEP,
	 .load = 0.625,
	 .warmup = 8,
	 .seconds = 80},
	{.name = "change", EIGHT, .incident = INCIDENT_CHANGE, .load = 0.6, LEARNED},
	{.name = "idle", EIGHT, .sizes = SIZES_SPEEDS, .load = 0.1, .warmup = 30, .seconds = 40},
	{.name = "lull,speeds",
	 EIGHT,
	 .sizes = SIZES_SPEEDS,
	 .load = 0.9,
	 .lull = 0.1,
	 .warmup = 30},
	{.name = "lull,uneven", UNEVEN, .load = 0.9, .lull = 0.1, .warmup = 30},
	{.name = "8 balancers", .servers = 8, .balancers = 8, .sizes = SIZES_UNEVEN, LEARNED},
};

static const struct world fast_worlds[] = {
	{.name = "uneven", TUNED},
	{.name = "antagonist", EIGHT, .antagonist = true},
	{.name = "uneven, 8b",
	 .servers = 8,
	 .balancers = 8,
	 .sizes = SIZES_UNEVEN,
	 .weights_known = true},
	{.name = "antag., 8b", .servers = 8, .balancers = 8, .antagonist = true},
	{.name = "64 servers",
	 .servers = 64,
	 .balancers = 1,
	 .sizes = SIZES_UNEVEN,
	 .weights_known = true},
};

static const struct world loss_worlds[] = {
	{.name = "uneven", TUNED},
	{.name = "antagonist", EIGHT, .antagonist = true},
	{.name = "1 % of SYNs", TUNED, .syn_loss = 0.01, .clients = 4},
};

/* More clients, so that their longer way is filled. */
#define FAR(text, hop, round_trip)                                                                 \
	{                                                                                          \
		.name = text, TUNED, .clients = 14, .hop_ns = hop, .round_trip_ns = round_trip     \
	}
static const struct world far_worlds[] = {
	FAR("hop 0.1 ms", 100 * US, 0), FAR("hop 1 ms", MS, 0),
	FAR("hop 10 ms", 10 * MS, 0),	FAR("hop 50 ms", 50 * MS, 0),
	FAR("RTT 20 ms", 0, 20 * MS),	FAR("RTT 100 ms", 0, 100 * MS),
};

#define STARVING(text, share)                                                                      \
	{                                                                                          \
		.name = text, .servers = 100, .balancers = 10, .sizes = SIZES_UNEVEN,              \
		.weights_known = true, .load = share                                               \
	}
static const struct world starving_worlds[] = {
	STARVING("load 0.1 %", 0.001),
	STARVING("load 1 %", 0.01),
	STARVING("load 10 %", 0.1),
	STARVING("load 80 %", 0.8),
};

static const struct world incident_worlds[] = {
	{.name = "joins", EIGHT, .incident = INCIDENT_JOIN, .load = 0.7, .seconds = 0.2},
	{.name = "joins, 8 b",
	 .servers = 8,
	 .balancers = 8,
	 .incident = INCIDENT_JOIN,
	 .load = 0.7,
	 .seconds = 0.2},
	{.name = "drains", EIGHT, .incident = INCIDENT_DRAIN, .load = 0.7},
	{.name = "sinkhole", EIGHT, .incident = INCIDENT_SINKHOLE, .load = 0.7},
	{.name = "sinkhole,8b",
	 .servers = 8,
	 .balancers = 8,
	 .incident = INCIDENT_SINKHOLE,
	 .load = 0.7},
};

#define SHARING(text, b) .name = text, .servers = 8, .balancers = (b)
static const struct world sharing_worlds[] = {
	{SHARING("uneven x 2", 2), .sizes = SIZES_UNEVEN, .weights_known = true},
	{SHARING("uneven x 4", 4), .sizes = SIZES_UNEVEN, .weights_known = true},
	{SHARING("uneven x 8", 8), .sizes = SIZES_UNEVEN, .weights_known = true},
	{SHARING("uneven x 16", 16), .sizes = SIZES_UNEVEN, .weights_known = true},
	{SHARING("antag. x 4", 4), .antagonist = true},
	{SHARING("antag. x 16", 16), .antagonist = true},
};

/* So short that the large ones end in minutes. */
#define SCALE(text, n, b, s)                                                                       \
	.name = text, .servers = (n), .balancers = (b), .sizes = SIZES_UNEVEN,                     \
	.weights_known = true, .warmup = (s), .seconds = (s)
static const struct world scale_worlds[] = {
	{SCALE("8 x 1", 8, 1, 5)},
	{SCALE("8 x 10", 8, 10, 5)},
	{SCALE("8 x 100", 8, 100, 5)},
	{SCALE("100 x 1", 100, 1, 2)},
	{SCALE("100 x 10", 100, 10, 2)},
	{SCALE("100 x 100", 100, 100, 2)},
	{SCALE("1000 x 10", 1000, 10, 1), .full = true},
	{SCALE("1000 x 100", 1000, 100, 1), .full = true},
	{SCALE("10000 x 1", 10000, 1, 0.5), .full = true},
	{SCALE("10000 x 100", 10000, 100, 0.5), .full = true},
};

/* ---------------------------------------------------------------- contenders */

#define STATIC(of) .name = of, .policy = of
#define POLL(text, interval) .name = text, .knowledge = KNOWS_BY_POLLING, .interval_ns = interval
#define FREE(text) .name = text, .knowledge = KNOWS_BY_REPORTS
/* Within the default budget. */
#define IN_BAND(text) FREE(text), .max_share = 0.02
#define PLAIN .choices = 2, .without_pending = true
#define AUTO .estimator = ESTIMATOR_PUBLISHED

static const struct contender transport_contenders[] = {
	{STATIC("maglev")},
	{STATIC("round-robin")},
	{POLL("poll 1 s, 2 choices, plain", SECOND), PLAIN},
	{POLL("poll 100 ms, 2 choices, plain", 100 * MS), PLAIN},
	{POLL("poll 10 ms, 2 choices, plain", 10 * MS), PLAIN},
	{POLL("poll 1 s, otherwise as in-band", SECOND), AUTO, .stale_after_ns = 3 * SECOND},
	{POLL("poll 100 ms, otherwise the same", 100 * MS), AUTO},
	{POLL("poll 10 ms, otherwise the same", 10 * MS), AUTO},
	{IN_BAND("in-band, the default"), AUTO},
	{IN_BAND("in-band, 10 ms"), AUTO, .interval_ns = 10 * MS},
	{IN_BAND("in-band, last ACK is late"), AUTO, .last_ack_is_late = true},
	{IN_BAND("the same, silence 1 s"), AUTO, .last_ack_is_late = true, .silence_ns = SECOND},
	{.name = "the truth, right weights", .knowledge = KNOWS_THE_TRUTH, .right_weights = true},
};

static const struct contender weight_contenders[] = {
	{IN_BAND("as configured")},
	{IN_BAND("right weights"), .right_weights = true},
	{IN_BAND("auto"), AUTO},
	{IN_BAND("a step each second"), .estimator = ESTIMATOR_LATENCY},
	{IN_BAND("by Little's law"), .estimator = ESTIMATOR_LITTLE},
	{IN_BAND("throughput"), .estimator = ESTIMATOR_THROUGHPUT},
	{IN_BAND("throughput/utilisation"), .estimator = ESTIMATOR_UTILISATION},
	{IN_BAND("median of 10 s"), .estimator = ESTIMATOR_MEDIAN},
};

static const struct contender choice_contenders[] = {
	{IN_BAND("1 choice"), AUTO, .choices = 1},
	{IN_BAND("2 choices"), AUTO, .choices = 2},
	{IN_BAND("3 choices"), AUTO, .choices = 3},
	{IN_BAND("4 choices"), AUTO, .choices = 4},
	{IN_BAND("6 choices"), AUTO, .choices = 6},
	{IN_BAND("8 choices"), AUTO, .choices = 8},
	{IN_BAND("least-loaded"), AUTO, .policy = "least-loaded"},
	{IN_BAND("prequal, 4 choices"), AUTO, .policy = "prequal"},
	{IN_BAND("weighted-random"), AUTO, .policy = "weighted-random"},
	{IN_BAND("4 choices, without pending"), AUTO, .without_pending = true},
	{IN_BAND("least-loaded, without pending"), AUTO, .policy = "least-loaded",
	 .without_pending = true},
	{IN_BAND("4 choices, ring by sqrt(weight)"), AUTO, .ring_flatness = 0.5},
	{IN_BAND("4 choices, ring without weights"), AUTO, .ring_flatness = 1},
	{FREE("4 choices, 5 % budget"), AUTO, .max_share = 0.05},
	{FREE("4 choices, 10 % budget"), AUTO, .max_share = 0.1},
	{FREE("4 choices, no budget"), AUTO},
};

static const struct contender interval_contenders[] = {
	{STATIC("maglev")},
	{FREE("0.1 ms"), .interval_ns = 100 * US},
	{FREE("1 ms")},
	{FREE("10 ms"), .interval_ns = 10 * MS},
	{FREE("100 ms"), .interval_ns = 100 * MS},
	{FREE("1000 ms"), .interval_ns = SECOND, .stale_after_ns = 3 * SECOND},
	{FREE("10 ms, without pending"), .interval_ns = 10 * MS, .without_pending = true},
	{FREE("100 ms, without pending"), .interval_ns = 100 * MS, .without_pending = true},
	{FREE("100 ms, scan, without pending"), .interval_ns = 100 * MS, .policy = "least-loaded",
	 .without_pending = true},
	{IN_BAND("1 ms, 2 % budget")},
};

static const struct contender loss_contenders[] = {
	{IN_BAND("nothing lost")},
	{IN_BAND("1 % of the reports"), .report_loss = 0.01},
	{IN_BAND("10 % of the reports"), .report_loss = 0.1},
	{IN_BAND("50 % of the reports"), .report_loss = 0.5},
	{IN_BAND("1 % of the carriers"), .carrier_loss = 0.01},
	{IN_BAND("10 % of the carriers"), .carrier_loss = 0.1},
	{IN_BAND("10 % of the carriers, patience 2"), .carrier_loss = 0.1, .patience = 2},
	{IN_BAND("10 %, seen at the SYN"), .carrier_loss = 0.1, .seen_at_syn = true},
	{IN_BAND("10 %, both"), .carrier_loss = 0.1, .patience = 2, .seen_at_syn = true},
	{IN_BAND("patience 2, nothing lost"), .patience = 2},
	{IN_BAND("both, nothing lost"), .patience = 2, .seen_at_syn = true},
	{IN_BAND("50 % of the reports, no pending"), .report_loss = 0.5, .without_pending = true},
};

static const struct contender far_contenders[] = {
	{STATIC("maglev")},
	{IN_BAND("4 choices")},
	{IN_BAND("2 choices"), .choices = 2},
	{IN_BAND("4 choices, without pending"), .without_pending = true},
	{IN_BAND("4 choices, seen at the SYN"), .seen_at_syn = true},
};

static const struct contender starving_contenders[] = {
	{STATIC("maglev")},
	{IN_BAND("stale after 10 ms"), .stale_after_ns = 10 * MS},
	{IN_BAND("stale after 100 ms"), .stale_after_ns = 100 * MS},
	{IN_BAND("stale after 1 s")},
	{IN_BAND("stale after 10 s"), .stale_after_ns = 10 * SECOND},
};

static const struct contender incident_contenders[] = {
	{STATIC("round-robin")},
	{IN_BAND("4 choices")},
	{IN_BAND("4 choices, auto"), AUTO},
	{IN_BAND("4 choices, without pending"), .without_pending = true},
	{IN_BAND("least-loaded"), .policy = "least-loaded"},
	{IN_BAND("prequal"), .policy = "prequal"},
	{POLL("poll 100 ms, without pending", 100 * MS), PLAIN},
};

/* What is free beyond the budget, as if each balancer were the only one. */
#define FREE_FOR_EACH .free_interval_ns = 4 * MS
static const struct contender sharing_contenders[] = {
	{STATIC("maglev")},
	{IN_BAND("the default")},
	{IN_BAND("free reports for each balancer"), FREE_FOR_EACH},
	{IN_BAND("balancers in turn"), .in_turn = true},
	{IN_BAND("in turn, free reports for each"), .in_turn = true, FREE_FOR_EACH},
	{FREE("10 % budget"), .max_share = 0.1},
	{FREE("10 % budget, in turn"), .max_share = 0.1, .in_turn = true},
	{FREE("no budget")},
	{FREE("no budget, in turn"), .in_turn = true},
	{IN_BAND("2 choices"), .choices = 2},
	{IN_BAND("without pending"), .without_pending = true},
};

static const struct contender scale_contenders[] = {
	{STATIC("maglev")},
	{FREE("1 ms, no budget")},
	{FREE("10 ms"), .interval_ns = 10 * MS},
	{FREE("100 ms"), .interval_ns = 100 * MS},
	{FREE("100 ms, without pending"), .interval_ns = 100 * MS, .without_pending = true},
	{IN_BAND("1 ms, 2 % budget")},
	{IN_BAND("1 ms, 2 % budget, 2 choices"), .choices = 2},
};

/* ------------------------------------------------------------------- studies */

#define LIST(array) (array), sizeof(array) / sizeof((array)[0])

const struct study studies[] = {
	{"transport",
	 "the lab's workloads, closed loop: what does the way of the feedback matter?",
	 LIST(lab_worlds),
	 LIST(transport_contenders),
	 9,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_SHARE},
	 3,
	 false},
	{"weights",
	 "which estimator of capacity should auto weights use?",
	 LIST(lab_worlds),
	 LIST(weight_contenders),
	 9,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_SETTLED, METRIC_WEIGHT_ERROR,
	  METRIC_WEIGHT_CHANGES},
	 5,
	 false},
	{"slow",
	 "and where servers change, or there is little to do, or there are many balancers?",
	 LIST(slow_worlds),
	 LIST(weight_contenders),
	 9,
	 {METRIC_MEAN, METRIC_P99, METRIC_SETTLE, METRIC_WEIGHT_CHANGES},
	 4,
	 false},
	{"choices",
	 "how many candidates, which policy, what budget, with pending or without?",
	 LIST(lab_worlds),
	 LIST(choice_contenders),
	 9,
	 {METRIC_THROUGHPUT, METRIC_P99},
	 2,
	 false},
	{"interval",
	 "how often must servers report?",
	 LIST(fast_worlds),
	 LIST(interval_contenders),
	 5,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_AGE, METRIC_HERDING},
	 4,
	 false},
	{"loss",
	 "what do lost reports, carriers and SYNs cost?",
	 LIST(loss_worlds),
	 LIST(loss_contenders),
	 5,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_P999, METRIC_AGE, METRIC_SHARE},
	 5,
	 false},
	{"far",
	 "what if balancer, servers and clients are far from each other?",
	 LIST(far_worlds),
	 LIST(far_contenders),
	 5,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_AGE},
	 3,
	 false},
	{"starving",
	 "when do servers have too little to do to report?",
	 LIST(starving_worlds),
	 LIST(starving_contenders),
	 3,
	 {METRIC_MEAN, METRIC_P99, METRIC_UNKNOWN, METRIC_AGE},
	 4,
	 false},
	{"incidents",
	 "a server joins, drains, or resets whatever comes: what does it get?",
	 LIST(incident_worlds),
	 LIST(incident_contenders),
	 9,
	 {METRIC_FOCUS_SHARE, METRIC_FOCUS_PEAK, METRIC_P99},
	 3,
	 false},
	{"sharing",
	 "several balancers: how should a server share out its reports?",
	 LIST(sharing_worlds),
	 LIST(sharing_contenders),
	 5,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_AGE, METRIC_SHARE, METRIC_HERDING},
	 5,
	 false},
	{"scale",
	 "servers x balancers: where does the loop stop to help?",
	 LIST(scale_worlds),
	 LIST(scale_contenders),
	 1,
	 {METRIC_THROUGHPUT, METRIC_P99, METRIC_AGE, METRIC_SHARE, METRIC_HERDING},
	 5,
	 false},
};
const size_t study_count = sizeof(studies) / sizeof(studies[0]);
