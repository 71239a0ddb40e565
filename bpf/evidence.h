/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the packets of clients say of their backend: each leaves its evidence where health.h looks for it.
 */
#ifndef PLIMSOLL_EVIDENCE_H
#define PLIMSOLL_EVIDENCE_H

#include "coarse_clock.h"
#include "health.h"
#include "maps.h"

/*
 * A connection is sent there. Returns whether that is one too many, so that it had better go elsewhere.
 * Of its own for the stack.
 */
__noinline int note_connection(__u32 index, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);
	struct backend *backend = bpf_map_lookup_elem(&backends, &index);
	__u64 now = coarse_now_ns();

	if (!health || !backend)
		return 0;
	if (backend->suspect) {
		health_try(health, now);
		health_sent(health, hash, now);
		return 0;
	}
	if (health_is_silent(health, now)) {
		health_suspect(health, now);
		backend->suspect = 1;
		return 1;
	}
	health_sent(health, hash, now);
	return 0;
}

/* A SYN comes again. Returns whether its backend is given up for it. */
static __always_inline int note_repeated(__u32 index, struct backend *backend, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);

	if (!health)
		return 0;
	health_repeated(health, hash);
	if (!backend->suspect && !backend->down &&
	    health_silence_ns(health, coarse_now_ns()) < HEALTH_REPEATED_NS)
		return 0;
	health->moved++;
	return 1;
}

/* A flow has gone on, and so its backend has answered. */
static __always_inline void note_answer(__u32 index, struct backend *backend, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);

	if (!health)
		return;
	health_answered(health, hash, coarse_now_ns());
	if (backend->suspect)
		backend->suspect = 0;
}

#endif
