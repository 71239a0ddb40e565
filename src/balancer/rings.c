/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rings of the services in the kernel: each is made anew whenever a backend comes, goes, drains or changes
 * its weight, and put in place of the old one at once.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "balancer.skel.h"
#include "balancer/dataplane.h"
#include "balancer/ring_array.h"
#include "balancer/tables.h"
#include "log.h"
#include "service_keys.h"

/* enum vip_protocols of all services that the VIP has. */
static uint8_t vip_protocols(const struct config *config, const struct ip_address *vip)
{
	uint8_t protocols = 0;

	for (size_t i = 0; i < config->service_count; i++)
		if (address_equal(config->services[i].address.address, *vip))
			protocols |=
				config->services[i].protocol == IPPROTO_UDP ? VIP_UDP : VIP_TCP;
	return protocols;
}

static int write_service(struct dataplane *dataplane, const struct balanced_service *service,
			 const struct ring_array *array)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	const struct service_config *config = service->config;
	struct service_key key = service_key(config);
	struct service old;
	struct service value = {
		.id = service->id,
		.ring_size = array->ring_size,
		.member_count = array->member_count,
		.schedule_size = array->schedule_size,
		.stale_after_ns = config->stale_after_ns,
		.policy = (uint8_t)config->policy,
		.signal = (uint8_t)config->signal,
		.feedback = (uint8_t)config->feedback,
		/* Each look into the ring is a line from memory: not for the only one there is. */
		.choices = array->member_count > 1 ? (uint8_t)config->choices : 1,
		.with_pending = (uint8_t)config->with_pending,
		.all_down = (uint8_t)config->all_down,
		.dead_flows = (uint8_t)config->dead_flows,
	};

	if (!bpf_map_lookup_elem(map, &key, &old) && !memcmp(&old, &value, sizeof(value)))
		return 0;
	if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
		return -errno;
	/* The VIP itself, for packets whose ports cannot be read. */
	key.port = 0;
	key.protocol = 0;
	value = (struct service){.protocols = vip_protocols(dataplane->config, &key.address)};
	return bpf_map_update_elem(map, &key, &value, BPF_ANY) ? -errno : 0;
}

/* How far the data path may look into the array until write_service() has told it the new sizes. */
static uint32_t size_in_force(const struct dataplane *dataplane,
			      const struct balanced_service *service)
{
	struct service_key key = service_key(service->config);
	struct service value;

	if (bpf_map_lookup_elem(bpf_map__fd(dataplane->bpf->maps.services), &key, &value))
		return 0;
	return value.ring_size + value.member_count + value.schedule_size;
}

/* size: at least the array's own; what is beyond it is the ring again. Returns the map or -errno. */
static int make_array(const struct ring_array *array, uint32_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	uint32_t used = ring_array_size(array);
	uint64_t *view;
	int fd, err;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", sizeof(uint32_t), sizeof(*view), size,
			    &options);
	if (fd < 0)
		return fd;
	view = mmap(NULL, size * sizeof(*view), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (view == MAP_FAILED) {
		err = -errno;
		close(fd);
		return err;
	}
	for (uint32_t i = 0; i < size; i++)
		view[i] = ring_array_slot(array, i < used ? i : i % array->ring_size);
	munmap(view, size * sizeof(*view));
	return fd;
}

static int tell_failure(const struct balanced_service *service, int err)
{
	if (err)
		log_error("%s: cannot build the ring: %s", service->config->name, strerror(-err));
	return err;
}

/* Kernels before 5.19 take only one at a time. */
static int replace_array(struct dataplane *dataplane, uint32_t number, bool already)
{
	const struct ring_batch *batch = &dataplane->batch;
	int rings = bpf_map__fd(dataplane->bpf->maps.rings);

	if (!already &&
	    bpf_map_update_elem(rings, &batch->ids[number], &batch->maps[number], BPF_ANY))
		return -errno;
	return write_service(dataplane, batch->services[number], &batch->arrays[number]);
}

/* Puts all that has been made in its place: first the arrays, then what says how long they are. */
static int put_in_place(struct dataplane *dataplane)
{
	struct ring_batch *batch = &dataplane->batch;
	uint32_t count = batch->count;
	bool already = false;
	int err, first = 0;

	if (count > 1)
		already = !bpf_map_update_batch(bpf_map__fd(dataplane->bpf->maps.rings), batch->ids,
						batch->maps, &count, NULL);
	for (uint32_t i = 0; i < batch->count; i++) {
		err = replace_array(dataplane, i, already);
		close((int)batch->maps[i]);
		tell_failure(batch->services[i], err);
		first = first ?: err;
	}
	batch->count = 0;
	return first;
}

void dataplane_begin_rings(struct dataplane *dataplane)
{
	dataplane->batch.open = true;
}

int dataplane_end_rings(struct dataplane *dataplane)
{
	dataplane->batch.open = false;
	return put_in_place(dataplane);
}

/* One more for put_in_place(). */
static int enter_batch(struct dataplane *dataplane, const struct balanced_service *service,
		       const struct ring_array *array, uint32_t size)
{
	struct ring_batch *batch = &dataplane->batch;
	int map = make_array(array, size);

	if (map < 0)
		return map;
	batch->ids[batch->count] = service->id;
	batch->maps[batch->count] = (uint32_t)map;
	batch->services[batch->count] = service;
	batch->arrays[batch->count] = *array;
	batch->arrays[batch->count].steady = NULL;
	batch->arrays[batch->count++].slots = NULL;
	return batch->open && batch->count < RING_BATCH ? 0 : put_in_place(dataplane);
}

int dataplane_write_service(struct dataplane *dataplane, const struct balanced_service *service)
{
	int map = bpf_map__fd(dataplane->bpf->maps.services);
	struct service_key key = service_key(service->config);
	struct service value = {0};
	struct ring_array array;

	if (bpf_map_lookup_elem(map, &key, &value))
		return -errno;
	array.ring_size = value.ring_size;
	array.member_count = value.member_count;
	array.schedule_size = value.schedule_size;
	return write_service(dataplane, service, &array);
}

int dataplane_build_ring(struct dataplane *dataplane, struct balanced_service *service)
{
	struct ring_array array;
	uint32_t size;
	int err = ring_array_fill(&array, dataplane, service);

	if (!err && array.member_count) {
		size = ring_array_size(&array);
		if (size < size_in_force(dataplane, service))
			size = size_in_force(dataplane, service);
		err = enter_batch(dataplane, service, &array, size);
	} else if (!err) {
		/* The service says that there is no ring: its `all_down` is in force. */
		err = write_service(dataplane, service, &array);
	}
	tell_failure(service, err);
	ring_array_free(&array);
	return err;
}
