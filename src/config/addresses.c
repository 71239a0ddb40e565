/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The values that are addresses, and what exactly is wrong with one that is not. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "values.h"

/* In the config an address is one machine's, or one service's. */
static const char *not_unicast(struct ip_address address)
{
	uint32_t host = ntohl(address_ipv4(address).s_addr);

	if (host == INADDR_ANY)
		return "is the unspecified address";
	if (host == INADDR_BROADCAST)
		return "is the broadcast address";
	if (IN_MULTICAST(host))
		return "is a multicast address";
	if (host >> 24 == IN_LOOPBACKNET)
		return "is a loopback address";
	return host >> 24 ? NULL : "is not an address of a machine";
}

/* It may be a wrong one, too. */
static bool is_ipv6(const char *text)
{
	const char *colon = strchr(text, ':');

	return text[0] == '[' || (colon && strchr(colon + 1, ':'));
}

/* For as long as only the one family is supported. */
static int ipv4_endpoint_parse(const char *text, struct endpoint *endpoint)
{
	return is_ipv6(text) ? -EINVAL : endpoint_parse(text, endpoint);
}

/* endpoint_parse() only says no; people want to know what to look at. */
static const char *endpoint_complaint(const char *text)
{
	const char *colon = strchrnul(text, ':');
	size_t length = (size_t)(colon - text);
	char host[ADDRESS_TEXT_MAX] = "";
	struct ip_address address;

	if (is_ipv6(text))
		return "is an IPv6 address, which is not supported yet";
	if (length < sizeof(host))
		memcpy(host, text, length);
	if (address_parse(host, &address))
		return "is not an IPv4 address with a port";
	return *colon ? "has a port that is not one of 1 to 65535" : "has no port";
}

const char *parse_unicast(const struct field *field, const char *text, void *value)
{
	struct endpoint endpoint;
	struct ip_address address;
	const char *wrong;

	(void)field;
	if (is_ipv6(text))
		return "is an IPv6 address, which is not supported yet";
	if (!ipv4_endpoint_parse(text, &endpoint))
		return "has a port";
	if (address_parse(text, &address))
		return "is not an IPv4 address";
	wrong = not_unicast(address);
	if (!wrong)
		*(struct ip_address *)value = address;
	return wrong;
}

const char *parse_prefix(const struct field *field, const char *text, void *value)
{
	struct address_prefix prefix;

	(void)field;
	if (prefix_parse(text, &prefix))
		return "is neither an address nor a prefix";
	if (!prefix.mask.word[3] && (address_is_ipv4(prefix.address) || !prefix.mask.word[0]))
		return "is everybody";
	*(struct address_prefix *)value = prefix;
	return NULL;
}

const char *parse_service_address(const struct field *field, const char *text, void *value)
{
	struct endpoint endpoint;
	const char *wrong;

	(void)field;
	if (ipv4_endpoint_parse(text, &endpoint))
		return endpoint_complaint(text);
	wrong = not_unicast(endpoint.address);
	if (!wrong)
		*(struct endpoint *)value = endpoint;
	return wrong;
}

/* One's own, so loopback is fine, and so is 0.0.0.0: all that the host has. */
static const char *parse_own_endpoint(const char *text, struct endpoint *to, bool *is_there)
{
	struct endpoint endpoint;
	uint32_t host;

	if (ipv4_endpoint_parse(text, &endpoint))
		return endpoint_complaint(text);
	host = ntohl(address_ipv4(endpoint.address).s_addr);
	if (IN_MULTICAST(host) || host == INADDR_BROADCAST)
		return not_unicast(endpoint.address);
	*to = endpoint;
	*is_there = true;
	return NULL;
}

const char *parse_listen(const struct field *field, const char *text, void *value)
{
	struct config *config = value;

	(void)field;
	config->listen_given = true;
	if (!strcmp(text, "none"))
		return NULL;
	return parse_own_endpoint(text, &config->listen, &config->listening);
}

const char *parse_agent_listen(const struct field *field, const char *text, void *value)
{
	struct config *config = value;

	(void)field;
	return parse_own_endpoint(text, &config->agent_listen, &config->agent_listening);
}
