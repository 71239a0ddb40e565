/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the flood's two halves share. */
#ifndef PLIMSOLL_LAB_FLOOD_H
#define PLIMSOLL_LAB_FLOOD_H

/* Invented clients are of 198.18.0.0/15, which is for measurements (RFC 2544). */
#define FLOOD_CLIENTS 0xC6120000U
#define FLOOD_CLIENTS_MASK 0x1FFFFU

#define FLOOD_FLAGS_SYN 0x02
#define FLOOD_FLAGS_ACK 0x10

enum flood_kind {
	FLOOD_SYN,
	FLOOD_ACK, /* in the middle of connections that never were */
	FLOOD_OPEN, /* SYN and ACK, by turns: as if an answer had come */
	FLOOD_REPORT, /* a server's responses, each with a report whose tag was guessed */
};

#endif
