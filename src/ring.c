/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Members take turns, and in a turn a member takes the first free slot in its own permutation of
 * the slots: that is Maglev. Weights decide when the turns come. A member of weight w has its
 * turn number k at time (k + phase) / w, with a phase of its own between 0 and 1, and the ring is
 * full at some time T, so everybody has had w * T turns but for less than one. When a turn comes
 * depends on the member alone: if another one goes, T grows a little and nobody's turns change
 * places. The phases keep members of equal weight from all being rounded the same way, which
 * would be paid by the heaviest.
 *
 * Turn number 0 is the exception, it comes at once: a member with a weight, however small, has a
 * slot if there is one for each. Without one it would get no traffic and could never report that
 * it has become idle. This distorts shares where slots are not many more than members; Maglev's
 * authors advise a hundred times as many.
 *
 * Known to be imperfect: two members of one identity are told apart by id, which other balancers
 * may have given differently.
 */
#include "ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* A member's next turn. */
struct turn {
	uint64_t time; /* times the weight, 32 bits of it behind the point */
	uint64_t identity;
	uint64_t position; /* of its permutation: the slot to try next */
	uint64_t skip;
	uint32_t phase;
	uint32_t weight;
	uint32_t number;
	uint32_t id;
};

/* SplitMix of Steele, Lea and Flood (2014): every bit of the state reaches every bit. */
static uint64_t mix_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void turn_init(struct turn *turn, const struct ring_member *member, uint32_t size)
{
	uint64_t state = member->identity;

	state = mix_next(&state); /* else neighbouring identities would share their numbers */
	*turn = (struct turn){
		.identity = member->identity,
		.weight = member->weight,
		.id = member->id,
	};
	turn->position = mix_next(&state) % size;
	turn->skip = size > 1 ? 1 + mix_next(&state) % (size - 1) : 0;
	turn->phase = mix_next(&state) >> 32;
}

static bool turn_is_before(const struct turn *a, const struct turn *b)
{
	/* Times are compared exactly, so that only the ratio of weights matters. */
	unsigned __int128 time_a = (unsigned __int128)a->time * b->weight;
	unsigned __int128 time_b = (unsigned __int128)b->time * a->weight;

	if (time_a != time_b)
		return time_a < time_b;
	if (a->phase != b->phase)
		return a->phase < b->phase;
	if (a->identity != b->identity)
		return a->identity < b->identity;
	return a->id < b->id;
}

static int turn_compare(const void *a, const void *b)
{
	return turn_is_before(b, a) - turn_is_before(a, b);
}

static void turn_take(struct turn *turn, uint32_t *slots, bool *taken, uint32_t size)
{
	while (taken[turn->position])
		turn->position = (turn->position + turn->skip) % size;
	taken[turn->position] = true;
	slots[turn->position] = turn->id;
	turn->number++;
	turn->time = (uint64_t)turn->number << 32 | turn->phase;
}

/* The first of the heap has become later: down to its place with it. */
static void heap_sink_first(struct turn *heap, size_t count)
{
	struct turn sinking = heap[0];
	size_t hole = 0, child;

	while ((child = 2 * hole + 1) < count) {
		if (child + 1 < count && turn_is_before(&heap[child + 1], &heap[child]))
			child++;
		if (turn_is_before(&sinking, &heap[child]))
			break;
		heap[hole] = heap[child];
		hole = child;
	}
	heap[hole] = sinking;
}

int ring_build(const struct ring_member *members, size_t count, uint32_t *slots, uint32_t size)
{
	struct turn *turns = calloc(count ? count : 1, sizeof(*turns));
	bool *taken = calloc(size ? size : 1, sizeof(*taken));
	size_t i, playing = 0;
	uint32_t filled;
	int err = 0;

	if (!turns || !taken) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < count && size; i++)
		if (members[i].weight)
			turn_init(&turns[playing++], &members[i], size);
	if (!playing) {
		err = -EINVAL;
		goto out;
	}
	qsort(turns, playing, sizeof(*turns), turn_compare); /* what is sorted is a heap */
	for (filled = 0; filled < size; filled++) {
		turn_take(&turns[0], slots, taken, size);
		heap_sink_first(turns, playing);
	}
out:
	free(taken);
	free(turns);
	return err;
}
