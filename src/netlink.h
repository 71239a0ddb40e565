/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One question to the kernel over rtnetlink, and its answer. */
#ifndef PLIMSOLL_NETLINK_H
#define PLIMSOLL_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "address.h"

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

/*
 * mnl_cb_run(), but refuses (EBADMSG) messages of which something is missing. By itself that follows a
 * length of 2 GiB or more, which it takes for a negative one, and is silent about the others.
 */
int netlink_run(const void *bytes, size_t length, uint32_t sequence, unsigned int port,
		mnl_cb_t reply, void *context);

/* The header that messages of a type begin with; NULL if this one is too short for it. */
const void *netlink_header(const struct nlmsghdr *message, size_t header_size);

/*
 * The attribute after the previous one, or with NULL the first one behind the header; NULL at the end.
 * mnl_attr_for_each() looks up to 3 bytes beyond a message whose length is no multiple of 4.
 */
const struct nlattr *netlink_next(const struct nlmsghdr *message, size_t header_size,
				  const struct nlattr *previous);

#define netlink_for_each(attribute, message, header_size)                                          \
	for ((attribute) = netlink_next(message, header_size, NULL); (attribute);                  \
	     (attribute) = netlink_next(message, header_size, attribute))

/* What an attribute holds; nothing (zero) if its length is another. */
uint32_t netlink_u32(const struct nlattr *attribute);
struct ip_address netlink_address(const struct nlattr *attribute);

#endif
