/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes captures in the pcapng format (draft-ietf-opsawg-pcapng), which tells more of a packet than
 * pcap does: its direction, and a comment.
 */
#ifndef PLIMSOLL_PCAPNG_H
#define PLIMSOLL_PCAPNG_H

#include <stdint.h>
#include <stdio.h>

enum pcapng_interface {
	PCAPNG_IN,
	PCAPNG_OUT,
};

struct pcapng_packet {
	enum pcapng_interface interface;
	uint64_t time_ns; /* CLOCK_REALTIME */
	const void *bytes;
	uint32_t captured, length; /* what is there, and what there was */
	const char *comment;
};

/* The head of the file; snap: no packet will have more bytes captured. Errors show in ferror(). */
void pcapng_begin(FILE *file, uint32_t snap);
void pcapng_write(FILE *file, const struct pcapng_packet *packet);

#endif
