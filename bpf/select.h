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

/*
 * Likewise by the ring as it is without live weights, which what is not remembered goes by: it must find the
 * same backend for as long as it lasts. Where both rings are the same, only one is written.
 */
static __always_inline __u32 steady_ring_read(void *ring, __u32 slot)
{
	__u64 *backend = bpf_map_lookup_elem(ring, &slot);

	if (!backend)
		return BACKEND_NONE;
	return *backend >> RING_STEADY_SHIFT ? (__u32)(*backend >> RING_STEADY_SHIFT) :
					       (__u32)*backend;
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

/* What its server has reported, NULL if that is not known, or not any more. */
static __always_inline struct load *load_known_of(const struct service *service,
						  const struct backend *backend)
{
	__u32 server = backend->server;
	struct load *load = bpf_map_lookup_elem(&loads, &server);

	return load && load_known(load, coarse_now_ns(), service->stale_after_ns) ? load : 0;
}

/*
 * What a backend is worth to the service's policy: the lowest wins. KEY_UNKNOWN without a report,
 * KEY_DRAINING if that says so, KEY_SUSPECT if it is to be shunned.
 */
__noinline __u64 backend_key(const struct service *service, __u32 index,
			     const struct choosing *choosing)
{
	struct candidate candidate;
	struct choice_state *state;
	struct backend *backend;
	struct load *load;
	__u32 id;

	if (!service || !choosing)
		return KEY_UNKNOWN;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend)
		return KEY_UNKNOWN;
	if (is_shunned(backend, index))
		return KEY_SUSPECT;
	load = load_known_of(service, backend);
	if (!load)
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
	return backend_key(selection->service, index, &selection->choosing);
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

static __always_inline __u32 selection_candidate(const struct selection *selection, void *ring,
						 __u32 number)
{
	return ring_read(
		ring, choose_slot(selection->choosing.hash, number, selection->service->ring_size));
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
		.avoided = avoided,
		.decision = decision,
	};
	__u32 i;

	selection.choosing.hash = hash;
	selection.choosing.random = hash ^ coarse_now_ns();
	selection.choosing.hot = state ? state->hot : 0;
	/* From here on out of *selection alone: what is kept twice takes twice the stack. */
	selection.backend = selection_candidate(&selection, ring, 0);
	selection.lowest = selection_key(&selection, selection.backend);
	if (selection.decision && (from != CANDIDATES_ALL || selection.lowest == KEY_UNKNOWN))
		decision_note(selection.decision, selection.backend, selection.lowest);
	if (selection.lowest == KEY_UNKNOWN)
		return selection.backend;
	if (from == CANDIDATES_ALL) {
		selection.lowest = KEY_AVOIDED; /* its turn comes with the others */
		bpf_loop(selection.service->member_count, consider_member, &selection, 0);
		return selection.backend;
	}
	for (i = 1; i < CHOICES_MAX && i < selection.service->choices; i++)
		consider(&selection, selection_candidate(&selection, ring, i), i);
	if (selection.lowest < KEY_SUSPECT)
		return selection.backend;
	i = any_good(selection.service, selection.choosing.hash, selection.avoided);
	if (i == BACKEND_NONE)
		return selection.backend;
	if (selection.decision)
		decision_note(selection.decision, i, selection_key(&selection, i));
	return i;
}

/*
 * For the policies that do not go by load: whether the one they would take asks to be spared. Of its own for
 * the stack.
 */
__noinline int is_draining(const struct service *service, __u32 index)
{
	struct backend *backend = bpf_map_lookup_elem(&backends, &index);
	const struct load *load;

	if (!service || !backend || is_shunned(backend, index))
		return 0;
	load = load_known_of(service, backend);
	return load && load->flags & LOAD_REPORT_DRAINING;
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

/* All that take_good() has looked at are to be shunned. */
#define TAKEN_FOR_WANT_OF_BETTER (1U << 31)

/* Likewise, and goes on while what it takes is to be shunned. Of its own for the stack. */
__noinline __u32 take_good(const struct service *service, __u64 hash, __u32 from, __u32 avoided)
{
	__u32 id = service ? service->id : 0, taken = BACKEND_NONE, one, i;
	void *ring = bpf_map_lookup_elem(&rings, &id);
	struct backend *backend;

	if (!service || !ring)
		return BACKEND_NONE;
	for (i = 0; i < CHOICES_MAX; i++) {
		one = take_one(ring, service, hash, from, i);
		backend = bpf_map_lookup_elem(&backends, &one);
		if (backend && one != avoided && !is_shunned(backend, one))
			return one;
		if (taken == BACKEND_NONE || taken == avoided)
			taken = one;
	}
	return taken | TAKEN_FOR_WANT_OF_BETTER;
}

/* What a policy that does not go by load takes. */
static __always_inline __u32 take(const struct service *service, __u64 hash, enum candidates from,
				  __u32 avoided)
{
	__u32 taken = take_good(service, hash, from, avoided), good;

	if (!(taken & TAKEN_FOR_WANT_OF_BETTER))
		return taken;
	good = any_good(service, hash, avoided);
	return good == BACKEND_NONE ? taken & ~TAKEN_FOR_WANT_OF_BETTER : good;
}

/*
 * In the middle of a connection that we do not know, load is no guide: the first candidate is what any
 * balancer would take. Where new flows go by their hash, it is the one that they were given.
 */
static __always_inline __u32 first_candidate(void *ring, const struct service *service, __u64 hash,
					     enum candidates from)
{
	__u32 slot = choose_slot(hash, 0, service->ring_size);

	return from == CANDIDATES_HASH ? ring_read(ring, slot) : steady_ring_read(ring, slot);
}

/*
 * One of the service's that has left a connection without an answer, and is to be sent another: health.h.
 * Who it may be, the daemon has found. BACKEND_NONE: there is none. Of its own for the stack.
 */
__noinline __u32 in_doubt(const struct service *service, __u32 avoided)
{
	__u32 id = service ? service->id : 0, index;
	__u64 *found = bpf_map_lookup_elem(&doubted, &id);
	struct backend *backend;
	struct health *health;

	if (!service || !found || !*found)
		return BACKEND_NONE;
	index = (__u32)*found;
	backend = bpf_map_lookup_elem(&backends, &index);
	health = bpf_map_lookup_elem(&healths, &index);
	if (index == avoided || !backend || !health || backend->service != service->id ||
	    backend->suspect || backend->down || !health_is_in_doubt(health, coarse_now_ns()))
		return BACKEND_NONE;
	return index;
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
	__u32 one;

	if (decision)
		decision->made = 1;
	if (!service || !ring || !service->ring_size)
		return BACKEND_NONE;
	from = candidates_of(service->policy);
	/* Where no feedback is wanted, hashes are all there is. */
	if (service->feedback == FEEDBACK_NONE &&
	    (from == CANDIDATES_RING || from == CANDIDATES_ALL))
		from = CANDIDATES_HASH;
	if (!is_new)
		return first_candidate(ring, service, hash, from);
	/* Who goes by the hash goes by nothing else, as long as it can. */
	one = from == CANDIDATES_HASH ? BACKEND_NONE : in_doubt(service, avoided);
	if (one != BACKEND_NONE) {
		decision_note(decision, one, 0);
		return one;
	}
	if (from != CANDIDATES_RING && from != CANDIDATES_ALL) {
		one = take(service, hash, from, avoided);
		if (service->feedback == FEEDBACK_NONE || !is_draining(service, one))
			return one;
		from = CANDIDATES_RING;
	}
	return least_of(ring, service, hash, from, avoided, decision);
}

#endif
