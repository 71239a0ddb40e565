/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Telling what becomes of packets, to those who ask (`plimsoll trace`). While nobody asks, a byte of
 * the settings says so, and that is all that a packet pays. A tracer holds a lease: the first
 * packet after its end takes that byte back.
 *
 * What is called from the packet's way are global functions, which the verifier walks once.
 */
#ifndef PLIMSOLL_TRACE_H
#define PLIMSOLL_TRACE_H

#include "maps.h"
#include "packet.h"
#include "report.h"

#define TRACE_SECOND_SHIFT 30 /* 2^30 ns are a second, nearly */

/* Only the benchmark says no, to show what the question costs. */
const volatile int traceable = 1;

/*
 * The question is put to the map at every step, so that the verifier, which does not know the answer,
 * need not walk the steps in between once for each.
 */
static __always_inline int traced(const struct settings *settings)
{
	return traceable && settings->tracing;
}

/* A packet whose protocol is not known may be any service's at that address. */
static __always_inline int trace_wants_protocol(const struct trace_filter *filter, __u8 protocol)
{
	return !filter->service_protocol || !protocol || filter->service_protocol == protocol;
}

/* One end of a packet is the service's, the other one the client's. */
static __always_inline int trace_wants_ends(const struct trace_filter *filter,
					    const struct ip_address *service, __be16 service_port,
					    const struct ip_address *client, __be16 client_port)
{
	return (!ip_address_is_set(&filter->service) ||
		ip_address_equal(&filter->service, service)) &&
	       (!filter->service_port || !service_port || filter->service_port == service_port) &&
	       ip_address_within(client, &filter->client, &filter->client_mask) &&
	       (!filter->client_port || !client_port || filter->client_port == client_port);
}

static __always_inline int trace_wants(const struct trace_filter *filter,
				       const struct trace_record *record)
{
	return trace_wants_protocol(filter, record->protocol) &&
	       (trace_wants_ends(filter, &record->destination, record->destination_port,
				 &record->source, record->source_port) ||
		trace_wants_ends(filter, &record->source, record->source_port, &record->destination,
				 record->destination_port));
}

/* What the packet says of itself. 0: nothing that a filter could go by. */
static __always_inline int trace_parse(struct xdp_md *xdp, struct trace_record *record)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct packet packet;
	enum parse_result parsed = packet_parse(xdp, data, end, end - data, &packet);

	if (parsed == PARSED_NOT_IP)
		return 0;
	record->source = packet.source;
	record->destination = packet.to.address;
	if (is_parsed(parsed)) {
		record->source_port = packet.source_port;
		record->destination_port = packet.to.port;
		record->protocol = packet.to.protocol;
		record->tcp_flags = packet.tcp_flags;
	}
	return 1;
}

/* Copies the packet as it is now behind what has been copied already; returns how much of it. */
static __always_inline __u16 trace_copy(struct xdp_md *xdp, struct trace *trace, __u32 at,
					__u32 snap)
{
	__u32 length = xdp->data_end - xdp->data;

	if (length > snap)
		length = snap;
	/*
	 * The verifier wants to see the very register compared that the helper gets, and Linux 6.1 learns
	 * nothing from a comparison with 0: so 0 becomes too much.
	 */
	length--;
	asm volatile("" : "+r"(length));
	if (length >= TRACE_SNAP_MAX || at > TRACE_SNAP_MAX ||
	    bpf_xdp_load_bytes(xdp, 0, trace->packet + at, length + 1))
		return 0;
	return length + 1;
}

static __always_inline struct trace *trace_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&traces, &zero);
}

static __always_inline struct trace_filter *trace_wanted(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&trace_filter, &zero);
}

static __always_inline void trace_lapse(void)
{
	__u32 zero = 0;
	struct settings *current = bpf_map_lookup_elem(&settings, &zero);

	if (current)
		current->tracing = 0;
}

/* Begins a record, if this packet may be one that is asked for. */
__noinline int trace_begin(struct xdp_md *xdp)
{
	const struct trace_filter *filter = trace_wanted();
	struct trace *trace = trace_here();

	if (!filter || !trace)
		return 0;
	trace->active = 0;
	if (bpf_get_prandom_u32() > filter->sample)
		return 0;
	__builtin_memset(&trace->record, 0, sizeof(trace->record));
	trace->record.time_ns = bpf_ktime_get_ns();
	if (trace->record.time_ns > filter->until_ns) {
		trace_lapse();
		return 0;
	}
	if (!trace_parse(xdp, &trace->record) || !trace_wants(filter, &trace->record))
		return 0;
	trace->record.ifindex = xdp->ingress_ifindex;
	trace->record.length_in = xdp->data_end - xdp->data;
	trace->record.captured_in = trace_copy(xdp, trace, 0, filter->snap);
	trace->active = 1;
	return 0;
}

/* Where select_backend() is to say how it has chosen. */
static __always_inline struct decision *trace_decision(void)
{
	struct trace *trace = trace_here();

	return trace && trace->active ? &trace->record.decision : 0;
}

__noinline int trace_flow(__u32 service, __u32 backend, int is_new)
{
	struct trace *trace = trace_here();

	if (!trace || !trace->active)
		return 0;
	trace->record.service = service;
	trace->record.backend = backend;
	trace->record.opens = is_new;
	return 0;
}

__noinline int trace_report(const struct received_report *received)
{
	struct trace *trace = trace_here();

	if (!trace || !trace->active || !received)
		return 0;
	trace->record.has_report = 1;
	__builtin_memcpy(trace->record.option, &received->option, sizeof(trace->record.option));
	return 0;
}

static __always_inline int trace_is_of(const struct trace_record *record,
				       const struct trace_filter *filter)
{
	const struct load_report_option *option = (const void *)record->option;
	__u32 index = record->backend;
	const struct backend *backend;

	if (record->has_report)
		return option->server_id == filter->backend_id;
	backend = bpf_map_lookup_elem(&backends, &index);
	return index != BACKEND_NONE && backend &&
	       ip_address_equal(&backend->address, &filter->backend);
}

/* So much for this second? */
static __always_inline int trace_is_over(struct trace *trace, __u32 rate)
{
	__u64 second = trace->record.time_ns >> TRACE_SECOND_SHIFT;

	if (trace->second != second) {
		trace->second = second;
		trace->records = 0;
	}
	return trace->records++ >= rate;
}

/* Tells what has become of the packet, unless it turns out not to be asked for. */
__noinline int trace_end(struct xdp_md *xdp, __u32 verdict)
{
	const struct trace_filter *filter = trace_wanted();
	struct trace *trace = trace_here();
	struct trace_record *record;
	__u32 in, out;

	if (!filter || !trace || !trace->active || !(filter->verdicts >> (verdict & 63) & 1))
		return 0;
	record = &trace->record;
	if (ip_address_is_set(&filter->backend) && !trace_is_of(record, filter))
		return 0;
	if (trace_is_over(trace, filter->rate)) {
		trace->over_rate++;
		return 0;
	}
	in = record->captured_in;
	record->verdict = verdict;
	record->length_out = xdp->data_end - xdp->data;
	out = trace_copy(xdp, trace, in, filter->snap);
	record->captured_out = out;
	if (in > TRACE_SNAP_MAX || out > TRACE_SNAP_MAX)
		return 0;
	if (bpf_ringbuf_output(&trace_ring, trace, sizeof(*record) + in + out, 0))
		trace->no_room++;
	return 0;
}

#endif
