/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses and endpoints of both families: text to binary and back. */
#ifndef PLIMSOLL_ADDRESS_H
#define PLIMSOLL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared.h"

#define ADDRESS_TEXT_MAX INET6_ADDRSTRLEN
#define PREFIX_TEXT_MAX (ADDRESS_TEXT_MAX + sizeof("/128"))
#define ENDPOINT_TEXT_MAX (ADDRESS_TEXT_MAX + sizeof("[]:65535"))
#define MAC_TEXT_MAX sizeof("00:00:00:00:00:00")

struct endpoint {
	struct ip_address address;
	uint16_t port; /* host byte order */
};

/* "10.1.0.100:80" or "[2001:db8::100]:443". Returns 0 or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *endpoint);

/* Port 0 is every port: "*". Writes at most ENDPOINT_TEXT_MAX bytes; returns text. */
const char *endpoint_format(const struct endpoint *endpoint, char *text);

/* "10.1.0.3" or "2001:db8::3". Returns 0 or -EINVAL. */
int address_parse(const char *text, struct ip_address *address);

/* Writes at most ADDRESS_TEXT_MAX bytes; returns text. */
const char *address_format(struct ip_address address, char *text);

/* The part of an address that is IPv4's. */
struct in_addr address_ipv4(struct ip_address address);
struct ip_address address_of_ipv4(struct in_addr address);
bool address_is_ipv4(struct ip_address address);

/* By what its MAC address is asked for. */
const char *address_asked_by(struct ip_address address);

/* The mask of so many leading bits of an address of that one's family. */
struct ip_address address_mask(struct ip_address address, unsigned int bits);

/* "10.1.0.0/16", "2001:db8::/64", or one address. Returns 0 or -EINVAL. */
int prefix_parse(const char *text, struct address_prefix *prefix);

/* Writes at most PREFIX_TEXT_MAX bytes; returns text. */
const char *prefix_format(const struct address_prefix *prefix, char *text);

/* Is there one? That which is all zero is "::", but also what has never been set. */
bool address_is_set(struct ip_address address);
bool address_equal(struct ip_address a, struct ip_address b);

/* For qsort(). */
int address_compare(const void *a, const void *b);

/* AF_INET or AF_INET6; and the address as such a one has it, of 4 or 16 bytes. */
int address_family(struct ip_address address);
const void *address_raw(const struct ip_address *address, size_t *length);

/* The one of so many bytes; none for another number than 4 or 16. */
struct ip_address address_of_bytes(const void *bytes, size_t length);

/* Returns the length of what has been filled in. */
socklen_t endpoint_to_socket(const struct endpoint *endpoint, struct sockaddr_storage *socket);
struct endpoint endpoint_of_socket(const struct sockaddr_storage *socket);

/* What the reports of a server with this address bear as its id, in network byte order. */
uint32_t address_report_id(struct ip_address address);

/* Writes at most MAC_TEXT_MAX bytes; returns text. */
const char *mac_format(const uint8_t mac[6], char *text);

#endif
