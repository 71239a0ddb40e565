/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/flows.h"

#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "clock.h"
#include "flow_slot.h"
#include "http/metrics.h"
#include "json.h"

/* Some 0.3 ms of work: a table with a million entries is seen through in 0.8 s. */
#define SLICE_BUCKETS 16384

struct slice {
	uint32_t flows[FLOW_STATE_COUNT];
};

struct flow_walk {
	const struct dataplane *dataplane;
	struct slice *slices;
	size_t slice_count;
	size_t next;
	uint32_t *counting; /* flows that are open, by backend: in this walk */
	uint32_t *open; /* and in the last whole one */
	uint64_t rounds; /* whole ones */
};

static const char *const state_names[] = {
#define STATE_NAME(symbol, name, sentence) name,
	FLOW_STATES(STATE_NAME)
#undef STATE_NAME
};

uint32_t flow_bucket_count(const struct config *config)
{
	return (config->flow_table.entries + BUCKET_SLOTS - 1) / BUCKET_SLOTS;
}

uint16_t flow_udp_timeout_ticks(const struct config *config)
{
	return (uint16_t)(config->flow_table.udp_timeout_ns >> FLOW_FINE_SHIFT);
}

/* What is over goes, unless a packet comes just now. */
static void visit(struct flow_walk *walk, __u64 *slot, struct slice *slice, uint64_t now,
		  uint32_t udp_timeout_ticks)
{
	__u64 value = __atomic_load_n(slot, __ATOMIC_RELAXED);
	enum flow_state state = flow_state(value);
	uint32_t backend = flow_backend(value);

	if (!value)
		return;
	if (flow_over(value, now, udp_timeout_ticks) &&
	    __atomic_compare_exchange_n(slot, &value, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	slice->flows[state]++;
	if (backend < BACKENDS_MAX)
		walk->counting[backend] += state != FLOW_CLOSING;
}

static void walk_over(struct flow_walk *walk)
{
	uint32_t *before = walk->open;

	walk->open = walk->counting;
	walk->counting = before;
	memset(before, 0, BACKENDS_MAX * sizeof(*before));
	walk->rounds++;
}

void flow_walk_step(struct flow_walk *walk)
{
	const struct dataplane *dataplane = walk->dataplane;
	uint32_t udp_timeout_ticks = flow_udp_timeout_ticks(dataplane->config);
	size_t first = walk->next * SLICE_BUCKETS, end = first + SLICE_BUCKETS;
	struct slice slice = {0};
	uint64_t now = now_ns();

	if (end > dataplane->flow_buckets)
		end = dataplane->flow_buckets;
	for (size_t i = first; i < end; i++)
		for (size_t j = 0; j < BUCKET_SLOTS; j++)
			visit(walk, &dataplane->flows[i].slot[j], &slice, now, udp_timeout_ticks);
	walk->slices[walk->next] = slice;
	walk->next = (walk->next + 1) % walk->slice_count;
	if (!walk->next)
		walk_over(walk);
}

struct flow_walk *flow_walk_open(const struct dataplane *dataplane)
{
	struct flow_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return NULL;
	walk->dataplane = dataplane;
	walk->slice_count = (dataplane->flow_buckets + SLICE_BUCKETS - 1) / SLICE_BUCKETS;
	walk->slices = calloc(walk->slice_count, sizeof(*walk->slices));
	walk->counting = calloc(BACKENDS_MAX, sizeof(*walk->counting));
	walk->open = calloc(BACKENDS_MAX, sizeof(*walk->open));
	if (!walk->slices || !walk->counting || !walk->open) {
		flow_walk_close(walk);
		return NULL;
	}
	for (size_t i = 0; i < walk->slice_count; i++)
		flow_walk_step(walk);
	return walk;
}

void flow_walk_close(struct flow_walk *walk)
{
	if (!walk)
		return;
	free(walk->slices);
	free(walk->counting);
	free(walk->open);
	free(walk);
}

static uint64_t flow_walk_count(const struct flow_walk *walk, enum flow_state state)
{
	uint64_t count = 0;

	for (size_t i = 0; i < walk->slice_count; i++)
		count += walk->slices[i].flows[state];
	return count;
}

static uint64_t flows_used(const struct flow_walk *walk)
{
	uint64_t used = 0;

	for (uint32_t i = FLOW_FREE + 1; i < FLOW_STATE_COUNT; i++)
		used += flow_walk_count(walk, i);
	return used;
}

uint64_t flow_walk_rounds(const struct flow_walk *walk)
{
	return walk->rounds;
}

uint32_t flow_walk_open_connections(const struct flow_walk *walk, uint32_t backend)
{
	return walk->open[backend];
}

static uint64_t losses(const struct flow_walk *walk, uint32_t what)
{
	uint64_t count = 0;

	percpu_sum(bpf_map__fd(walk->dataplane->bpf->maps.flow_losses), what, &count, 1);
	return count;
}

json_t *flows_json(const struct flow_walk *walk)
{
	json_t *states = json_object(), *evicted = json_object(), *object = json_object();

	for (uint32_t i = FLOW_FREE + 1; i < FLOW_STATE_COUNT; i++) {
		json_set_integer(states, state_names[i], flow_walk_count(walk, i));
		json_set_integer(evicted, state_names[i], losses(walk, i));
	}
	json_set_integer(object, "capacity", walk->dataplane->flow_buckets * BUCKET_SLOTS);
	json_set_integer(object, "bytes", walk->dataplane->flow_buckets * sizeof(struct bucket));
	json_set_integer(object, "used", flows_used(walk));
	json_object_set_new(object, "states", states);
	json_object_set_new(object, "evicted", evicted);
	json_set_integer(object, "no_room", losses(walk, FLOW_NO_ROOM));
	json_set_integer(object, "contested", losses(walk, FLOW_CONTESTED));
	return object;
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	metric_family(out, name, "counter", help);
	metric_sample(out, name, (double)value, NULL);
}

void flows_metrics(FILE *out, const struct flow_walk *walk)
{
	static const char capacity[] = "plimsoll_flow_table_capacity_entries";
	static const char evictions[] = "plimsoll_flow_table_evictions_total";
	static const char states[] = "plimsoll_flow_table_state_entries";
	static const char entries[] = "plimsoll_flow_table_entries";

	metric_family(out, entries, "gauge", "Flows remembered.");
	metric_sample(out, entries, (double)flows_used(walk), NULL);
	metric_family(out, states, "gauge", "The same by their state.");
	for (uint32_t i = FLOW_FREE + 1; i < FLOW_STATE_COUNT; i++)
		metric_sample(out, states, (double)flow_walk_count(walk, i), "state",
			      state_names[i], NULL);
	metric_family(out, capacity, "gauge", "Flows that can be remembered.");
	metric_sample(out, capacity, (double)(walk->dataplane->flow_buckets * BUCKET_SLOTS), NULL);
	metric_family(out, evictions, "counter",
		      "Flows that had to give way to new ones, by their state.");
	for (uint32_t i = FLOW_FREE + 1; i < FLOW_STATE_COUNT; i++)
		metric_sample(out, evictions, (double)losses(walk, i), "state", state_names[i],
			      NULL);
	counter(out, "plimsoll_flow_table_no_room_total",
		"Packets whose flow could not be remembered: they went by their hash.",
		losses(walk, FLOW_NO_ROOM));
	counter(out, "plimsoll_flow_table_contested_total",
		"New flows that went by their hash, as so many wanted their place in the table.",
		losses(walk, FLOW_CONTESTED));
}
