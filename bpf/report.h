/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Receipt of reports: is the option ours, is it to be believed, what does it say. What becomes of
 * the packet is balancer.bpf.c's.
 */
#ifndef PLIMSOLL_REPORT_H
#define PLIMSOLL_REPORT_H

#include "load_update.h"
#include "maps.h"
#include "packet.h"

#include "load_report.h"

struct received_report {
	struct load_report_option option;
	struct load_report report;
	enum load_report_error error;
	int by_old_key;
};

/* Without options as long as that, or longer, there is none of ours. */
static __always_inline int report_has_room(const struct packet *packet)
{
	return packet->version == 4 &&
	       packet->ip_header_length >= sizeof(*packet->ip) + LOAD_REPORT_LENGTH;
}

/* Is there an option of ours directly behind the base header? Then it is read into *received. */
static __always_inline int report_present(const struct packet *packet, void *end,
					  struct received_report *received)
{
	struct load_report_option *option = (void *)(packet->ip + 1);

	if (!report_has_room(packet) || (void *)option + LOAD_REPORT_LENGTH > end)
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

static __always_inline int report_proved(const struct packet *packet,
					 const struct received_report *received,
					 const __u64 words[2])
{
	struct load_report_key key = {{words[0], words[1]}};

	return received->option.tag ==
	       load_report_tag_ipv4(&received->option, &key, packet->ip->saddr, packet->ip->daddr);
}

/* VERDICT_NONE if the packet comes from that server and knows the key, or the old one. */
static __always_inline enum verdict report_verify(const struct packet *packet,
						  struct received_report *received,
						  const struct server *server,
						  const struct settings *settings)
{
	if (!server->mac_known || !mac_equal(packet->eth->h_source, server->mac))
		return VERDICT_REPORT_WRONG_SOURCE;
	if (!settings->keyed)
		return VERDICT_NONE;
	if (!(received->report.flags & LOAD_REPORT_KEYED))
		return VERDICT_REPORT_UNKEYED;
	if (report_proved(packet, received, settings->report_key))
		return VERDICT_NONE;
	if (!settings->old_keyed || !report_proved(packet, received, settings->old_report_key))
		return VERDICT_REPORT_WRONG_TAG;
	received->by_old_key = 1;
	return VERDICT_NONE;
}

#endif
