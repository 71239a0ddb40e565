/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few packets that the doctor sends, and waits for the answer to: ARP probes (RFC 5227, they change nobody's
 * cache), echo requests, and a report that comes back. At most half a second each.
 */
#ifndef PLIMSOLL_DOCTOR_PROBE_H
#define PLIMSOLL_DOCTOR_PROBE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/subject.h"

#define PROBE_PATIENCE_MS 400

/* A socket for frames of a protocol (host byte order) on a link; what it sends passes no tc program. */
int probe_open(const struct link_facts *link, uint16_t protocol);

/* Waits until something has come. False once the time, CLOCK_MONOTONIC, is over. */
bool probe_wait(int fd, uint64_t until_ns);

/* The Internet checksum (RFC 1071): a sum to go on from, and what stands in a packet. */
uint32_t probe_sum(const void *data, size_t length, uint32_t sum);
uint16_t probe_checksum(const void *data, size_t length, uint32_t sum);

struct echo {
	struct in_addr to;
	size_t size; /* of the packet, with its IP header */
	bool option; /* with an option of the reports' type that is no report */
	bool answered;
};

/* Sends them all and waits for the answers. 0 or -errno. */
int echo_run(struct echo *echoes, size_t count);

#endif
