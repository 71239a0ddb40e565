/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/ring_array.h"

#include <errno.h>
#include <stdlib.h>

#include "balancer/tables.h"
#include "hash.h"
#include "ring.h"

bool member_is_open(const struct member *member)
{
	return member->neighbour.resolved && !member->config->draining &&
	       member->health.state != HEALTH_DOWN;
}

/* The same on all balancers, and of an IPv4 address the number that it is. */
static uint64_t member_identity(struct ip_address address)
{
	uint64_t high = (uint64_t)ntohl(address.word[0]) << 32 | ntohl(address.word[1]);
	uint64_t low = (uint64_t)ntohl(address.word[2]) << 32 | ntohl(address.word[3]);

	return address_is_ipv4(address) ? ntohl(address.word[3]) : hash_mix(high) ^ low;
}

/* Who leaves serves on until somebody else can; who is down and has been reached before is tried. */
static bool is_last_resort(const struct dataplane *dataplane,
			   const struct balanced_service *service, const struct member *member)
{
	if (member->config->draining)
		return member->neighbour.resolved && member->config->leaving;
	return service->config->all_down == ALL_DOWN_TRY_ALL &&
	       dataplane->backends[member->index].ifindex;
}

/* The members that are open, or else those that are the last resort. Returns how many. */
static size_t list_members(const struct dataplane *dataplane,
			   const struct balanced_service *service, bool open,
			   struct ring_member *members)
{
	size_t count = 0;

	for (size_t i = 0; i < service->config->backend_count; i++) {
		const struct member *member = &service->members[i];

		if (open ? member_is_open(member) : is_last_resort(dataplane, service, member))
			members[count++] = (struct ring_member){
				.id = member->index,
				.identity = member_identity(member->config->address),
				.weight = member_weight(member),
			};
	}
	return count;
}

/* The same members by the weights that were set. Returns whether these are others. */
static bool set_steady_weights(const struct balanced_service *service, struct ring_member *members,
			       size_t count)
{
	bool others = false;
	uint32_t weight;
	size_t member = 0;

	for (size_t i = 0; i < count; i++) {
		while (service->members[member].index != members[i].id)
			member++;
		weight = service->members[member].config->weight * WEIGHT_ONE ?: 1;
		others |= members[i].weight != weight;
		members[i].weight = weight;
	}
	return others;
}

/* Leaves the weights in force behind, so it comes last. */
static int fill_steady(struct ring_array *array, const struct balanced_service *service,
		       struct ring_member *members, size_t count)
{
	if (!set_steady_weights(service, members, count))
		return 0;
	array->steady = calloc(array->ring_size, sizeof(*array->steady));
	return array->steady ? ring_build(members, count, array->steady, array->ring_size) :
			       -ENOMEM;
}

static int fill_array(struct ring_array *array, const struct ring_member *members, size_t count,
		      uint32_t ring_size)
{
	int err;

	array->ring_size = ring_size;
	array->member_count = (uint32_t)count;
	array->schedule_size = schedule_size(members, count);
	array->slots = calloc(ring_size + count + array->schedule_size, sizeof(*array->slots));
	if (!array->slots)
		return -ENOMEM;
	err = ring_build(members, count, array->slots, ring_size);
	for (size_t i = 0; i < count; i++)
		array->slots[ring_size + i] = members[i].id;
	if (!err)
		err = schedule_build(members, count, array->slots + ring_size + count,
				     array->schedule_size);
	return err;
}

int ring_array_fill(struct ring_array *array, const struct dataplane *dataplane,
		    const struct balanced_service *service)
{
	const struct service_config *config = service->config;
	struct ring_member *members = calloc(config->backend_count, sizeof(*members));
	size_t count;
	int err = 0;

	*array = (struct ring_array){0};
	if (!members)
		return -ENOMEM;
	count = list_members(dataplane, service, true, members);
	if (!count && !config->leaving)
		count = list_members(dataplane, service, false, members);
	if (count)
		err = fill_array(array, members, count, config->ring_size);
	if (count && !err)
		err = fill_steady(array, service, members, count);
	free(members);
	return err;
}

uint32_t ring_array_size(const struct ring_array *array)
{
	return array->ring_size + array->member_count + array->schedule_size;
}

uint64_t ring_array_slot(const struct ring_array *array, uint32_t slot)
{
	uint64_t steady = array->steady && slot < array->ring_size ? array->steady[slot] : 0;

	return steady << RING_STEADY_SHIFT | array->slots[slot];
}

void ring_array_free(struct ring_array *array)
{
	free(array->steady);
	free(array->slots);
}
