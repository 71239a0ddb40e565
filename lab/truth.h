/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a worker says of itself in the file that it maps (--truth): what is measured and reported
 * elsewhere is held against this. All times are ns of CLOCK_MONOTONIC.
 *
 * Read it like this: version, the fields, version again; if the two differ, or are odd, once more.
 */
#ifndef PLIMSOLL_LAB_TRUTH_H
#define PLIMSOLL_LAB_TRUTH_H

#include <stdint.h>

#define TRUTH_MAGIC 0x48545552544c4d50ULL /* "PMLTRUTH" */

struct truth {
	uint64_t magic;
	uint64_t version; /* odd while being written */
	uint64_t updated_ns; /* of the last change */
	uint64_t since_ns; /* of the start, or of the last `reset` */
	uint64_t connections; /* open now */
	uint64_t in_flight; /* requests received in full, no byte of the answer sent */
	uint64_t working; /* of those, the ones being worked on */
	uint64_t owed; /* in_flight, and connections that have not asked for anything yet */
	uint64_t accepted; /* connections */
	uint64_t answered; /* requests */
	uint64_t aborted; /* requests whose client went away before the answer */
	uint64_t refused; /* connections closed for what was no request */
	/* Sums over time, up to updated_ns; what has passed since then is the reader's to add. */
	uint64_t in_flight_ns;
	uint64_t working_ns;
	/* Sums over the answered. */
	uint64_t service_ns; /* work, as drawn: at speed 1 */
	uint64_t latency_ns; /* from the request's last byte to the answer */
	/* How it is set. */
	uint64_t workers;
	double speed;
};

#endif
