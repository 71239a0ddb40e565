/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A client's packet that is well: which backend gets it, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "balancer_case.h"

#include "load_report.h"

#include "../count.h"
#include "shared.h"

/* 24 bytes of options: a load report, of all things. */
static const uint8_t report_option[24] = {0x5e, 24, 0xb7, 0x10, 10, 1, 0, 11, 0, 0, 0, 9,
					  0,	0,  0,	  0,	0,  0, 0, 0,  0, 0, 0, 0};
static const uint8_t router_alert[4] = {0x94, 4, 0, 0};
static const uint8_t unknown_options[40] = {0xff, 36, 0x5e, 255, [36] = 0x5e, 2, 1};

static const struct balancer_case sent_on[] = {
	{
		.name = "a SYN goes to a backend, but for its MAC addresses as it came",
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
		.before = {.in_flight = {0, 9, 9}},
		.backends = BACKEND(1),
	},
	{
		.name = "a backend on another interface is reached by a redirect",
		.before = {.in_flight = {9, 9, 0}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_REDIRECT,
		.output = TO_BACKEND,
		.backends = BACKEND(3),
	},
	{
		.name = "a packet that came in where its backend is not",
		.arrival = BY_WAN,
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_REDIRECT,
		.output = TO_BACKEND,
		.backends = BACKEND(1),
	},
	{
		.name = "data, type of service and a low time to live are left alone",
		.in = {.flags = TCP_SYN, .payload = 777, .tos = 0xb9, .ttl = 1},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "bytes behind the IP packet, as in short frames",
		.in = {.padding = 6},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "a wrong IP checksum is the backend's to find",
		.in = {.patches = {{AT_IP_CHECKSUM, 0xbe}, {AT_IP_CHECKSUM + 1, 0xef}}},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "without don't-fragment",
		.in = {.patches = {{AT_FRAGMENT, 0}}},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "a client's IP options pass",
		.in = {.options = router_alert, .options_length = 4},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "a client's options of 40 bytes, of types that nobody knows, pass",
		.in = {.options = unknown_options, .options_length = 40},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "a client that sends a load report gets no hearing",
		.in = {.options = report_option, .options_length = 24},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "nor if it has the MAC address of the server",
		.in = {.options = report_option,
		       .options_length = 24,
		       .mac_from = "02:00:00:00:00:11"},
		.before = {.in_flight = {0, 9, 9}},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
	{
		.name = "a keyed report with the right tag towards a VIP, no hearing either",
		.report = {.backend = 1, .sequence = 9, .flags = LOAD_REPORT_KEYED},
		.before = {.in_flight = {0, 9, 9}, .keyed = true},
		.verdict = VERDICT_FORWARDED,
		.action = XDP_TX,
		.output = TO_BACKEND,
	},
};

static const struct balancer_case chosen[] = {
#define CHOSEN .verdict = VERDICT_FORWARDED, .action = XDP_TX, .output = TO_BACKEND
	{
		.name = "the least loaded of the candidates",
		.before = {.in_flight = {5, 3, 9}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "one request makes the difference",
		.before = {.in_flight = {999, 1000, 1000}},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "of two equal ones, either",
		.before = {.in_flight = {4, 4, 9}},
		.backends = BACKEND(1) | BACKEND(2),
		CHOSEN,
	},
	{
		.name = "the largest numbers that a report can bear",
		.before = {.in_flight = {65535, 65534, 65535}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "connections sent and not yet seen count",
		.before = {.in_flight = {2, 3, 9}, .sent = {12, 10, 10}, .seen = {10, 10, 10}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "those that got lost do not",
		.before = {.in_flight = {2, 3, 9}, .sent = {12, 0, 0}, .seen = {4}, .lost = {8}},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "counters of connections wrap",
		.before = {.in_flight = {2, 3, 9}, .sent = {1}, .seen = {UINT32_MAX - 1}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "a server that has seen more than was sent has none pending: not fewer",
		.before = {.in_flight = {3, 2, 9}, .seen = {1000}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "a server that has seen more than was sent has none pending: not more",
		.before = {.in_flight = {2, 3, 9}, .seen = {1000}},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "hundreds of thousands pending",
		.before = {.sent = {300000, 200000, 400000}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "unless the service wants only what is reported",
		.before = {.in_flight = {2, 3, 9}, .sent = {1000}, .without_pending = true},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "twice the weight, a little less than twice the load",
		.before = {.in_flight = {10, 4, 20}, .weight = {2, 1, 1}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "twice the weight, a little more than half the load",
		.before = {.in_flight = {8, 4, 20}, .weight = {2, 1, 1}},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "the largest weight",
		.before = {.in_flight = {900, 0, 900}, .weight = {WEIGHT_MAX, 1, 1}},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "a stale report is not believed to be low",
		.before = {.in_flight = {0, 5, 9}, .age_ms = {1100}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "a report not yet stale is",
		.before = {.in_flight = {0, 5, 9}, .age_ms = {800}},
		.backends = BACKEND(1),
		CHOSEN,
	},
	{
		.name = "how old is stale is the service's",
		.before = {.in_flight = {0, 5, 9}, .age_ms = {150}, .stale_after_ms = 100},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "never heard of is not idle",
		.before = {.in_flight = {0, 5, 9}, .age_ms = {NEVER}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "never is never, even if nothing were ever stale",
		.before = {.in_flight = {0, 5, 9}, .age_ms = {NEVER}, .stale_after_ms = UINT32_MAX},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "two that are unknown leave it to the third",
		.before = {.in_flight = {0, 1000, 0}, .age_ms = {NEVER, 0, 1100}},
		.backends = BACKEND(2),
		CHOSEN,
	},
	{
		.name = "unknown, where the flow belongs: it keeps its share, to be heard of",
		.before = {.in_flight = {0, 9, 0}, .age_ms = {0, NEVER, 0}},
		.backends = BACKEND(2),
		CHOSEN,
	},
};

/* Here the answer is the flow's first candidate, however loaded. */
static const struct balancer_case hashed[] = {
#define HASHED .backends = BACKEND(FIRST_CANDIDATE), CHOSEN
	{
		.name = "all unknown: the first candidate",
		.before = {.age_ms = {NEVER, 2000, 3000}, .in_flight = {5, 9, 3}},
		HASHED,
	},
	{
		.name = "no feedback: the first candidate",
		.before = {.no_feedback = true, .in_flight = {5, 9, 3}},
		HASHED,
	},
	{
		.name = "maglev: the first candidate",
		.before = {.policy = POLICY_MAGLEV, .in_flight = {3, 9, 5}},
		HASHED,
	},
	{
		.name = "one choice: the first candidate",
		.before = {.choices = 1, .in_flight = {5, 9, 3}},
		HASHED,
	},
	{
		.name = "in the middle of a connection nobody knows: the first candidate",
		.before = {.in_flight = {5, 9, 3}},
		.in = {.flags = TCP_ACK},
		HASHED,
	},
	{
		.name = "likewise with a policy that takes no candidates",
		.before = {.policy = POLICY_ROUND_ROBIN},
		.in = {.flags = TCP_ACK},
		HASHED,
	},
	{
		.name = "a SYN-ACK opens nothing: the first candidate",
		.before = {.in_flight = {3, 9, 5}},
		.in = {.flags = TCP_SYN | TCP_ACK},
		HASHED,
	},
	{
		.name = "a reset of a connection nobody knows: the first candidate",
		.before = {.in_flight = {3, 9, 5}},
		.in = {.flags = TCP_RST},
		HASHED,
	},
	{
		.name = "all equal: the first candidate",
		.before = {.in_flight = {4, 4, 4}},
		HASHED,
	},
#undef HASHED
#undef CHOSEN
};

static const struct balancer_case without_backend[] = {
	{
		.name = "an empty ring: no backend",
		.before = {.empty_ring = true},
		.verdict = VERDICT_NO_BACKEND,
		.action = XDP_DROP,
	},
	{
		.name = "an empty ring without feedback: no backend",
		.before = {.empty_ring = true, .no_feedback = true},
		.verdict = VERDICT_NO_BACKEND,
		.action = XDP_DROP,
	},
	{
		.name = "a backend whose MAC address is not known: no neighbour",
		.before = {.no_neighbours = true},
		.verdict = VERDICT_NO_NEIGHBOUR,
		.action = XDP_DROP,
	},
};

int main(void)
{
	int failed = 0;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	failed += run_cases("balancer: sent on", sent_on, COUNT(sent_on));
	failed += run_cases("balancer: chosen", chosen, COUNT(chosen));
	failed += run_cases("balancer: first candidate", hashed, COUNT(hashed));
	failed += run_cases("balancer: no backend", without_backend, COUNT(without_backend));
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
