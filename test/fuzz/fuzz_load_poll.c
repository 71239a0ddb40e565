/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as a datagram of the poll protocol: nothing is both a request and an answer, and what
 * is one or the other is made of exactly the same bytes when it is written anew. With libFuzzer, or
 * with FUZZ_SEEDS for the files given as arguments.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "load_poll.h"

static void check_report(const struct load_poll *poll, size_t size)
{
	struct load_report_option again;
	struct load_report report;

	require(size >= LOAD_POLL_REQUEST_LENGTH + LOAD_REPORT_LENGTH);
	if (load_report_decode(&poll->report, &report) != LOAD_REPORT_OK)
		return;
	require(size == LOAD_POLL_REQUEST_LENGTH + (report.flags & LOAD_REPORT_KEYED ?
							    LOAD_REPORT_LENGTH_KEYED :
							    LOAD_REPORT_LENGTH));
	load_report_encode(&again, &report);
	require(!memcmp(&again, &poll->report, LOAD_REPORT_LENGTH));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct load_poll poll = {0}, again = {0};
	int request, answer;

	if (size)
		memcpy(&poll, data, size < sizeof(poll) ? size : sizeof(poll));
	request = load_poll_is(&poll, size, LOAD_POLL_REQUEST);
	answer = load_poll_is(&poll, size, LOAD_POLL_ANSWER);
	require(!(request && answer));
	if (!request && !answer)
		return 0;
	load_poll_encode(&again, request ? LOAD_POLL_REQUEST : LOAD_POLL_ANSWER,
			 load_report_be32(poll.number));
	again.zero = poll.zero;
	require(!memcmp(&again, &poll, LOAD_POLL_REQUEST_LENGTH));
	if (request)
		require(size == LOAD_POLL_REQUEST_LENGTH);
	else
		check_report(&poll, size);
	return 0;
}
