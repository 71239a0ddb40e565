/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/status.h"

#include <arpa/inet.h>

#include "clock.h"
#include "identity.h"
#include "json.h"
#include "server.skel.h"
#include "server_load.h"

static json_t *load_json(const struct metrics *metrics, const struct application *application,
			 const struct server_stats *stats)
{
	uint64_t now = now_ns();
	json_t *object = json_object();
	double left = (double)penalty_left(metrics->penalty, now);

	json_set_integer(object, "in_flight",
			 metrics->in_flight > 0 ? (uint64_t)metrics->in_flight : 0);
	json_set_real(object, "penalty", left / (1 << PENALTY_ONE_SHIFT));
	json_set_real(object, "utilisation", metrics->utilisation / 65535.0);
	json_object_set_new(object, "application",
			    now < application->until_ns ?
				    json_real(application->utilisation / 65535.0) :
				    json_null());
	json_set_integer(object, "latency_us", latency_now_us(metrics, now));
	json_set_real(object, "accept_queue", metrics->accept_queue / 65535.0);
	json_set_integer(object, "requests", stats->requests);
	json_set_integer(object, "connections", stats->connections);
	json_set_integer(object, "resets", stats->resets);
	json_set_integer(object, "evicted", metrics->evicted);
	json_set_integer(object, "swept", metrics->swept);
	return object;
}

static void set_age(json_t *object, const char *key, uint64_t then_ns)
{
	uint64_t now = now_ns();

	if (!then_ns)
		json_object_set_new(object, key, json_null());
	else
		json_set_real(object, key, now > then_ns ? (double)(now - then_ns) / 1e6 : 0);
}

static json_t *balancers_json(const struct server_dataplane *dataplane)
{
	json_t *array = json_array();

	for (size_t i = 0; i < dataplane->config->balancer_count; i++) {
		const struct peer *peer = server_dataplane_peer(dataplane, i);
		char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX];
		json_t *object = json_object();

		address_format(dataplane->config->balancers[i], address);
		json_object_set_new(object, "address", json_string(address));
		json_object_set_new(object, "mac",
				    peer->mac_known ? json_string(mac_format(peer->mac, mac)) :
						      json_null());
		set_age(object, "heard_age_ms", peer->heard_ns);
		set_age(object, "report_age_ms", peer->reported_ns);
		json_set_integer(object, "connections_seen", peer->connections_seen);
		json_set_integer(object, "reports", peer->reports);
		json_set_integer(object, "report_bytes", peer->report_bytes);
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *responses_json(const struct server_stats *stats)
{
	json_t *object = json_object();

	json_set_integer(object, "packets", stats->response_packets);
	json_set_integer(object, "bytes", stats->response_bytes);
	return object;
}

static json_t *tunnel_json(const struct server_stats *stats)
{
	json_t *object = json_object();

	json_set_integer(object, "packets", stats->tunnel_packets);
	json_set_integer(object, "refused", stats->tunnel_refused);
	return object;
}

static json_t *carriers_json(const struct server_stats *stats)
{
	static const char *const names[] = {
#define SKIP_NAME(symbol, name, sentence) name,
		SKIPS(SKIP_NAME)
#undef SKIP_NAME
	};
	json_t *object = json_object();

	for (uint32_t i = 0; i < SKIP_COUNT; i++)
		json_set_integer(object, names[i], stats->skips[i]);
	return object;
}

json_t *server_status_json(void *context)
{
	const struct server_status *status = context;
	const struct server_dataplane *dataplane = status->dataplane;
	json_t *object = json_object(), *interface = json_object(), *interfaces = json_array();
	struct server_stats stats;

	(void)server_dataplane_stats(dataplane, &stats);
	json_object_set_new(interface, "name", json_string(dataplane->config->interfaces[0]));
	json_array_append_new(interfaces, interface);
	json_object_set_new(object, "role", json_string("server"));
	json_object_set_new(object, "instance", json_string(dataplane->runtime->name));
	json_object_set_new(object, "pins", json_string(dataplane->runtime->pins));
	json_object_set_new(object, "version", json_string(PLIMSOLL_VERSION));
	json_set_real(object, "uptime_seconds", (double)(now_ns() - status->started_ns) / 1e9);
	json_object_set_new(object, "interfaces", interfaces);
	json_object_set_new(object, "keyed", json_boolean(dataplane->config->keyed));
	json_object_set_new(object, "services", identity_services(dataplane->config));
	json_object_set_new(object, "load",
			    load_json(dataplane->metrics, dataplane->application, &stats));
	json_object_set_new(object, "balancers", balancers_json(dataplane));
	json_object_set_new(object, "responses", responses_json(&stats));
	json_object_set_new(object, "tunnel", tunnel_json(&stats));
	json_object_set_new(object, "carriers", carriers_json(&stats));
	return object;
}
