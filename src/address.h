/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and endpoints: text to binary and back. */
#ifndef PLIMSOLL_ADDRESS_H
#define PLIMSOLL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define ENDPOINT_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("[]:65535"))
#define MAC_TEXT_MAX sizeof("00:00:00:00:00:00")

struct endpoint {
	struct in_addr address;
	uint16_t port; /* host byte order */
};

/* "10.1.0.100:80". Returns 0 or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *endpoint);

/* Writes at most ENDPOINT_TEXT_MAX bytes; returns text. */
const char *endpoint_format(const struct endpoint *endpoint, char *text);

/* "10.1.0.3". Returns 0 or -EINVAL. */
int address_parse(const char *text, struct in_addr *address);

/* Writes at most INET_ADDRSTRLEN bytes; returns text. */
const char *address_format(struct in_addr address, char *text);

/* Writes at most MAC_TEXT_MAX bytes; returns text. */
const char *mac_format(const uint8_t mac[6], char *text);

#endif
