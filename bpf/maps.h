/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balancer's maps. Sizes that the configuration decides are set before loading. */
#ifndef PLIMSOLL_MAPS_H
#define PLIMSOLL_MAPS_H

#include "shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE); /* so that a tracer can write its one byte */
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SERVICES_MAX); /* with an entry for each VIP */
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

/*
 * A ring is replaced whole: readers see the old or the new one. Slots hold two indices of backends, as
 * RING_STEADY_SHIFT says; the kernel would leave a gap behind one.
 */
struct ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SERVICES_MAX + 1);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVICES_MAX + 1);
	__type(key, __u32); /* service id */
	__type(value, struct choice_state);
} choice_states SEC(".maps");

/*
 * The backend to which a service's next connection may go, to see whether it answers; BACKEND_NONE: there is
 * none. The daemon's, who would set back what the data path counts if it stood among that.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVICES_MAX + 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32); /* service id */
	__type(value, __u64); /* the kernel would leave a gap behind less */
} doubted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BACKENDS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE); /* page-aligned, so that an entry is one cache line */
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BACKENDS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32); /* a backend's index */
	__type(value, struct health);
} healths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CHECK_SOCKETS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* mostly there are few */
	__type(key, __be16); /* port */
	__type(value, struct check_socket);
} check_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SERVERS_MAX);
	__type(key, __be32); /* server id */
	__type(value, struct server);
} servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVERS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct load);
} loads SEC(".maps");

/* Of each server's reports, how many were proved by the old key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVERS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} old_key_reports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* struct settings, flow_buckets */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bucket);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_LOSSES);
	__type(key, __u32);
	__type(value, __u64);
} flow_losses SEC(".maps");

/* Where the first fragments of packets went: fragment.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FRAGMENT_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE); /* page-aligned, so that a bucket is one cache line */
	__type(key, __u32);
	__type(value, struct bucket);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct icmp_errors);
} icmp_errors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quote);
} quotes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICT_COUNT);
	__type(key, __u32);
	__type(value, struct verdict_count);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BACKENDS_MAX);
	__type(key, __u32);
	__type(value, struct backend_stats);
} backend_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct trace_filter);
} trace_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trace);
} traces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TRACE_RING_BYTES);
} trace_ring SEC(".maps");

#endif
