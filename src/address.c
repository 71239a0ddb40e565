/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT_DIGITS_MAX 5

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

int endpoint_parse(const char *text, struct endpoint *endpoint)
{
	const char *colon = strchr(text, ':');
	char address[INET_ADDRSTRLEN];
	struct endpoint parsed;
	size_t length;

	if (!colon)
		return -EINVAL;
	length = (size_t)(colon - text);
	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (address_parse(address, &parsed.address) || port_parse(colon + 1, &parsed.port))
		return -EINVAL;
	*endpoint = parsed;
	return 0;
}

const char *endpoint_format(const struct endpoint *endpoint, char *text)
{
	char address[INET_ADDRSTRLEN];

	snprintf(text, ENDPOINT_TEXT_MAX, "%s:%u", address_format(endpoint->address, address),
		 endpoint->port);
	return text;
}

int address_parse(const char *text, struct in_addr *address)
{
	return inet_pton(AF_INET, text, address) == 1 ? 0 : -EINVAL;
}

const char *address_format(struct in_addr address, char *text)
{
	inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
	return text;
}

const char *mac_format(const uint8_t mac[6], char *text)
{
	snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return text;
}
