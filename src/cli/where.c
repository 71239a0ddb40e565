/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll where`: which backend a flow has, or would get if it began now, and why. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "choose.h"
#include "cli/answer.h"
#include "cli/chooser.h"
#include "cli/commands.h"
#include "cli/decision.h"
#include "log.h"

enum { CLIENT, SERVICE, JSON, INSTANCE };

const struct option_row where_options[] = {
	[CLIENT] = {"CLIENT:PORT", NULL, "the client's end of the connection, as 10.1.0.201:40000",
		    COMPLETE_NOTHING, true},
	[SERVICE] = {"SERVICE", NULL, "by its name or address; of one of every port with :PORT",
		     COMPLETE_SERVICE, true},
	[JSON] = {"--json", NULL, "for machines; errors too", COMPLETE_NOTHING, false},
	[INSTANCE] = {"--instance", "NAME", "which balancer; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	{0},
};

/* What is drawn anew for each flow cannot be told before. */
static bool is_drawn(const struct service *service)
{
	return service->policy == POLICY_RANDOM || service->policy == POLICY_WEIGHTED_RANDOM;
}

static void print_place(const struct kernel *kernel, const struct known_service *service,
			const struct flow_place *place)
{
	char text[ADDRESS_TEXT_MAX];

	if (place->known && !place->closing) {
		printf("%s has it: flow known\n",
		       kernel_backend_text(kernel, place->backend, text));
		return;
	}
	if (place->backend == BACKEND_NONE)
		fputs("none would get it: the service has no backend that could take it; ", stdout);
	else
		printf("%s %s get it: ", kernel_backend_text(kernel, place->backend, text),
		       is_drawn(&service->service) ? "might" : "would");
	decision_describe(stdout, kernel, &service->service, &place->decision, place->backend,
			  true);
	puts(place->closing ? " (what it had, the client has ended)" : "");
}

static void print_place_json(const struct kernel *kernel, const struct known_service *service,
			     const struct endpoint *client, const struct flow_place *place)
{
	char text[ENDPOINT_TEXT_MAX];
	json_t *object = json_object();

	json_object_set_new(object, "client", json_string(endpoint_format(client, text)));
	json_object_set_new(object, "service", json_string(service->name));
	json_object_set_new(object, "ended", json_boolean(place->closing));
	json_object_set_new(object, "by_chance", json_boolean(is_drawn(&service->service)));
	decision_json(object, kernel, &service->service, &place->decision, place->backend, true);
	answer_print(object, JSON_INDENT(2));
	json_decref(object);
}

/* With the port, without which a flow is none. */
static int find_service(const struct kernel *kernel, const char *wanted, bool json,
			struct known_service *service)
{
	int err = kernel_find_service(kernel, wanted, json, service);

	if (err || service->key.port)
		return err;
	answer_fail(json, "%s serves every port; say which, as %s:8080", service->name,
		    service->name);
	return -ENOENT;
}

/* A client of one family cannot reach an address of the other. */
static int check_family(const struct known_service *service, const struct endpoint *client,
			bool json)
{
	bool ipv4 = address_is_ipv4(service->key.address);

	if (address_is_ipv4(client->address) == ipv4)
		return 0;
	answer_fail(json, "%s is reached by IPv%d, and that client is one of IPv%d", service->name,
		    ipv4 ? 4 : 6, ipv4 ? 6 : 4);
	return -EAFNOSUPPORT;
}

static int where(const char **values, const struct endpoint *client)
{
	bool json = values[JSON];
	char instance[INSTANCE_NAME_MAX];
	struct known_service service;
	struct flow_place place;
	struct kernel kernel;
	int err;

	if (answer_instance(json, values[INSTANCE], instance) ||
	    kernel_open(&kernel, instance, json))
		return EXIT_FAILURE;
	err = find_service(&kernel, values[SERVICE], json, &service);
	if (!err)
		err = check_family(&service, client, json);
	if (err)
		goto out;
	err = chooser_ask(&kernel, &service, client, &place);
	if (err)
		answer_fail(json, "cannot read the data path of instance %s: %s", instance,
			    strerror(-err));
	else if (json)
		print_place_json(&kernel, &service, client, &place);
	else
		print_place(&kernel, &service, &place);
out:
	kernel_close(&kernel);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int where_command(int argc, char **argv)
{
	const char *values[OPTIONS_MAX];
	struct endpoint client;

	if (options_parse(where_options, argc, argv, values))
		return EXIT_USAGE;
	if (endpoint_parse(values[CLIENT], &client)) {
		log_error("\"%s\" is no end of a connection: an address and a port, as "
			  "10.1.0.201:40000, is",
			  values[CLIENT]);
		return EXIT_USAGE;
	}
	return answer_end(where(values, &client));
}
