/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the packets of clients say of their backend: each leaves its evidence where health.h looks for it.
 */
#ifndef PLIMSOLL_EVIDENCE_H
#define PLIMSOLL_EVIDENCE_H

#include "coarse_clock.h"
#include "flow.h"
#include "hash.h"
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
	if (health_answered(health, hash, coarse_now_ns()) && backend->suspect)
		backend->suspect = 0;
}

/*
 * A server has reset, with a report, a flow to the service of that hash_vip(). If the flow has but begun, and
 * it is that server's, nobody listens there: the server's program lets no other reset to a SYN bear a
 * report. Of its own for the stack.
 */
__noinline int note_refused(__u64 hash, __u32 vip, __u32 server)
{
	const struct settings *current;
	struct backend *backend;
	struct health *health;
	__u32 zero = 0, index;
	struct flow flow;

	current = bpf_map_lookup_elem(&settings, &zero);
	if (!current)
		return 0;
	flow_find(hash, current, &flow);
	if (!flow.slot || flow_state(flow.value) != FLOW_OPENING)
		return 0;
	index = flow_backend(flow.value);
	backend = bpf_map_lookup_elem(&backends, &index);
	health = bpf_map_lookup_elem(&healths, &index);
	/* A service of every port has ports where nobody ever listens: its vip is another. */
	if (!backend || !health || backend->vip != vip || backend->server != server)
		return 0;
	health_refuse(health, coarse_now_ns());
	backend->suspect = 1;
	return 1;
}

#endif
