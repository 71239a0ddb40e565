/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "identity.h"

json_t *identity_services(const struct config *config)
{
	json_t *array = json_array();

	for (size_t i = 0; i < config->service_count; i++) {
		const struct service_config *service = &config->services[i];
		char text[ENDPOINT_TEXT_MAX];

		json_array_append_new(array,
				      json_pack("{s:s,s:s,s:s}", "name", service->name, "address",
						endpoint_format(&service->address, text),
						"protocol", protocol_name(service->protocol)));
	}
	return array;
}

void identity_answer(const struct daemon *daemon, struct http_request *request)
{
	http_send_json(request, HTTP_OK,
		       json_pack("{s:s,s:s,s:s,s:o}", "role", daemon->verb, "instance",
				 daemon->runtime.name, "version", PLIMSOLL_VERSION, "services",
				 identity_services(daemon->config)));
}
