/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "health_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "balancer.skel.h"

const struct before first_is_least = {.in_flight = {0, 60000, 60000}};

uint32_t send_from_port(uint16_t port, uint8_t flags)
{
	struct segment segment = segment_to_service();

	if (port)
		segment.source_port = port;
	segment.flags = flags;
	return world_send(&segment);
}

uint32_t send_flags(uint8_t flags)
{
	return send_from_port(0, flags);
}

struct health health_of(uint32_t backend)
{
	struct health health;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.healths), &backend, &health),
		0);
	return health;
}

void set_health(uint32_t backend, const struct health *health)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.healths), &backend,
					     health, BPF_ANY),
			 0);
}

struct backend entry_of(uint32_t backend)
{
	struct backend entry;

	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.backends), &backend, &entry),
		0);
	return entry;
}

void set_entry(uint32_t backend, const struct backend *entry)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(world.skeleton->maps.backends), &backend,
					     entry, BPF_ANY),
			 0);
}

void set_suspect(uint32_t backend, int64_t trial_in_ms)
{
	struct health health = {.suspect_ns = 1, .trial_ns = monotonic_ns() + trial_in_ms * MS};
	struct backend entry = entry_of(backend);

	entry.suspect = 1;
	set_entry(backend, &entry);
	set_health(backend, &health);
}

void set_down(uint32_t backend)
{
	struct backend entry = entry_of(backend);

	entry.down = 1;
	set_entry(backend, &entry);
}
