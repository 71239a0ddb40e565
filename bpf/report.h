/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Receipt of reports: is the option ours, is it to be believed, what does it say. What becomes of
 * the packet is balancer.bpf.c's.
 */
#ifndef PLIMSOLL_REPORT_H
#define PLIMSOLL_REPORT_H

#include "maps.h"
#include "packet.h"

#include "load_report.h"

/* SYNs that never arrived show in the lowest of sent - seen over this time... */
#define LOST_WINDOW_NS 1000000000ULL
/* ...if so many reports have looked. */
#define LOST_WINDOW_REPORTS 8

struct received_report {
	struct load_report_option option;
	struct load_report report;
	enum load_report_error error;
};

/* Is there an option of ours directly behind the base header? Then it is read into *received. */
static __always_inline int report_present(const struct packet *packet, void *end,
					  struct received_report *received)
{
	struct load_report_option *option = (void *)(packet->ip + 1);

	if (packet->ip_header_length < sizeof(*packet->ip) + LOAD_REPORT_LENGTH ||
	    (void *)option + LOAD_REPORT_LENGTH > end)
		return 0;
	*received = (struct received_report){};
	__builtin_memcpy(&received->option, option, LOAD_REPORT_LENGTH);
	received->error = load_report_decode(&received->option, &received->report);
	if (received->error == LOAD_REPORT_NOT_OURS)
		return 0;
	/* Servers add the option only where there is no other. */
	if (received->error == LOAD_REPORT_OK &&
	    packet->ip_header_length != sizeof(*packet->ip) + option->length)
		received->error = LOAD_REPORT_BAD_LENGTH;
	if (received->error == LOAD_REPORT_OK && received->report.flags & LOAD_REPORT_KEYED) {
		if ((void *)(option + 1) > end) {
			received->error = LOAD_REPORT_BAD_LENGTH;
			return 1;
		}
		received->option.tag = option->tag;
	}
	return 1;
}

/* VERDICT_NONE if the packet comes from that server and knows the key. */
static __always_inline enum verdict report_verify(const struct packet *packet,
						  const struct received_report *received,
						  const struct server *server,
						  const struct settings *settings)
{
	struct load_report_key key = {{settings->report_key[0], settings->report_key[1]}};

	if (!server->mac_known || !mac_equal(packet->eth->h_source, server->mac))
		return VERDICT_REPORT_WRONG_SOURCE;
	if (!settings->keyed)
		return VERDICT_NONE;
	if (!(received->report.flags & LOAD_REPORT_KEYED))
		return VERDICT_REPORT_UNKEYED;
	if (received->option.tag !=
	    load_report_tag_ipv4(&received->option, &key, packet->ip->saddr, packet->ip->daddr))
		return VERDICT_REPORT_WRONG_TAG;
	return VERDICT_NONE;
}

/*
 * Lowers connections_lost at once when fewer are under way than it says, and raises it to the
 * lowest seen in a whole window: what has not arrived by then never will.
 */
static __always_inline void load_note_lost(struct load *load, const struct load_report *report,
					   __u64 now)
{
	__u32 unseen = load->connections_sent - report->connections_seen;

	if (report->flags & LOAD_REPORT_RESTARTED || !load->received_ns ||
	    (__s32)(unseen - load->connections_lost) < 0)
		load->connections_lost = unseen;
	if (!load->window_reports || (__s32)(unseen - load->window_lowest) < 0)
		load->window_lowest = unseen;
	load->window_reports++;
	if (now - load->window_start_ns < LOST_WINDOW_NS)
		return;
	if (load->window_reports >= LOST_WINDOW_REPORTS)
		load->connections_lost = load->window_lowest;
	load->window_start_ns = now;
	load->window_reports = 0;
}

/* Replaces what is known of the server, if the report is newer. */
static __always_inline enum verdict report_apply(struct load *load,
						 const struct load_report *report)
{
	__u64 *progress = (__u64 *)&load->connections_seen;
	__u64 seen = *(volatile __u64 *)progress;
	__u64 now = bpf_ktime_get_ns();

	if (load->received_ns && !load_report_newer(report->sequence, seen >> 32))
		return VERDICT_REPORT_OLD;
	/* Of two CPUs with a report of the same server, one goes on. */
	if (__sync_val_compare_and_swap(progress, seen,
					(__u64)report->sequence << 32 | report->connections_seen) !=
	    seen)
		return VERDICT_REPORT_OLD;
	load_note_lost(load, report, now);
	*(volatile __u64 *)load = (__u64)report->in_flight | (__u64)report->utilisation << 16 |
				  (__u64)report->latency << 32 | (__u64)report->accept_queue << 48;
	load->flags = report->flags;
	__sync_fetch_and_add(&load->latency_sum_us, load_report_float_decode(report->latency));
	load->received_ns = now;
	__sync_fetch_and_add(&load->reports, 1);
	return VERDICT_REPORT_TAKEN;
}

#endif
