/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_report.h"

#define PORT_DIGITS_MAX 5
#define IPV4_WORD 3 /* of an address that is IPv4's: the one that it is in */

_Static_assert(sizeof(struct ip_address) == sizeof(struct in6_addr), "an address is one of IPv6");

/* Stricter than strtoul(): no sign, no space, no leading zero, nothing behind. */
static int port_parse(const char *text, uint16_t *port)
{
	size_t digits = strspn(text, "0123456789");
	unsigned int value = 0;
	size_t i;

	if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] || text[0] == '0')
		return -EINVAL;
	for (i = 0; i < digits; i++)
		value = value * 10 + (unsigned int)(text[i] - '0');
	if (value > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)value;
	return 0;
}

/* Where the port begins; the address goes to its own string. NULL if that is not how an endpoint looks. */
static const char *endpoint_split(const char *text, char address[ADDRESS_TEXT_MAX])
{
	bool brackets = text[0] == '[';
	const char *start = text + brackets;
	const char *end = strchr(start, brackets ? ']' : ':');
	size_t length = end ? (size_t)(end - start) : 0;

	if (!end || length >= ADDRESS_TEXT_MAX || (brackets && end[1] != ':'))
		return NULL;
	memcpy(address, start, length);
	address[length] = '\0';
	return end + 1 + brackets;
}

int endpoint_parse(const char *text, struct endpoint *endpoint)
{
	char address[ADDRESS_TEXT_MAX];
	const char *port = endpoint_split(text, address);
	struct endpoint parsed;

	if (!port || address_parse(address, &parsed.address) || port_parse(port, &parsed.port))
		return -EINVAL;
	/* Each family has its own way to be written. */
	if ((text[0] == '[') == address_is_ipv4(parsed.address))
		return -EINVAL;
	*endpoint = parsed;
	return 0;
}

const char *endpoint_format(const struct endpoint *endpoint, char *text)
{
	bool brackets = !address_is_ipv4(endpoint->address);
	char address[ADDRESS_TEXT_MAX];

	char port[PORT_DIGITS_MAX + 1] = "*";

	if (endpoint->port)
		snprintf(port, sizeof(port), "%u", endpoint->port);
	snprintf(text, ENDPOINT_TEXT_MAX, "%s%s%s:%s", brackets ? "[" : "",
		 address_format(endpoint->address, address), brackets ? "]" : "", port);
	return text;
}

/* An IPv4 address in the clothes of IPv6 is refused: it would have two names. */
int address_parse(const char *text, struct ip_address *address)
{
	struct ip_address parsed;
	struct in_addr ipv4;

	if (inet_pton(AF_INET, text, &ipv4) == 1) {
		*address = address_of_ipv4(ipv4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &parsed) != 1 || address_is_ipv4(parsed))
		return -EINVAL;
	*address = parsed;
	return 0;
}

const char *address_format(struct ip_address address, char *text)
{
	size_t length;

	inet_ntop(address_family(address), address_raw(&address, &length), text, ADDRESS_TEXT_MAX);
	return text;
}

struct ip_address address_of_ipv4(struct in_addr address)
{
	return (struct ip_address){{0, 0, htonl(0xFFFF), address.s_addr}};
}

struct in_addr address_ipv4(struct ip_address address)
{
	return (struct in_addr){address.word[IPV4_WORD]};
}

bool address_is_ipv4(struct ip_address address)
{
	return !address.word[0] && !address.word[1] && address.word[2] == htonl(0xFFFF);
}

const char *address_asked_by(struct ip_address address)
{
	return address_is_ipv4(address) ? "ARP" : "neighbour discovery";
}

bool address_is_set(struct ip_address address)
{
	return address.word[0] || address.word[1] || address.word[2] || address.word[3];
}

bool address_equal(struct ip_address a, struct ip_address b)
{
	return !memcmp(&a, &b, sizeof(a));
}

int address_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_address));
}

int address_family(struct ip_address address)
{
	return address_is_ipv4(address) ? AF_INET : AF_INET6;
}

const void *address_raw(const struct ip_address *address, size_t *length)
{
	bool ipv4 = address_is_ipv4(*address);

	*length = ipv4 ? sizeof(struct in_addr) : sizeof(*address);
	return ipv4 ? &address->word[IPV4_WORD] : address->word;
}

struct ip_address address_of_bytes(const void *bytes, size_t length)
{
	struct ip_address address = {0};
	struct in_addr ipv4;

	if (length == sizeof(ipv4)) {
		memcpy(&ipv4, bytes, sizeof(ipv4));
		return address_of_ipv4(ipv4);
	}
	if (length == sizeof(address))
		memcpy(&address, bytes, sizeof(address));
	return address;
}

socklen_t endpoint_to_socket(const struct endpoint *endpoint, struct sockaddr_storage *socket)
{
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)socket;
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)socket;

	memset(socket, 0, sizeof(*socket));
	socket->ss_family = (sa_family_t)address_family(endpoint->address);
	if (address_is_ipv4(endpoint->address)) {
		ipv4->sin_port = htons(endpoint->port);
		ipv4->sin_addr = address_ipv4(endpoint->address);
		return sizeof(*ipv4);
	}
	ipv6->sin6_port = htons(endpoint->port);
	memcpy(&ipv6->sin6_addr, &endpoint->address, sizeof(ipv6->sin6_addr));
	return sizeof(*ipv6);
}

struct endpoint endpoint_of_socket(const struct sockaddr_storage *socket)
{
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)socket;
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)socket;

	if (socket->ss_family == AF_INET)
		return (struct endpoint){address_of_ipv4(ipv4->sin_addr), ntohs(ipv4->sin_port)};
	return (struct endpoint){address_of_bytes(&ipv6->sin6_addr, sizeof(ipv6->sin6_addr)),
				 ntohs(ipv6->sin6_port)};
}

uint32_t address_report_id(struct ip_address address)
{
	return address_is_ipv4(address) ? address.word[IPV4_WORD] :
					  load_report_id_ipv6(address.word);
}

const char *mac_format(const uint8_t mac[6], char *text)
{
	snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return text;
}

struct ip_address address_mask(struct ip_address address, unsigned int bits)
{
	struct ip_address mask;

	bits += address_is_ipv4(address) ? 96 : 0;
	for (int i = 0; i < 4; i++, bits -= bits < 32 ? bits : 32)
		mask.word[i] = htonl(bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits));
	return mask;
}

int prefix_parse(const char *text, struct address_prefix *prefix)
{
	const char *slash = strchrnul(text, '/');
	char host[ADDRESS_TEXT_MAX] = "";
	struct ip_address address;
	unsigned long bits = 0;
	char *end;

	if ((size_t)(slash - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, (size_t)(slash - text));
	if (address_parse(host, &address))
		return -EINVAL;
	if (!*slash) {
		bits = address_is_ipv4(address) ? 32 : 128;
	} else {
		if (slash[1] < '0' || slash[1] > '9' || strlen(slash) > sizeof("/128") - 1)
			return -EINVAL;
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > (address_is_ipv4(address) ? 32 : 128))
			return -EINVAL;
	}
	prefix->mask = address_mask(address, (unsigned int)bits);
	for (int i = 0; i < 4; i++)
		prefix->address.word[i] = address.word[i] & prefix->mask.word[i];
	return 0;
}

const char *prefix_format(const struct address_prefix *prefix, char *text)
{
	int bits = address_is_ipv4(prefix->address) ? -96 : 0;
	size_t length;

	for (int i = 0; i < 4; i++)
		bits += __builtin_popcount(prefix->mask.word[i]);
	address_format(prefix->address, text);
	length = strlen(text);
	snprintf(text + length, PREFIX_TEXT_MAX - length, "/%d", bits);
	return text;
}
