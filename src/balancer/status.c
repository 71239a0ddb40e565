/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/status.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach.h"
#include "balancer.skel.h"
#include "balancer/flows.h"
#include "balancer/status_private.h"
#include "clock.h"

#define NS_PER_SECOND 1e9

static int make_room(struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;

	for (size_t i = 0; i < dataplane->config->service_count; i++)
		status->member_count += dataplane->config->services[i].backend_count;
	for (size_t i = 0; i < STATUS_SAMPLES; i++) {
		status->samples[i].stats =
			calloc(status->member_count + 1, sizeof(struct backend_stats));
		if (!status->samples[i].stats)
			return -ENOMEM;
	}
	status->walk = flow_walk_open(dataplane);
	return status->walk ? 0 : -ENOMEM;
}

struct status *status_open(const struct dataplane *dataplane)
{
	struct status *status = calloc(1, sizeof(*status));

	if (!status)
		return NULL;
	status->dataplane = dataplane;
	status->started_ns = now_ns();
	status->started_seconds = (uint64_t)time(NULL);
	if (make_room(status)) {
		status_close(status);
		return NULL;
	}
	for (size_t i = 0; i < STATUS_SAMPLES; i++)
		status_sample(status);
	return status;
}

void status_polls(struct status *status, const struct poller *poller)
{
	status->poller = poller;
}

void status_watch(struct status *status, const struct watch *watch)
{
	status->watch = watch;
}

void status_close(struct status *status)
{
	if (!status)
		return;
	for (size_t i = 0; i < STATUS_SAMPLES; i++)
		free(status->samples[i].stats);
	flow_walk_close(status->walk);
	free(status);
}

/* Who is new has had nothing before. */
static void sample_anew(struct status *status, const struct moves *moves)
{
	const struct sample *newest;

	status_sample(status);
	newest = &status->samples[status->newest];
	for (size_t i = 0; i < STATUS_SAMPLES; i++)
		for (size_t k = 0; k < moves->member_count; k++)
			if (moves->members[k] == NOWHERE)
				status->samples[i].stats[k] = newest->stats[k];
}

void status_follow(struct status *status, const struct moves *moves)
{
	for (size_t i = 0; i < STATUS_SAMPLES; i++)
		moves_carry(&status->samples[i].stats, sizeof(struct backend_stats), moves->members,
			    moves->member_count);
	status->member_count = moves->member_count;
	sample_anew(status, moves);
}

/*
 * What all CPUs have counted of all backends up to that index, by one system call: with one for each
 * there would be no time left. NULL: not to be had. To be freed.
 */
static struct backend_stats *read_stats(const struct dataplane *dataplane, uint32_t highest)
{
	int map = bpf_map__fd(dataplane->bpf->maps.backend_stats);
	size_t cpus = (size_t)libbpf_num_possible_cpus();
	struct backend_stats *stats = calloc((highest + 1) * cpus, sizeof(*stats));
	uint32_t *keys = calloc(highest + 1, sizeof(*keys));
	uint32_t count = highest + 1, next;

	if (stats && keys && bpf_map_lookup_batch(map, NULL, &next, keys, stats, &count, NULL) &&
	    count != highest + 1) {
		free(stats);
		stats = NULL;
	}
	free(keys);
	return keys ? stats : NULL;
}

static void sum_up(const struct backend_stats *stats, uint32_t index, struct backend_stats *sum)
{
	size_t cpus = (size_t)libbpf_num_possible_cpus();

	for (size_t i = index * cpus; i < (index + 1) * cpus; i++) {
		sum->packets += stats[i].packets;
		sum->bytes += stats[i].bytes;
		sum->connections += stats[i].connections;
	}
}

static uint32_t highest_backend(const struct dataplane *dataplane)
{
	uint32_t highest = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++)
			if (dataplane->services[i].members[j].index > highest)
				highest = dataplane->services[i].members[j].index;
	return highest;
}

void status_sample(struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;
	struct backend_stats *stats = read_stats(dataplane, highest_backend(dataplane));
	struct sample *sample;
	size_t k = 0;

	status->newest = (status->newest + 1) % STATUS_SAMPLES;
	sample = &status->samples[status->newest];
	sample->time_ns = now_ns();
	memset(sample->stats, 0, status->member_count * sizeof(*sample->stats));
	for (size_t i = 0; stats && i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++)
			sum_up(stats, dataplane->services[i].members[j].index, &sample->stats[k++]);
	free(stats);
	flow_walk_step(status->walk);
}

struct traffic traffic_of(const struct status *status, size_t k)
{
	const struct sample *newest = &status->samples[status->newest];
	const struct sample *oldest = &status->samples[(status->newest + 1) % STATUS_SAMPLES];
	double seconds = (double)(newest->time_ns - oldest->time_ns) / NS_PER_SECOND;
	struct traffic traffic = {.total = newest->stats[k]};

	traffic.recent = newest->stats[k].connections - oldest->stats[k].connections;
	traffic.per_second = seconds > 0 ? (double)traffic.recent / seconds : 0;
	return traffic;
}

struct traffic traffic_of_service(const struct status *status, size_t service, size_t first)
{
	size_t count = status->dataplane->services[service].config->backend_count;
	struct traffic sum = {0};

	for (size_t i = 0; i < count; i++) {
		struct traffic traffic = traffic_of(status, first + i);

		sum.total.connections += traffic.total.connections;
		sum.total.packets += traffic.total.packets;
		sum.total.bytes += traffic.total.bytes;
		sum.recent += traffic.recent;
		sum.per_second += traffic.per_second;
	}
	return sum;
}

uint32_t status_open_connections(const struct status *status, const struct member *member)
{
	return flow_walk_open_connections(status->walk, member->index);
}
