/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What will happen, in the order of time. Things that always take equally long are in order by themselves
 * and wait in a lane, which is a plain queue; the rest waits in a heap.
 */
#ifndef PLIMSOLL_SIMULATE_EVENTS_H
#define PLIMSOLL_SIMULATE_EVENTS_H

#include <stdint.h>
#include <stdlib.h>

struct event {
	uint64_t time;
	uint32_t subject;
	uint32_t version : 24;
	uint32_t kind : 8;
};

struct heap {
	struct event *events;
	uint32_t count, room;
};

/* Running out of memory ends a simulation: there is nothing to save. */
static inline void *grown(void *array, size_t count, size_t size)
{
	array = reallocarray(array, count, size);
	if (!array)
		abort();
	return array;
}

static inline void heap_push(struct heap *heap, struct event event)
{
	uint32_t hole = heap->count++;

	if (heap->count > heap->room) {
		heap->room = 2 * heap->count + 64;
		heap->events = grown(heap->events, heap->room, sizeof(event));
	}
	while (hole && event.time < heap->events[(hole - 1) / 4].time) {
		heap->events[hole] = heap->events[(hole - 1) / 4];
		hole = (hole - 1) / 4;
	}
	heap->events[hole] = event;
}

static inline uint32_t heap_earliest_child(const struct heap *heap, uint32_t hole)
{
	uint32_t child = 4 * hole + 1, best = child, end = child + 4;

	for (end = end < heap->count ? end : heap->count; child < end; child++)
		if (heap->events[child].time < heap->events[best].time)
			best = child;
	return best;
}

static inline struct event heap_pop(struct heap *heap)
{
	struct event first = heap->events[0], last = heap->events[--heap->count];
	uint32_t hole = 0, child;

	while (4 * hole + 1 < heap->count) {
		child = heap_earliest_child(heap, hole);
		if (last.time <= heap->events[child].time)
			break;
		heap->events[hole] = heap->events[child];
		hole = child;
	}
	heap->events[hole] = last;
	return first;
}

static inline uint64_t heap_time(const struct heap *heap)
{
	return heap->count ? heap->events[0].time : UINT64_MAX;
}

struct lane {
	struct {
		uint64_t time;
		uint32_t subject;
	} * waiting;
	uint32_t first, count, room; /* room: a power of two */
	uint64_t delay;
};

static inline void lane_grow(struct lane *lane)
{
	uint32_t room = lane->room ? 2 * lane->room : 64;

	lane->waiting = grown(lane->waiting, room, sizeof(*lane->waiting));
	/* What had come round to the beginning goes on behind the old end. */
	for (uint32_t i = 0; i < lane->first; i++)
		lane->waiting[lane->room + i] = lane->waiting[i];
	lane->room = room;
}

static inline void lane_push(struct lane *lane, uint64_t now, uint32_t subject)
{
	uint32_t place;

	if (lane->count == lane->room)
		lane_grow(lane);
	place = (lane->first + lane->count++) & (lane->room - 1);
	lane->waiting[place].time = now + lane->delay;
	lane->waiting[place].subject = subject;
}

static inline uint64_t lane_time(const struct lane *lane)
{
	return lane->count ? lane->waiting[lane->first].time : UINT64_MAX;
}

static inline uint32_t lane_pop(struct lane *lane)
{
	uint32_t subject = lane->waiting[lane->first].subject;

	lane->first = (lane->first + 1) & (lane->room - 1);
	lane->count--;
	return subject;
}

#endif
