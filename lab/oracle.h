/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A server's truth, written right into what a balancer on the same machine knows of it: its pinned map
 * `loads`. What a balancer would choose that knows everything at once is the measure of feedback.
 */
#ifndef PLIMSOLL_LAB_ORACLE_H
#define PLIMSOLL_LAB_ORACLE_H

#include <bpf/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load_report.h"
#include "shared.h"
#include "values.h"

/* However quiet it is: the balancer must not take what it knows for old. */
#define ORACLE_INTERVAL_NS (100 * NS_PER_MS)

struct oracle {
	struct load *load; /* NULL: there is none */
	uint64_t told_ns;
	uint32_t sent_before; /* connections that the balancer had sent when this began */
};

/* Returns 0 or -errno. */
static inline int oracle_open(struct oracle *oracle, const char *path, uint32_t index)
{
	size_t bytes = SERVERS_MAX * sizeof(struct load);
	struct load *loads;
	int err = 0;
	int fd;

	if (index >= SERVERS_MAX)
		return -EINVAL;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	loads = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (loads == MAP_FAILED)
		err = -errno;
	else
		oracle->load = &loads[index];
	close(fd);
	if (!err) {
		oracle->sent_before = oracle->load->connections_sent;
		oracle->load->connections_lost = 0;
	}
	return err;
}

/*
 * Words that belong together are written together, as report_apply() in bpf/report.h does it.
 * connections_seen goes last: before that, a connection may be counted twice, but never not at all.
 */
static inline void oracle_tell(struct oracle *oracle, uint64_t in_flight, uint64_t accepted,
			       uint64_t latency_us, uint64_t now)
{
	struct load *load = oracle->load;
	uint64_t values, progress;

	if (!load)
		return;
	values = (in_flight < 65535 ? in_flight : 65535) |
		 (uint64_t)load_report_float_encode(latency_us) << 32;
	progress = (uint64_t)(load->sequence + 1) << 32 |
		   (uint32_t)(oracle->sent_before + (uint32_t)accepted);
	__atomic_store_n((uint64_t *)(void *)load, values, __ATOMIC_RELEASE);
	load->received_ns = now;
	__atomic_store_n((uint64_t *)(void *)&load->connections_seen, progress, __ATOMIC_RELEASE);
	oracle->told_ns = now;
}

#endif
