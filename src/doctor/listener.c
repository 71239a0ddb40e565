/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does the application listen where the services' packets arrive? */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"

#define STATE_LISTEN "0A"
/* A datagram socket that is not connected. */
#define STATE_UNCONNECTED "07"

struct wanted {
	const char *vip;
	unsigned int port;
	const char *state;
};

/* As /proc/net has it: words of 8 digits, each in the host's byte order. */
static bool is_address(const char *digits, const char *vip)
{
	struct in_addr address;
	char text[16];

	if (inet_pton(AF_INET, vip, &address) != 1)
		return false;
	snprintf(text, sizeof(text), "%08X", address.s_addr);
	return !strcmp(digits, text);
}

/* [::] takes packets of both families, unless it was told otherwise, which does not show here. */
static bool takes(const char *digits, const struct wanted *wanted)
{
	return strspn(digits, "0") == strlen(digits) || is_address(digits, wanted->vip);
}

static bool in_table(const struct subject *subject, const char *table, const struct wanted *wanted)
{
	char path[PATH_MAX], line[512], address[40], state[4];
	bool found = false;
	unsigned int port;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/net/%s", subject->root, table);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, " %*d: %39[0-9A-F]:%x %*[0-9A-F]:%*x %3s", address, &port,
			       state) == 3 &&
			port == wanted->port && !strcmp(state, wanted->state) &&
			takes(address, wanted);
	fclose(file);
	return found;
}

static bool listens(const struct subject *subject, const char *protocol, const char *vip,
		    unsigned int port)
{
	bool udp = !strcmp(protocol, "udp");
	struct wanted wanted = {vip, port, udp ? STATE_UNCONNECTED : STATE_LISTEN};

	return (!strchr(vip, ':') && in_table(subject, udp ? "udp" : "tcp", &wanted)) ||
	       in_table(subject, udp ? "udp6" : "tcp6", &wanted);
}

void check_listener(const struct subject *subject, struct findings *findings)
{
	json_t *service;
	size_t i;

	json_array_foreach (json_object_get(subject->plan, "services"), i, service) {
		const char *protocol = json_string_value(json_object_get(service, "protocol"));
		const char *address = json_string_value(json_object_get(service, "address"));
		const char *vip = json_string_value(json_object_get(service, "vip"));
		int port = (int)json_integer_value(json_object_get(service, "port"));

		if (!port) {
			saw(findings, RESULT_SKIPPED, "%s: any port may be served", address);
		} else if (listens(subject, protocol, vip, (unsigned int)port)) {
			saw(findings, RESULT_OK, "%s/%s: somebody listens", address, protocol);
		} else {
			saw(findings, RESULT_WRONG,
			    "%s/%s: nobody listens on it, nor on all addresses", address, protocol);
			mend(findings, "ss -lnp%s 'sport = %d'; systemctl start APPLICATION",
			     !strcmp(protocol, "udp") ? "u" : "t", port);
		}
	}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_SKIPPED, "there is no service");
}
