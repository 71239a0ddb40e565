/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/chooser.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"

/* What stands in for libbpf's helpers below bpf/: maps are found where asked() has put them. */
#define __BPF_HELPERS__
#define SEC(name)
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline static __attribute__((noinline))

/* User space has a function of that name, which is another one. */
#define bpf_map_lookup_elem lookup
static void *lookup(void *map, const void *key);

struct selection;

static __attribute__((unused)) __u64 bpf_ktime_get_ns(void)
{
	return now_ns();
}

static __u64 bpf_ktime_get_coarse_ns(void)
{
	return now_ns();
}

/* Of a jiffy_ns that nobody has written. */
static __u64 bpf_jiffies64(void)
{
	return now_ns() / 4000000;
}

static __u32 bpf_get_prandom_u32(void)
{
	__u32 number = 0;

	return getrandom(&number, sizeof(number), 0) < 0 ? 0 : number;
}

static long bpf_loop(__u32 count, void *callback, void *context, __u64 flags)
{
	long (*step)(__u32, void *) = callback;
	__u32 i;

	(void)flags;
	for (i = 0; i < count && !step(i, context); i++)
		;
	return i;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#include "select.h"

#include "flow.h"
#pragma GCC diagnostic pop

/* The one question that is being answered. */
static struct {
	const struct kernel *kernel;
	uint64_t *ring; /* of the service */
	uint32_t ring_length;
	struct choice_state state; /* a copy: asking must not take anybody's turn */
	uint64_t doubted;
} asked;

static void *element(const void *memory, size_t count, size_t size, __u32 index)
{
	return memory && index < count ? (char *)memory + index * size : NULL;
}

static void *lookup(void *map, const void *key)
{
	const struct kernel *kernel = asked.kernel;
	__u32 index = *(const __u32 *)key;

	if (map == &rings)
		return asked.ring;
	if (map == asked.ring)
		return element(asked.ring, asked.ring_length, sizeof(*asked.ring), index);
	if (map == &backends)
		return element(kernel->backends, kernel->backend_count, sizeof(struct backend),
			       index);
	if (map == &loads)
		return element(kernel->loads, kernel->load_count, sizeof(struct load), index);
	if (map == &healths)
		return element(kernel->healths, kernel->health_count, sizeof(struct health), index);
	if (map == &flows)
		return element(kernel->flows, kernel->flow_buckets, sizeof(struct bucket), index);
	if (map == &doubted)
		return &asked.doubted;
	return map == &choice_states ? &asked.state : NULL;
}

/* The service's ring, as memory. Without one there is none to choose. */
static int map_ring(const struct kernel *kernel, uint32_t service)
{
	int outer = kernel_map(kernel, "rings", false), ring;
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info), id;

	if (outer < 0)
		return outer;
	if (bpf_map_lookup_elem_flags(outer, &service, &id, 0)) {
		close(outer);
		return 0;
	}
	close(outer);
	ring = bpf_map_get_fd_by_id(id);
	if (ring < 0)
		return ring;
	if (!bpf_obj_get_info_by_fd(ring, &info, &length)) {
		asked.ring_length = info.max_entries;
		asked.ring = mmap(NULL, asked.ring_length * sizeof(*asked.ring), PROT_READ,
				  MAP_SHARED, ring, 0);
		if (asked.ring == MAP_FAILED)
			asked.ring = NULL;
	}
	close(ring);
	return asked.ring ? 0 : -ENOMEM;
}

/* A service's entry of an array, into what is zero. */
static int read_entry(const struct kernel *kernel, const char *name, uint32_t service, void *value)
{
	int map = kernel_map(kernel, name, false);

	if (map < 0)
		return map;
	(void)bpf_map_lookup_elem_flags(map, &service, value, 0);
	close(map);
	return 0;
}

static void find(const struct known_service *service, uint64_t hash, struct flow_place *place)
{
	const struct backend *backend;
	struct flow flow;

	flow_find(hash, asked.kernel->settings, &flow);
	if (!flow.slot || flow_timed_out(flow.value, flow.now_ns, flow.udp_timeout_ticks)) {
		place->contested = !flow_find_room(&flow);
		return;
	}
	place->backend = flow_backend(flow.value);
	backend = element(asked.kernel->backends, asked.kernel->backend_count, sizeof(*backend),
			  place->backend);
	place->known = backend && backend->service == service->service.id;
	place->closing = place->known && flow_state(flow.value) == FLOW_CLOSING;
}

int chooser_ask(const struct kernel *kernel, const struct known_service *service,
		const struct endpoint *client, struct flow_place *place)
{
	uint64_t hash =
		hash_ends(kernel->settings->hash_seed, &client->address, &service->key.address,
			  htons(client->port), service->key.port, service->key.protocol);
	int err;

	memset(&asked, 0, sizeof(asked));
	memset(place, 0, sizeof(*place));
	asked.kernel = kernel;
	err = map_ring(kernel, service->service.id);
	if (!err)
		err = read_entry(kernel, "choice_states", service->service.id, &asked.state);
	if (!err)
		err = read_entry(kernel, "doubted", service->service.id, &asked.doubted);
	if (!err) {
		find(service, hash, place);
		if (!place->known || place->closing)
			place->backend = select_backend(&service->service, hash, !place->contested,
							BACKEND_NONE, &place->decision);
	}
	if (asked.ring)
		munmap(asked.ring, asked.ring_length * sizeof(*asked.ring));
	return err;
}
