/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring of a service as the data path reads it: one array with the Maglev ring, all members, and
 * the round-robin schedule (struct service says where each is). It is made anew whenever a backend comes,
 * goes, drains or changes its weight, and put in place of the old one at once.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "balancer/tables.h"
#include "log.h"
#include "ring.h"

struct ring_array {
	uint32_t ring_size, member_count, schedule_size;
	uint32_t *slots;
};

static int write_service(struct dataplane *dataplane, const struct balanced_service *service,
			 const struct ring_array *array)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	const struct service_config *config = service->config;
	struct service_key key = service_key(config);
	struct service value = {
		.id = service->id,
		.ring_size = array->ring_size,
		.member_count = array->member_count,
		.schedule_size = array->schedule_size,
		.stale_after_ns = config->stale_after_ns,
		.policy = (uint8_t)config->policy,
		.signal = (uint8_t)config->signal,
		.feedback = (uint8_t)config->feedback,
		.choices = (uint8_t)config->choices,
		.with_pending = (uint8_t)config->with_pending,
	};

	if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
		return -errno;
	/* The VIP itself, for packets whose ports cannot be read. */
	key.port = 0;
	memset(&value, 0, sizeof(value));
	return bpf_map_update_elem(map, &key, &value, BPF_ANY) ? -errno : 0;
}

static int replace_array(struct dataplane *dataplane, uint32_t id, const struct ring_array *array)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	uint32_t size = array->ring_size + array->member_count + array->schedule_size;
	uint64_t *view;
	int fd, err = 0;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", sizeof(uint32_t), sizeof(*view), size,
			    &options);
	if (fd < 0)
		return fd;
	view = mmap(NULL, size * sizeof(*view), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (view == MAP_FAILED) {
		err = -errno;
		goto out;
	}
	for (uint32_t i = 0; i < size; i++)
		view[i] = array->slots[i];
	munmap(view, size * sizeof(*view));
	if (bpf_map_update_elem(bpf_map__fd(dataplane->bpf->maps.rings), &id, &fd, BPF_ANY))
		err = -errno;
out:
	close(fd);
	return err;
}

bool member_is_open(const struct member *member)
{
	return member->neighbour.resolved && !member->draining;
}

/* The members that are open. Returns how many. */
static size_t list_members(const struct balanced_service *service, struct ring_member *members)
{
	size_t count = 0;

	for (size_t i = 0; i < service->config->backend_count; i++) {
		const struct member *member = &service->members[i];

		if (member_is_open(member))
			members[count++] = (struct ring_member){
				.id = member->index,
				.identity = ntohl(member->config->address.s_addr),
				.weight = member->weight,
			};
	}
	return count;
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

int dataplane_build_ring(struct dataplane *dataplane, struct balanced_service *service)
{
	const struct service_config *config = service->config;
	struct ring_member *members = calloc(config->backend_count, sizeof(*members));
	struct ring_array array = {0};
	size_t count;
	int err = 0;

	if (!members)
		return -ENOMEM;
	count = list_members(service, members);
	if (count) {
		err = fill_array(&array, members, count, config->ring_size);
		if (!err)
			err = replace_array(dataplane, service->id, &array);
	}
	/* Without members, the service says that there is no ring. */
	if (!err)
		err = write_service(dataplane, service, &array);
	if (err)
		log_error("%s: cannot build the ring: %s", config->name, strerror(-err));
	free(array.slots);
	free(members);
	return err;
}
