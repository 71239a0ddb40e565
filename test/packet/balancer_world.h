/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The world around a balancer under test: two networks, a service with three backends, and a
 * state of its maps that is given as data.
 *
 *   lan 10.1.0.0/24   the VIP, backends 1 and 2, clients
 *   wan 10.9.0.0/24   backend 3, clients
 */
#ifndef PLIMSOLL_TEST_BALANCER_WORLD_H
#define PLIMSOLL_TEST_BALANCER_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "harness.h"
#include "packet.h"

#include "choose.h"
#include "shared.h"

#define LAN_MAC "02:00:00:00:01:02"
#define WAN_MAC "02:00:00:00:09:02"
#define ROUTER_MAC "02:00:00:00:00:fe" /* where clients' packets come from */
#define STRANGER_MAC "02:00:00:00:00:66"

#define VIP "10.1.0.100"
#define VIP_PORT 80

#define CLIENT "10.1.0.50"
#define CLIENT_MAC "02:00:00:00:00:50"
#define CLIENT_ON_WAN "10.9.0.50"
#define CLIENT_ON_WAN_MAC "02:00:00:00:09:50"
#define CLIENT_UNRESOLVED "10.1.0.51" /* no neighbour entry */
#define CLIENT_UNRESOLVED_ON_WAN "10.9.0.51"
#define CLIENT_UNROUTED "203.0.113.9"
#define CLIENT_BLACKHOLED "198.51.100.9"

#define BACKENDS 3 /* numbered 1, 2, 3 */
#define RING_SIZE 7 /* slots of the ring, in which they take turns */
/* Where the usual client's flow belongs by its hash; the others are its candidates too. */
#define FIRST_CANDIDATE 2
#define NEVER UINT32_MAX

/* State of the balancer before a packet. Zero is the usual; arrays are by backend. */
struct before {
	/* What the latest reports said, and when. */
	uint16_t in_flight[BACKENDS];
	uint16_t utilisation[BACKENDS];
	uint16_t accept_queue[BACKENDS];
	uint32_t latency_us[BACKENDS];
	uint8_t flags[BACKENDS]; /* enum load_report_flags */
	uint32_t age_ms[BACKENDS]; /* 0 = just now; NEVER = no report yet */
	uint32_t seen[BACKENDS];
	uint32_t sequence[BACKENDS];
	/* What the balancer knows by itself. */
	uint32_t sent[BACKENDS];
	uint32_t lost[BACKENDS];
	/* Configuration. */
	uint32_t weight[BACKENDS]; /* 0 = 1 */
	uint32_t stale_after_ms; /* 0 = 1000 */
	uint8_t choices; /* 0 = CHOICES_MAX */
	uint8_t policy; /* enum policy */
	uint8_t signal; /* enum signal */
	bool without_pending; /* only what is reported counts */
	uint32_t hot; /* prequal: so many requests are many */
	bool no_feedback; /* else in-band */
	bool keyed, old_keyed;
	bool empty_ring;
	bool no_neighbours; /* backends' MAC addresses are not known */
	bool one_interface; /* only the LAN's */
	bool no_server_macs; /* servers' MAC addresses are not known */
	bool answers_echo; /* the balancer, to requests to a VIP */
	bool one_bucket; /* a flow table of 8 flows */
	uint8_t all_down; /* enum all_down */
	uint8_t dead_flows; /* enum dead_flows */
	uint16_t check_port; /* our own, of a check of the service; 0 = there is none */
};

struct world {
	struct balancer_bpf *skeleton;
	struct bucket *flows; /* the flow table, mapped */
	int program;
	int ring;
	uint32_t lan, wan; /* interfaces */
	uint32_t idle; /* an interface that the balancer does not serve */
	uint16_t client_port; /* a flow from CLIENT, see FIRST_CANDIDATE */
};

extern struct world world;

/* The key of keyed reports: 00 01 .. 0f. */
extern const uint64_t world_key[2], world_old_key[2];

/* Loads the program and builds what is around it. Returns 0 or a negative errno. */
int world_create(void);
void world_destroy(void);

/* Empties all maps and fills them again. */
void world_reset(const struct before *before);

/* Runs the balancer over a frame from an interface; fails the test if that is impossible. */
void world_run(uint32_t ifindex, const struct frame *in, struct outcome *outcome);

/* The usual packet of a client's, to be changed: SYN from CLIENT at world.client_port. */
struct segment segment_to_service(void);

/* Sends that packet by the LAN, and says which backend has got it (0 = none). */
uint32_t world_send(const struct segment *segment);
uint32_t world_send_frame(const struct frame *frame);

const char *backend_mac(uint32_t backend);
uint32_t backend_server(uint32_t backend); /* index into `loads` */
const char *backend_address(uint32_t backend);
uint32_t server_id(uint32_t backend); /* of the machine that the backend is on */
const char *interface_mac(uint32_t ifindex);
uint32_t backend_interface(uint32_t backend);

/* A second entry for the service and its backends; address is of either family. */
void world_add_service(const char *address, uint8_t protocol, uint16_t port);

/* New flows do not go to that backend any more. */
void world_spare(uint32_t backend);

uint32_t world_flows(void); /* that are remembered */
void world_forget_flows(void);
void world_age_fragments(uint32_t ms); /* as if so much time had passed */
void world_clear_verdicts(void);
void world_set_too_big(uint32_t mtu); /* what fits; nothing has been sent of late */

uint64_t verdict_count(enum verdict verdict);
void load_read(uint32_t backend, struct load *load);
void load_write(uint32_t backend, const struct load *load);
uint64_t monotonic_ns(void);

#endif
