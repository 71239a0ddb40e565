/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `plimsoll load`: what an application says of its own load, for what the kernel cannot see. It is
 * written into the map from which the server's reports are filled, with a time until which it
 * holds: an exporter that dies is forgotten.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "clock.h"
#include "config/values.h"
#include "log.h"
#include "shared.h"

#define SECOND 1000000000ULL
#define HOLDS_NS (5 * SECOND)

enum { SERVICE, VALUE, FOR, INSTANCE, JSON };

const struct option_row load_options[] = {
	[SERVICE] = {"SERVICE", NULL, "by its name or its address, as in server.yaml",
		     COMPLETE_SERVICE, true},
	[VALUE] = {"VALUE", NULL, "from 0 to 1; reports bear it in place of the CPU's utilisation",
		   COMPLETE_NOTHING, true},
	[FOR] = {"--for", "TIME", "how long that holds unless it is said again; 5s if absent",
		 COMPLETE_NOTHING, false},
	[INSTANCE] = {"--instance", "NAME", "which server, where several run on one kernel",
		      COMPLETE_INSTANCE, false},
	[JSON] = {"--json", NULL, "what has been told, for machines; errors too", COMPLETE_NOTHING,
		  false},
	{0},
};

struct request {
	const char *instance;
	const char *service;
	bool json;
	double value;
	uint64_t holds_ns;
};

static int refuse(const char *text, const char *what)
{
	log_error("\"%s\" is no %s; see \"plimsoll load --help\"", text, what);
	return EXIT_USAGE;
}

static int parse_value(const char *text, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	if (end == text || *end || errno || !(*value >= 0 && *value <= 1))
		return refuse(text, "load: a number from 0 to 1, such as 0.7, is");
	return 0;
}

static int parse_time(const char *text, uint64_t *time_ns)
{
	static const struct field time = {
		.min = SECOND / 1000,
		.max = 3600 * SECOND,
		.size = sizeof(uint64_t),
	};

	if (parse_duration(&time, text, time_ns))
		return refuse(text, "time: one with its unit from 1ms to 3600s, such as 10s, is");
	return 0;
}

static int parse_request(int argc, char **argv, struct request *request)
{
	const char *values[OPTIONS_MAX];

	if (options_parse(load_options, argc, argv, values))
		return EXIT_USAGE;
	request->instance = values[INSTANCE];
	request->service = values[SERVICE];
	request->json = values[JSON];
	request->holds_ns = HOLDS_NS;
	if (values[FOR] && parse_time(values[FOR], &request->holds_ns))
		return EXIT_USAGE;
	return parse_value(values[VALUE], &request->value);
}

/* By its name or its address, among those that the server's daemon has. */
static int find_service(const struct request *request, const json_t *status,
			struct service_key *key)
{
	const json_t *services = json_object_get(status, "services");
	const json_t *service = show_find(services, request->service);
	const char *address = json_string_value(json_object_get(service, "address"));
	struct endpoint endpoint;
	char *names;

	if (address && !endpoint_parse(address, &endpoint)) {
		*key = (struct service_key){
			.address = endpoint.address,
			.port = htons(endpoint.port),
			.protocol = IPPROTO_TCP,
		};
		return 0;
	}
	names = show_names(services);
	answer_fail(request->json, "there is no service \"%s\" on this server; there are: %s",
		    request->service, names && *names ? names : "none");
	free(names);
	return -ENOENT;
}

/*
 * A report speaks for all services of the server: the highest of their values stands as long as it
 * holds, and a lower one gets its turn when it is said again afterwards.
 */
static int write_application(int map, const struct application *told)
{
	struct application held;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(map, &zero, &held))
		return -errno;
	if (now_ns() < held.until_ns && held.utilisation > told->utilisation &&
	    memcmp(&held.service, &told->service, sizeof(held.service)))
		return 0;
	return bpf_map_update_elem(map, &zero, told, BPF_ANY) ? -errno : 0;
}

static int tell(const struct request *request, const char *instance, const json_t *status)
{
	const char *pins = json_string_value(json_object_get(status, "pins"));
	struct application told = {
		.until_ns = now_ns() + request->holds_ns,
		.utilisation = (uint32_t)(request->value * 65535 + 0.5),
	};
	char path[PATH_MAX];
	int err, map;

	if (!pins) {
		answer_fail(request->json,
			    "instance %s is no server; a load is told on the server where the "
			    "application runs",
			    instance);
		return -EINVAL;
	}
	err = find_service(request, status, &told.service);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/application", pins);
	map = bpf_obj_get(path);
	err = map < 0 ? map : write_application(map, &told);
	if (err)
		answer_fail(request->json, "%s: cannot write the load: %s", path, strerror(-err));
	if (map >= 0)
		close(map);
	return err;
}

static void print_told(const struct request *request)
{
	json_t *answer =
		json_pack("{s:s, s:f, s:f}", "service", request->service, "load", request->value,
			  "holds_seconds", (double)request->holds_ns / (double)SECOND);

	answer_print(answer, JSON_INDENT(2));
	json_decref(answer);
}

int load_command(int argc, char **argv)
{
	char instance[INSTANCE_NAME_MAX];
	struct request request = {0};
	json_t *status;
	int err;

	err = parse_request(argc, argv, &request);
	if (err)
		return err;
	if (answer_instance(request.json, request.instance, instance))
		return EXIT_FAILURE;
	status = answer_get(request.json, instance, STATUS_PATH);
	if (!status)
		return EXIT_FAILURE;
	err = tell(&request, instance, status);
	json_decref(status);
	if (!err && request.json)
		print_told(&request);
	return answer_end(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
