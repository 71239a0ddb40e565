/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests that wait in the meter for an answer that nobody will give any more, and of whose end no
 * packet has told: the connection vanished, or packets passed by while no program was attached. The sockets of
 * the host are asked, so that a request that takes an hour stays what it is.
 *
 * It asks only if there are requests older than half a second, once a second if they are those of
 * before, and spends 1 % of its time at most. A connection without a socket here (METER_ELSEWHERE) is
 * given five minutes. Behind the meter's front it looks only if something has spilled over; handshakes
 * that have come to nothing go from there, too, so that the front is enough again.
 */
#ifndef PLIMSOLL_SERVER_SWEEP_H
#define PLIMSOLL_SERVER_SWEEP_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared.h"

#define SWEEP_INTERVAL_MS 250

struct suspect {
	__u64 *slot;
	uint64_t value;
	uint32_t bucket;
	uint32_t is_owed; /* an answer */
};

struct sweep {
	struct bucket *meter;
	struct metrics *metrics;
	uint32_t buckets;
	struct mnl_socket *sockets;
	struct suspect *suspects; /* in the order of their buckets */
	size_t count, room;
	bool has_new; /* suspects, since the sockets were last asked */
	uint64_t asked_ns;
	uint64_t not_before_ns;
};

/* meter and metrics: as memory that the kernel's programs share. 0 or -errno. */
int sweep_open(struct sweep *sweep, struct bucket *meter, uint32_t buckets,
	       struct metrics *metrics);

/* To be called every SWEEP_INTERVAL_MS. 0 or -errno. */
int sweep_run(struct sweep *sweep);
void sweep_close(struct sweep *sweep);

#endif
