/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/pcapng.h"

#include <string.h>

#define LINKTYPE_ETHERNET 1

enum block {
	BLOCK_SECTION = 0x0A0D0D0A,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6, /* "enhanced" */
};

/* Numbers of options are those of their block. */
enum option {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_NAME = 2, /* of an interface */
	OPTION_FLAGS = 2, /* of a packet: the direction */
	OPTION_DESCRIPTION = 3,
	OPTION_PROGRAM = 4, /* of the section: who wrote it */
	OPTION_TIME_UNIT = 9, /* of an interface: 10^-n s */
};

#define BYTE_ORDER_MAGIC 0x1A2B3C4D

static uint32_t padded(uint32_t length)
{
	return (length + 3) & ~3U;
}

static void put_32(FILE *file, uint32_t number)
{
	fwrite(&number, sizeof(number), 1, file);
}

static void put_16(FILE *file, uint16_t number)
{
	fwrite(&number, sizeof(number), 1, file);
}

static void put_padded(FILE *file, const void *bytes, uint32_t length)
{
	static const uint8_t zeros[3];

	fwrite(bytes, 1, length, file);
	fwrite(zeros, 1, padded(length) - length, file);
}

#define OPTION_HEAD 4U

static uint32_t option_length(uint32_t length)
{
	return OPTION_HEAD + padded(length);
}

static void put_option(FILE *file, enum option option, const void *value, uint32_t length)
{
	put_16(file, (uint16_t)option);
	put_16(file, (uint16_t)length);
	put_padded(file, value, length);
}

/* A block begins and ends with its length: type and the two lengths are 12 bytes of it. */
static uint32_t block_begin(FILE *file, enum block block, uint32_t length)
{
	put_32(file, block);
	put_32(file, length + 12);
	return length + 12;
}

static void put_section(FILE *file)
{
	static const char program[] = "plimsoll " PLIMSOLL_VERSION;
	uint32_t length =
		block_begin(file, BLOCK_SECTION, 16 + option_length(strlen(program)) + OPTION_HEAD);

	put_32(file, BYTE_ORDER_MAGIC);
	put_16(file, 1); /* version 1.0 */
	put_16(file, 0);
	put_32(file, UINT32_MAX); /* the section's length is not known: 64 bits of -1 */
	put_32(file, UINT32_MAX);
	put_option(file, OPTION_PROGRAM, program, strlen(program));
	put_option(file, OPTION_END, "", 0);
	put_32(file, length);
}

static void put_interface(FILE *file, const char *name, const char *description, uint32_t snap)
{
	static const uint8_t nanoseconds = 9;
	uint32_t length =
		block_begin(file, BLOCK_INTERFACE,
			    8 + option_length(strlen(name)) + option_length(strlen(description)) +
				    option_length(sizeof(nanoseconds)) + OPTION_HEAD);

	put_16(file, LINKTYPE_ETHERNET);
	put_16(file, 0);
	put_32(file, snap);
	put_option(file, OPTION_NAME, name, strlen(name));
	put_option(file, OPTION_DESCRIPTION, description, strlen(description));
	put_option(file, OPTION_TIME_UNIT, &nanoseconds, sizeof(nanoseconds));
	put_option(file, OPTION_END, "", 0);
	put_32(file, length);
}

void pcapng_begin(FILE *file, uint32_t snap)
{
	put_section(file);
	put_interface(file, "in", "packets as they came to the balancer", snap);
	put_interface(file, "out", "packets as they left it", snap);
}

void pcapng_write(FILE *file, const struct pcapng_packet *packet)
{
	const uint32_t direction = packet->interface == PCAPNG_IN ? 1 : 2;
	uint32_t comment_length = strlen(packet->comment), length;

	if (comment_length > UINT16_MAX)
		comment_length = UINT16_MAX;
	length = block_begin(file, BLOCK_PACKET,
			     20 + padded(packet->captured) + option_length(comment_length) +
				     option_length(sizeof(direction)) + OPTION_HEAD);
	put_32(file, packet->interface);
	put_32(file, packet->time_ns >> 32);
	put_32(file, (uint32_t)packet->time_ns);
	put_32(file, packet->captured);
	put_32(file, packet->length);
	put_padded(file, packet->bytes, packet->captured);
	put_option(file, OPTION_COMMENT, packet->comment, comment_length);
	put_option(file, OPTION_FLAGS, &direction, sizeof(direction));
	put_option(file, OPTION_END, "", 0);
	put_32(file, length);
}
