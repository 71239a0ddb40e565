/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asking for a report: one UDP datagram each way, for networks in which responses cannot bear
 * options, and to measure what polling costs. All fields are big-endian.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+-------+-------+-------------------------------+
 *  0 | magic = 0xB7  | ver=1 | kind  | 0, not looked at              |
 *    +---------------+-------+-------+-------------------------------+
 *  4 | number of the request                                         |
 *    +---------------------------------------------------------------+
 *  8 | in an answer: the report, 24 or 32 bytes, as in load_report.h |
 *    +---------------------------------------------------------------+
 *
 * A request is 8 bytes, kind 1. The answer, kind 2, bears its number; it comes from the address
 * and port that were asked. The tag, if there is one, is over the addresses of the answer's own
 * datagram. Nobody answers an answer, so that no two agents can be set upon each other.
 */
#ifndef PLIMSOLL_LOAD_POLL_H
#define PLIMSOLL_LOAD_POLL_H

#include "load_report.h"

#define LOAD_POLL_REQUEST_LENGTH 8
#define LOAD_POLL_ANSWER_LENGTH_MAX (LOAD_POLL_REQUEST_LENGTH + LOAD_REPORT_LENGTH_KEYED)

enum load_poll_kind {
	LOAD_POLL_REQUEST = 1,
	LOAD_POLL_ANSWER = 2,
};

struct load_poll {
	__u8 magic;
	__u8 version_kind; /* version in the high 4 bits, enum load_poll_kind in the low */
	__be16 zero;
	__be32 number;
	struct load_report_option report;
};

_Static_assert(__builtin_offsetof(struct load_poll, number) == 4, "number");
_Static_assert(__builtin_offsetof(struct load_poll, report) == LOAD_POLL_REQUEST_LENGTH, "report");
_Static_assert(sizeof(struct load_poll) == LOAD_POLL_ANSWER_LENGTH_MAX, "answer");

/* The first 8 bytes: all of a request; before an answer's report. */
LOAD_REPORT_INLINE void load_poll_encode(struct load_poll *poll, enum load_poll_kind kind,
					 __u32 number)
{
	poll->magic = LOAD_REPORT_MAGIC;
	poll->version_kind = LOAD_REPORT_VERSION << 4 | kind;
	poll->zero = 0;
	poll->number = load_report_be32(number);
}

/* Is a datagram of so many bytes, as many of them in *poll as fit, of that kind? */
LOAD_REPORT_INLINE int load_poll_is(const struct load_poll *poll, __u64 length,
				    enum load_poll_kind kind)
{
	if (length < LOAD_POLL_REQUEST_LENGTH || poll->magic != LOAD_REPORT_MAGIC ||
	    poll->version_kind != (LOAD_REPORT_VERSION << 4 | kind))
		return 0;
	if (kind == LOAD_POLL_REQUEST)
		return length == LOAD_POLL_REQUEST_LENGTH;
	/* The report's length must fit its flags, and the datagram end with it. */
	return length >= LOAD_POLL_REQUEST_LENGTH + LOAD_REPORT_LENGTH &&
	       length == (__u64)LOAD_POLL_REQUEST_LENGTH + poll->report.length;
}

#endif
