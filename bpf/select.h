/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Choosing in the kernel: gets the candidates out of the maps and lets choose.h judge them.
 *
 * The functions are global ones, because the verifier walks those once and not again for every path
 * that leads to them. To them, a pointer may be NULL.
 */
#ifndef PLIMSOLL_SELECT_H
#define PLIMSOLL_SELECT_H

#include "choose.h"
#include "coarse_clock.h"
#include "hash.h"
#include "health.h"
#include "maps.h"

/* A backend's place in the array of its service's ring, behind which the others follow. */
static __always_inline __u32 ring_read(void *ring, __u32 slot)
{
	__u64 *backend = bpf_map_lookup_elem(ring, &slot);

	return backend ? (__u32)*backend : BACKEND_NONE;
}

/* Whether new connections had better go elsewhere: it is down, or suspect and not on trial. */
static __always_inline int is_shunned(const struct backend *backend, __u32 index)
{
	struct health *health;

	if (backend->down || !backend->suspect)
		return backend->down;
	health = bpf_map_lookup_elem(&healths, &index);
	return !health || !health_trial_due(health, coarse_now_ns());
}

/*
 * What a backend is worth to the service's policy: the lowest wins. KEY_UNKNOWN without a report,
 * KEY_DRAINING if that says so, KEY_SUSPECT if it is to be shunned.
 */
__noinline __u64 backend_key(const struct service *service, __u32 index,
			     const struct choosing *choosing, __u64 now)
{
	struct candidate candidate;
	struct choice_state *state;
	struct backend *backend;
	struct load *load;
	__u32 id, server;

	if (!service || !choosing)
		return KEY_UNKNOWN;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend)
		return KEY_UNKNOWN;
	if (is_shunned(backend, index))
		return KEY_SUSPECT;
	server = backend->server;
	load = bpf_map_lookup_elem(&loads, &server);
	if (!load || !load_known(load, now, service->stale_after_ns))
		return KEY_UNKNOWN;
	if (load->flags & LOAD_REPORT_DRAINING)
		return KEY_DRAINING;
	candidate_fill(&candidate, load, backend->cost, service->signal, service->with_pending);
	if (service->policy == POLICY_PREQUAL) {
		id = service->id;
		state = bpf_map_lookup_elem(&choice_states, &id);
		if (state)
			state->hot = hot_update(state->hot, &candidate);
	}
	return key_by_policy(&candidate, choosing, service->policy);
}

/* The best so far, of those that have been looked at. */
struct selection {
	const struct service *service;
	struct choosing choosing;
	__u64 now;
	__u64 lowest;
	__u32 backend;
	__u32 avoided; /* a backend that has left this flow without an answer; BACKEND_NONE: none */
	struct decision *decision; /* NULL: nobody asks */
};

/* Notes what has been looked at; of more than there is room for, the lowest. */
__noinline int decision_note(struct decision *decision, __u32 index, __u64 key)
{
	__u32 place, i;

	if (!decision)
		return 0;
	place = decision->looked_at++;
	if (place >= CHOICES_MAX) {
		place = 0;
		for (i = 1; i < CHOICES_MAX; i++)
			if (decision->keys[i] > decision->keys[place & (CHOICES_MAX - 1)])
				place = i;
		if (key >= decision->keys[place & (CHOICES_MAX - 1)])
			return 0;
	}
	decision->keys[place & (CHOICES_MAX - 1)] = key;
	decision->backends[place & (CHOICES_MAX - 1)] = index;
	return 0;
}

static __always_inline __u64 selection_key(const struct selection *selection, __u32 index)
{
	if (index == selection->avoided)
		return KEY_AVOIDED;
	return backend_key(selection->service, index, &selection->choosing, selection->now);
}

static __always_inline void consider(struct selection *selection, __u32 index, __u32 number)
{
	__u64 key;

	selection->choosing.random = hash_mix(selection->choosing.random + number);
	key = selection_key(selection, index);
	if (selection->decision)
		decision_note(selection->decision, index, key);
	if (key < selection->lowest) {
		selection->lowest = key;
		selection->backend = index;
	}
}

/* Where a look at all of them begins, so that equals take turns. */
static __always_inline __u32 first_member(const struct service *service, __u64 hash)
{
	return (__u32)((hash >> 32) * service->member_count >> 32);
}

static __always_inline struct choice_state *choice_state_of(const struct service *service)
{
	__u32 id = service->id;

	return bpf_map_lookup_elem(&choice_states, &id);
}

/* For bpf_loop(): the number-th of all backends. */
static long consider_member(__u32 number, struct selection *selection)
{
	const struct service *service = selection->service;
	void *ring;
	__u32 place;

	if (!service)
		return 1;
	place = service->id;
	ring = bpf_map_lookup_elem(&rings, &place);
	if (!ring)
		return 1;
	place = first_member(service, selection->choosing.hash) + number;
	if (place >= service->member_count)
		place -= service->member_count;
	consider(selection, ring_read(ring, service->ring_size + place), number);
	return 0;
}

/* A look at many of a service's backends, from one on, until one will do. */
struct search {
	const struct service *service;
	__u32 id;
	__u32 first;
	__u32 avoided;
	__u32 found;
};

/* For bpf_loop(): ends at one that need not be shunned. */
static long consider_good(__u32 number, struct search *search)
{
	const struct service *service = search->service;
	__u32 id = search->id, place, index;
	void *ring = bpf_map_lookup_elem(&rings, &id);
	struct backend *backend;

	if (!ring || !service)
		return 1;
	place = search->first + number;
	if (place >= service->member_count)
		place -= service->member_count;
	index = ring_read(ring, service->ring_size + place);
	backend = bpf_map_lookup_elem(&backends, &index);
	if (index == search->avoided || !backend || is_shunned(backend, index))
		return 0;
	search->found = index;
	return 1;
}

/*
 * When all that a policy has looked at are to be shunned: any that need not be. BACKEND_NONE if all are
 * alike; then it is as if none were. Not of thousands: a flood of SYNs makes all suspect, and then
 * each SYN asks.
 */
#define GOOD_LOOKS_MAX 32
__noinline __u32 any_good(const struct service *service, __u64 hash, __u32 avoided)
{
	struct search search = {
		.service = service,
		.avoided = avoided,
		.found = BACKEND_NONE,
	};

	if (!service)
		return BACKEND_NONE;
	search.id = service->id;
	search.first = first_member(service, hash);
	bpf_loop(service->member_count < GOOD_LOOKS_MAX ? service->member_count : GOOD_LOOKS_MAX,
		 consider_good, &search, 0);
	return search.found;
}

static __always_inline __u32 next_of_schedule(void *ring, const struct service *service)
{
	__u32 id = service->id, next;
	struct choice_state *state = bpf_map_lookup_elem(&choice_states, &id);

	if (!state || !service->schedule_size)
		return BACKEND_NONE;
	next = __sync_fetch_and_add(&state->next, 1) % service->schedule_size;
	return ring_read(ring, service->ring_size + service->member_count + next);
}

/*
 * By load. A backend of which nothing is known keeps its share by weight: it is taken where it is the
 * flow's first candidate, and only there. So it is neither starved, without traffic it could never report,
 * nor flooded. Or where those that are known drain, or are to be shunned.
 */
static __always_inline __u32 least_of(void *ring, const struct service *service, __u64 hash,
				      enum candidates from, __u32 avoided,
				      struct decision *decision)
{
	struct choice_state *state = choice_state_of(service);
	struct selection selection = {
		.service = service,
		.now = coarse_now_ns(),
		.avoided = avoided,
		.decision = decision,
	};
	__u32 i;

	selection.choosing.hash = hash;
	selection.choosing.random = hash ^ selection.now;
	selection.choosing.hot = state ? state->hot : 0;
	selection.backend = ring_read(ring, choose_slot(hash, 0, service->ring_size));
	selection.lowest = selection_key(&selection, selection.backend);
	if (decision && (from != CANDIDATES_ALL || selection.lowest == KEY_UNKNOWN))
		decision_note(decision, selection.backend, selection.lowest);
	if (selection.lowest == KEY_UNKNOWN)
		return selection.backend;
	if (from == CANDIDATES_ALL) {
		selection.lowest = KEY_AVOIDED; /* its turn comes with the others */
		bpf_loop(service->member_count, consider_member, &selection, 0);
		return selection.backend;
	}
	for (i = 1; i < CHOICES_MAX && i < service->choices; i++)
		consider(&selection, ring_read(ring, choose_slot(hash, i, service->ring_size)), i);
	if (selection.lowest < KEY_SUSPECT)
		return selection.backend;
	i = any_good(service, hash, avoided);
	if (i == BACKEND_NONE)
		return selection.backend;
	if (decision)
		decision_note(decision, i, selection_key(&selection, i));
	return i;
}

/* For the policies that do not go by load: whether the one they would take asks to be spared. */
static __always_inline int is_draining(const struct service *service, __u32 index)
{
	struct choosing choosing = {};

	return backend_key(service, index, &choosing, coarse_now_ns()) == KEY_DRAINING;
}

/* What a policy that looks at one takes, at its number-th try. */
static __always_inline __u32 take_one(void *ring, const struct service *service, __u64 hash,
				      enum candidates from, __u32 number)
{
	__u32 next;

	if (from == CANDIDATES_NEXT) {
		next = next_of_schedule(ring, service);
		/* While the array is being replaced, its parts may not be where they were. */
		if (next != BACKEND_NONE)
			return next;
	}
	if (from == CANDIDATES_RANDOM)
		hash ^= (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	return ring_read(ring, choose_slot(hash, number, service->ring_size));
}

/*
 * Likewise, and goes on while what it takes is to be shunned. What is not remembered goes by its hash with
 * each packet: it must not move when a backend is suspect for a moment, only when that is down.
 */
static __always_inline __u32 take_good(void *ring, const struct service *service, __u64 hash,
				       int is_new, enum candidates from, __u32 avoided)
{
	__u32 taken = BACKEND_NONE, one, i;
	struct backend *backend;

	for (i = 0; i < CHOICES_MAX; i++) {
		one = take_one(ring, service, hash, from, i);
		backend = bpf_map_lookup_elem(&backends, &one);
		if (backend && one != avoided &&
		    !(is_new ? is_shunned(backend, one) : backend->down))
			return one;
		if (taken == BACKEND_NONE || taken == avoided)
			taken = one;
	}
	one = any_good(service, hash, avoided);
	return one == BACKEND_NONE ? taken : one;
}

/*
 * The backend of a flow that has none; BACKEND_NONE if there is none to take it. avoided: one that has not
 * answered this flow, or BACKEND_NONE. *decision, which must be empty, says afterwards how that came about.
 */
__noinline __u32 select_backend(const struct service *service, __u64 hash, int is_new,
				__u32 avoided, struct decision *decision)
{
	__u32 id = service ? service->id : 0;
	void *ring = bpf_map_lookup_elem(&rings, &id);
	enum candidates from;
	int judged;
	__u32 one;

	if (decision)
		decision->made = 1;
	if (!service || !ring || !service->ring_size)
		return BACKEND_NONE;
	/*
	 * In the middle of a connection that we do not know, load is no guide: the first candidate is what
	 * any balancer would take.
	 */
	if (!is_new)
		return take_one(ring, service, hash, CANDIDATES_HASH, 0);
	from = candidates_of(service->policy);
	judged = service->feedback != FEEDBACK_NONE;
	/* So it is where no feedback is wanted. */
	if (!judged && (from == CANDIDATES_RING || from == CANDIDATES_ALL))
		from = CANDIDATES_HASH;
	if (from != CANDIDATES_RING && from != CANDIDATES_ALL) {
		one = take_good(ring, service, hash, is_new, from, avoided);
		if (!judged || !is_draining(service, one))
			return one;
		from = CANDIDATES_RING;
	}
	return least_of(ring, service, hash, from, avoided, decision);
}

#endif
