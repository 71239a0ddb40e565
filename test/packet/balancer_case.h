/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A case: a state, a packet, and what must become of both. Cases are data; one function runs and
 * checks them all, so each is held against everything that could have happened: exactly one
 * verdict is counted, what was refused has changed nothing.
 */
#ifndef PLIMSOLL_TEST_BALANCER_CASE_H
#define PLIMSOLL_TEST_BALANCER_CASE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "balancer_world.h"
#include "packet.h"

enum direction {
	TO_SERVICE, /* usual packet: SYN from CLIENT */
	FROM_SERVICE, /* usual packet: ACK to CLIENT, by backend 1's machine */
};

enum arrival {
	BY_LAN,
	BY_WAN,
	BY_IDLE, /* an interface that the balancer does not serve */
};

/* A load option in a response. Its contents are fixed, but for these. */
struct report_in {
	uint8_t backend; /* whose machine it names; 0 = no option */
	uint32_t sequence;
	uint8_t flags; /* enum load_report_flags; with K there is a tag */
	uint8_t nops_before, nops_after; /* NOP options around it */
	bool by_old_key;
};

enum output {
	UNCHANGED, /* also for what is dropped: nobody sees it */
	TO_BACKEND,
	TO_CLIENT, /* option out, to the client's next hop */
	TO_HOST, /* option out, with a note to resolve() */
	TO_US, /* option out */
};

#define BACKEND(number) (1 << (number))

struct balancer_case {
	const char *name;
	struct before before;
	enum direction direction;
	enum arrival arrival;
	struct segment in; /* what differs from the direction's usual packet */
	struct report_in report;

	enum verdict verdict;
	enum xdp_action action;
	enum output output;
	uint8_t backends; /* BACKEND() of each that may get it; 0 = any */
};

/*
 * Runs the cases as cmocka tests, each under its name, between world_create() and
 * world_destroy(). Returns the number that failed.
 */
int run_cases(const char *group, const struct balancer_case *cases, size_t count);

/* The frame that a case sends in. */
void case_frame(const struct balancer_case *test, struct frame *frame);

#endif
