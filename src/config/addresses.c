/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The values that are addresses, and what exactly is wrong with one that is not. */
#include <arpa/inet.h>
#include <string.h>

#include "values.h"

static const char *not_unicast_ipv6(struct ip_address address)
{
	struct in6_addr ipv6;

	memcpy(&ipv6, &address, sizeof(ipv6));
	if (IN6_IS_ADDR_UNSPECIFIED(&ipv6))
		return "is the unspecified address";
	if (IN6_IS_ADDR_MULTICAST(&ipv6))
		return "is a multicast address";
	if (IN6_IS_ADDR_LOOPBACK(&ipv6))
		return "is a loopback address";
	return IN6_IS_ADDR_LINKLOCAL(&ipv6) ? "is a link-local address" : NULL;
}

/* In the config an address is one machine's, or one service's. */
static const char *not_unicast(struct ip_address address)
{
	uint32_t host = ntohl(address_ipv4(address).s_addr);

	if (!address_is_ipv4(address))
		return not_unicast_ipv6(address);
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

/* Where the port begins, with its colon, and the address before it; the text's end if there is none. */
static const char *split(const char *text, char host[ADDRESS_TEXT_MAX])
{
	bool brackets = text[0] == '[';
	const char *start = text + brackets, *end = strchrnul(start, brackets ? ']' : ':');
	size_t length = (size_t)(end - start);

	host[0] = '\0';
	if (length < ADDRESS_TEXT_MAX) {
		memcpy(host, start, length);
		host[length] = '\0';
	}
	return brackets && *end ? end + 1 : end;
}

/* endpoint_parse() only says no; people want to know what to look at. */
static const char *endpoint_complaint(const char *text)
{
	char host[ADDRESS_TEXT_MAX];
	const char *port = split(text, host);
	struct ip_address address;

	if (!address_parse(text, &address))
		return address_is_ipv4(address) ? "has no port" : "is an address without brackets";
	if (address_parse(host, &address))
		return "is not an address with a port";
	return *port ? "has a port that is not one of 1 to 65535" : "has no port";
}

const char *parse_unicast(const struct field *field, const char *text, void *value)
{
	struct endpoint endpoint;
	struct ip_address address;
	const char *wrong;

	(void)field;
	if (!endpoint_parse(text, &endpoint))
		return "has a port";
	if (address_parse(text, &address))
		return text[0] == '[' ? "has brackets" : "is not an IP address";
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

/* "ADDRESS:*" and "ADDRESS:0": every port. */
static bool parse_any_port(const char *text, struct endpoint *endpoint)
{
	char host[ADDRESS_TEXT_MAX];
	const char *port = split(text, host);
	struct ip_address address;

	if ((strcmp(port, ":*") != 0 && strcmp(port, ":0") != 0) || address_parse(host, &address) ||
	    (text[0] == '[') == address_is_ipv4(address))
		return false;
	*endpoint = (struct endpoint){address, 0};
	return true;
}

const char *parse_service_address(const struct field *field, const char *text, void *value)
{
	struct endpoint endpoint;
	const char *wrong;

	(void)field;
	if (!parse_any_port(text, &endpoint) && endpoint_parse(text, &endpoint))
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

	if (endpoint_parse(text, &endpoint))
		return endpoint_complaint(text);
	host = ntohl(address_ipv4(endpoint.address).s_addr);
	if (address_is_ipv4(endpoint.address) && (IN_MULTICAST(host) || host == INADDR_BROADCAST))
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
	struct endpoint endpoint;

	(void)field;
	if (!endpoint_parse(text, &endpoint) && !address_is_ipv4(endpoint.address))
		return "is an IPv6 address, at which agents do not answer yet";
	return parse_own_endpoint(text, &config->agent_listen, &config->agent_listening);
}
