/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The world around a server under test: one interface, a service on it, a balancer, and a meter
 * of one bucket, so that what is in it can be seen.
 */
#ifndef PLIMSOLL_TEST_SERVER_WORLD_H
#define PLIMSOLL_TEST_SERVER_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "harness.h"
#include "meter_slot.h"
#include "packet.h"

#include "shared.h"

#define SERVER "10.1.0.11"
#define SERVER_MAC "02:00:00:00:05:01"
#define BALANCER_MAC "02:00:00:00:0b:01"
#define OTHER_BALANCER_MAC "02:00:00:00:0b:02"
#define ROUTER_MAC "02:00:00:00:00:fe"
#define VIP "10.1.0.100"
#define VIP_IPV6 "2001:db8:1::100"
#define BALANCER "10.1.0.2"
#define BALANCER_IPV6 "2001:db8:1::2"
#define SERVER_IPV6 "2001:db8:1::11"
#define VIP_PORT 80
#define CLIENT "10.1.0.50"
#define CLIENT_PORT 40000

#define SERVER_METER_ENTRIES 10000

/* Of every packet that frame_build() makes. */
#define SEQUENCE 0x01020304U

enum way {
	FROM_CLIENT,
	TO_CLIENT,
};

enum server_pace {
	USUAL_PAUSE,
	NO_PAUSE, /* a report is due at once after the last one, if the balancer was heard since 10 s */
	LONG_PAUSE, /* no second report within 10 s */
};

/* State of the server before a packet. Zero is the usual: a report is due, and allowed. */
struct server_before {
	uint32_t reported_us; /* so long ago was the last report; 0 = 10 s */
	uint32_t heard_ms; /* so long ago came something from the balancer; 0 = just now */
	uint32_t max_share; /* 2^16 = all */
	uint16_t mtu; /* 0 = 1500 */
	bool unchanged; /* the last report said what the next one would */
	bool expected; /* since then came only what the balancer has sent */
	bool free_spent; /* no report is free any more */
	enum server_pace pace;
	bool far; /* the balancer is behind a router */
	bool far_by_ipv6; /* likewise, and has an address of IPv6 */
	bool no_neighbour; /* the balancer's MAC address is not known */
	bool large_meter; /* SERVER_METER_ENTRIES instead of one bucket */
	bool no_balancer; /* none is configured */
	bool other_balancer; /* a second one, for which a report is due */
	bool unplaced; /* the service is only in the map */
	bool keyed;
	bool restarted; /* a moment ago */
	bool application; /* it has told its load */
	bool penalty; /* something has been reset a moment ago */
	int64_t in_flight;
};

struct server_world {
	struct server_bpf *skeleton;
	int ingress, egress;
	uint32_t ifindex;
	struct metrics *metrics;
	struct peer *peers;
	struct bucket *bucket; /* the first of the meter's */
};

extern struct server_world server;
extern const uint64_t server_key[2]; /* the bytes 00 .. 0f */

int server_create(void);
void server_destroy(void);
void server_reset(const struct server_before *before);

/* The usual packet that way, to be changed: a bare ACK. */
struct segment segment_usual(enum way way);
void server_run(enum way way, const struct frame *in, struct outcome *outcome);

/* Runs it, and fails the test unless it comes out as it went in. */
void server_pass(enum way way, const struct segment *segment);

uint64_t skip_count(enum skip skip);

struct server_stats server_stats_sum(void); /* of all CPUs */

/* Requests that wait in the meter's slots: what in_flight ought to be. */
int64_t waiting_slots(void);

#endif
