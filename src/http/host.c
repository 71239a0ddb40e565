/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "http/host.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define NAME_MAX_BYTES 255 /* of a DNS name */

static bool is_address(const char *name)
{
	struct in6_addr address;

	return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
}

static bool is_own_name(const char *name)
{
	char own[HOST_NAME_MAX + 1];

	if (gethostname(own, sizeof(own)))
		return false;
	own[HOST_NAME_MAX] = '\0';
	return own[0] && !strcasecmp(name, own);
}

bool http_host_is_ours(const char *host)
{
	size_t length = strlen(host);
	char name[NAME_MAX_BYTES + 1];

	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		host++;
		length -= 2;
	} else if (length > 1 && host[length - 1] == '.') {
		length--; /* the root of all names */
	}
	if (length > NAME_MAX_BYTES)
		return false;
	memcpy(name, host, length);
	name[length] = '\0';
	return is_address(name) || !strcasecmp(name, "localhost") || is_own_name(name);
}
