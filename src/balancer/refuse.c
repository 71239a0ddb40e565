/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/refuse.h"

#include <stdio.h>
#include <string.h>

#include "balancer/status_private.h"

#define NAMED_MAX 8 /* of thousands nobody reads */

struct names {
	char text[1024];
	size_t used, count;
};

static void add_name(struct names *names, const char *name)
{
	if (++names->count > NAMED_MAX || names->used >= sizeof(names->text))
		return;
	names->used +=
		(size_t)snprintf(names->text + names->used, sizeof(names->text) - names->used,
				 "%s%s", names->count > 1 ? ", " : "", name);
}

/* " and 12 more", or nothing. */
static const char *more(const struct names *names, char text[32])
{
	text[0] = '\0';
	if (names->count > NAMED_MAX)
		snprintf(text, 32, " and %zu more", names->count - NAMED_MAX);
	return text;
}

void refuse_service(struct http_request *request, const struct status *status, const char *service)
{
	const struct config *config = status->dataplane->config;
	struct names names = {.text = ""};
	char rest[32];

	for (size_t i = 0; i < config->service_count; i++)
		add_name(&names, config->services[i].name);
	http_send_error(request, HTTP_NOTFOUND, "there is no service \"%s\"; there are: %s%s",
			service, names.text, more(&names, rest));
}

void refuse_backend(struct http_request *request, const struct status *status, const char *service,
		    const char *backend)
{
	struct names names = {.text = ""};
	const struct service_config *config;
	char address[ADDRESS_TEXT_MAX], rest[32];
	size_t i, j;

	if (status_find(status, backend, service, &i, &j)) {
		http_send_error(request, HTTP_NOTFOUND,
				"\"%s\" is a service and \"%s\" a backend of it: the service comes "
				"first",
				backend, service);
		return;
	}
	if (!status_find_service(status, service, &i)) {
		refuse_service(request, status, service);
		return;
	}
	config = &status->dataplane->config->services[i];
	for (j = 0; j < config->backend_count; j++)
		add_name(&names, address_format(config->backends[j].address, address));
	http_send_error(request, HTTP_NOTFOUND,
			"there is no backend \"%s\" of a service \"%s\"; it has: %s%s", backend,
			service, names.text, more(&names, rest));
}
