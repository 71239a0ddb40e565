/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a report changes in what is known of a server: in the kernel, for one out of a packet, and
 * in user space, for one that was asked for. Both may write to the same entry at once.
 */
#ifndef PLIMSOLL_LOAD_UPDATE_H
#define PLIMSOLL_LOAD_UPDATE_H

#include "shared.h"

#include "load_report.h"

/*
 * A server whose clock was set back begins with an old sequence. After so long without a report it
 * is believed whatever its sequence is; with a key it is not: it might be a replay.
 */
#define SEQUENCE_FORGOTTEN_NS 1000000000ULL

/* SYNs that never arrived show in the lowest of sent - seen over this time... */
#define LOST_WINDOW_NS 250000000ULL
/* ...and longer, until so many reports have looked. */
#define LOST_WINDOW_REPORTS 8

/*
 * Lowers connections_lost at once when fewer are under way than it says, and raises it to the
 * lowest seen in a whole window: what has not arrived by then never will.
 */
LOAD_REPORT_INLINE void load_note_lost(struct load *load, const struct load_report *report,
				       __u64 now)
{
	__u32 unseen = load->connections_sent - report->connections_seen;

	if (report->flags & LOAD_REPORT_RESTARTED || !load->received_ns ||
	    (__s32)(unseen - load->connections_lost) < 0)
		load->connections_lost = unseen;
	if (!load->window_reports || (__s32)(unseen - load->window_lowest) < 0)
		load->window_lowest = unseen;
	load->window_reports++;
	/* Clocks may differ by a jiffy: signed. */
	if ((__s64)(now - load->window_start_ns) < (__s64)LOST_WINDOW_NS ||
	    load->window_reports < LOST_WINDOW_REPORTS)
		return;
	load->connections_lost = load->window_lowest;
	load->window_start_ns = now;
	load->window_reports = 0;
}

LOAD_REPORT_INLINE int load_knows_newer(const struct load *load, const struct load_report *report,
					__u32 last, __u64 now)
{
	if (!load->received_ns || load_report_newer(report->sequence, last))
		return 0;
	return report->flags & LOAD_REPORT_KEYED ||
	       (__s64)(now - load->received_ns) < (__s64)SEQUENCE_FORGOTTEN_NS;
}

/* Replaces what is known of the server. Returns 0 if the report is not newer: then nothing is. */
LOAD_REPORT_INLINE int load_update(struct load *load, const struct load_report *report, __u64 now)
{
	__u64 *progress = (__u64 *)&load->connections_seen;
	__u64 seen = *(volatile __u64 *)progress;

	if (load_knows_newer(load, report, seen >> 32, now))
		return 0;
	/* Of two CPUs with a report of the same server, one goes on. */
	if (__sync_val_compare_and_swap(progress, seen,
					(__u64)report->sequence << 32 | report->connections_seen) !=
	    seen)
		return 0;
	load_note_lost(load, report, now);
	*(volatile __u64 *)load = (__u64)report->in_flight | (__u64)report->utilisation << 16 |
				  (__u64)report->latency << 32 | (__u64)report->accept_queue << 48;
	*(volatile __u8 *)&load->flags = report->flags;
	/* Of means: a sample that is lost to another CPU does no harm. */
	load->latency_sum_us += load_report_float_decode(report->latency);
	load->in_flight_sum += report->in_flight ? report->in_flight : 1;
	/* Last: what is older than this is not looked at. */
	*(volatile __u64 *)&load->received_ns = now;
	__sync_fetch_and_add(&load->reports, 1);
	return 1;
}

#endif
