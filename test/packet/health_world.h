/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of backends that may not answer, as the data path finds it; and clients who find out. */
#ifndef PLIMSOLL_TEST_HEALTH_WORLD_H
#define PLIMSOLL_TEST_HEALTH_WORLD_H

#include "balancer_world.h"

#include "health.h"

#define MS 1000000ULL
/* What clients' packets have: packet.c. */
#define CLIENT_SEQUENCE 0x01020304
#define CLIENT_ACKNOWLEDGES 0x05060708

extern const struct before first_is_least; /* backend 1 is chosen */

/* A packet of the usual client's; and from another port of its. Return the backend that gets it. */
uint32_t send_flags(uint8_t flags);
uint32_t send_from_port(uint16_t port, uint8_t flags);

struct health health_of(uint32_t backend);
void set_health(uint32_t backend, const struct health *health);
struct backend entry_of(uint32_t backend);
void set_entry(uint32_t backend, const struct backend *entry);

void set_suspect(uint32_t backend, int64_t trial_in_ms);
void set_down(uint32_t backend);

#endif
