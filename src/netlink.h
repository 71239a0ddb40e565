/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One question to the kernel over rtnetlink, and its answer. */
#ifndef PLIMSOLL_NETLINK_H
#define PLIMSOLL_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdint.h>

/* Enough for every request that Plimsoll makes. */
#define NETLINK_REQUEST_SIZE 512

int netlink_open(struct mnl_socket **socket);

/* Begins a request in buffer[NETLINK_REQUEST_SIZE]; flags beside NLM_F_REQUEST and NLM_F_ACK. */
struct nlmsghdr *netlink_begin(void *buffer, uint16_t type, uint16_t flags);

/*
 * Sends the request and waits for all of the answer; reply (may be NULL) is called for each
 * message of it. Returns 0 or the kernel's -errno; -EINTR for a dump that changed under our hands.
 */
int netlink_ask(struct mnl_socket *socket, struct nlmsghdr *request, mnl_cb_t reply, void *context);

/* The same on a socket of its own. */
int netlink_ask_once(struct nlmsghdr *request, mnl_cb_t reply, void *context);

#endif
