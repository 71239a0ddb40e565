/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/status.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "balancer.skel.h"
#include "choose.h"
#include "clock.h"
#include "json.h"
#include "load_report.h"

#define NS_PER_SECOND 1e9

struct sample {
	uint64_t time_ns;
	struct backend_stats *stats; /* by member, all services' one after another */
};

struct status {
	const struct dataplane *dataplane;
	const struct poller *poller; /* NULL: nobody is polled */
	uint64_t started_ns;
	size_t member_count;
	struct sample samples[STATUS_SAMPLES]; /* a ring */
	size_t newest;
};

struct status *status_open(const struct dataplane *dataplane)
{
	struct status *status = calloc(1, sizeof(*status));

	if (!status)
		return NULL;
	status->dataplane = dataplane;
	status->started_ns = now_ns();
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		status->member_count += dataplane->config->services[i].backend_count;
	for (size_t i = 0; i < STATUS_SAMPLES; i++) {
		status->samples[i].stats =
			calloc(status->member_count + 1, sizeof(struct backend_stats));
		if (!status->samples[i].stats) {
			status_close(status);
			return NULL;
		}
	}
	for (size_t i = 0; i < STATUS_SAMPLES; i++)
		status_sample(status);
	return status;
}

void status_polls(struct status *status, const struct poller *poller)
{
	status->poller = poller;
}

void status_close(struct status *status)
{
	if (!status)
		return;
	for (size_t i = 0; i < STATUS_SAMPLES; i++)
		free(status->samples[i].stats);
	free(status);
}

void status_sample(struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;
	int map = bpf_map__fd(dataplane->bpf->maps.backend_stats);
	struct sample *sample;
	size_t k = 0;

	status->newest = (status->newest + 1) % STATUS_SAMPLES;
	sample = &status->samples[status->newest];
	sample->time_ns = now_ns();
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		for (size_t j = 0; j < dataplane->services[i].config->backend_count; j++, k++)
			percpu_sum(map, dataplane->services[i].members[j].index,
				   (uint64_t *)&sample->stats[k],
				   sizeof(struct backend_stats) / sizeof(uint64_t));
}

/* A member's totals, and the connections of the latest stretch. */
struct traffic {
	struct backend_stats total;
	uint64_t recent;
	double per_second;
};

static struct traffic traffic_of(const struct status *status, size_t k)
{
	const struct sample *newest = &status->samples[status->newest];
	const struct sample *oldest = &status->samples[(status->newest + 1) % STATUS_SAMPLES];
	double seconds = (double)(newest->time_ns - oldest->time_ns) / NS_PER_SECOND;
	struct traffic traffic = {.total = newest->stats[k]};

	traffic.recent = newest->stats[k].connections - oldest->stats[k].connections;
	traffic.per_second = seconds > 0 ? (double)traffic.recent / seconds : 0;
	return traffic;
}

static void set_unknown(json_t *object, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(object, *keys, json_null());
}

static void set_load(json_t *object, const struct load *load, uint64_t stale_after_ns)
{
	static const char *const measured[] = {"in_flight",    "utilisation",	"latency_us",
					       "accept_queue", "report_age_ms", NULL};
	struct load copy = *load;
	uint64_t now = now_ns();

	if (copy.received_ns) {
		json_set_integer(object, "in_flight", copy.in_flight);
		json_set_real(object, "utilisation", copy.utilisation / 65535.0);
		json_set_integer(object, "latency_us", load_report_float_decode(copy.latency));
		json_set_real(object, "accept_queue", copy.accept_queue / 65535.0);
		/* A report may have come between the copy and the clock. */
		json_set_real(object, "report_age_ms",
			      now > copy.received_ns ? (double)(now - copy.received_ns) / 1e6 : 0);
	} else {
		set_unknown(object, measured);
	}
	json_object_set_new(
		object, "known",
		json_boolean(copy.received_ns && load_known(&copy, now, stale_after_ns)));
	json_set_integer(object, "reports", copy.reports);
	/* Without a single report, nothing says what has arrived. */
	json_set_integer(object, "pending", copy.received_ns ? load_pending(&copy) : 0);
}

static void set_polls(json_t *object, const struct poll_counts *counts)
{
	json_set_integer(object, "polls", counts->polls);
	json_set_integer(object, "poll_answers", counts->answers);
	json_set_integer(object, "poll_answers_late", counts->late);
	json_set_integer(object, "poll_answers_refused", counts->refused);
}

static json_t *member_json(const struct status *status, const struct balanced_service *service,
			   const struct member *member, const struct traffic *traffic,
			   uint64_t service_recent)
{
	const struct backend_config *config = member->config;
	char text[INET_ADDRSTRLEN > MAC_TEXT_MAX ? INET_ADDRSTRLEN : MAC_TEXT_MAX];
	struct poll_counts polls = poll_counts_of(status->poller, service->config, config->address);
	json_t *object = json_object();

	json_object_set_new(object, "address", json_string(address_format(config->address, text)));
	json_set_integer(object, "weight", config->weight);
	json_set_real(object, "weight_in_force", (double)member->weight / WEIGHT_ONE);
	json_object_set_new(object, "forward", json_string("l2"));
	json_object_set_new(object, "state",
			    json_string(member->neighbour.resolved ? "up" : "no-neighbour"));
	json_object_set_new(object, "mac",
			    member->neighbour.resolved ?
				    json_string(mac_format(member->neighbour.mac, text)) :
				    json_null());
	set_load(object, &status->dataplane->loads[member->server],
		 service->config->stale_after_ns);
	set_polls(object, &polls);
	json_set_real(object, "share",
		      service_recent ? (double)traffic->recent / (double)service_recent : 0);
	json_set_integer(object, "connections", traffic->total.connections);
	json_set_real(object, "connections_per_second", traffic->per_second);
	json_set_integer(object, "packets", traffic->total.packets);
	json_set_integer(object, "bytes", traffic->total.bytes);
	return object;
}

/* first: where the service's members begin in the samples. */
static json_t *members_json(const struct status *status, const struct balanced_service *service,
			    size_t first, uint64_t recent)
{
	json_t *array = json_array();

	for (size_t i = 0; i < service->config->backend_count; i++) {
		struct traffic traffic = traffic_of(status, first + i);

		json_array_append_new(array, member_json(status, service, &service->members[i],
							 &traffic, recent));
	}
	return array;
}

static json_t *service_json(const struct status *status, const struct balanced_service *service,
			    size_t first)
{
	const struct service_config *config = service->config;
	struct traffic sum = {0};
	char text[ENDPOINT_TEXT_MAX];
	json_t *object = json_object();

	for (size_t i = 0; i < config->backend_count; i++) {
		struct traffic traffic = traffic_of(status, first + i);

		sum.total.connections += traffic.total.connections;
		sum.total.packets += traffic.total.packets;
		sum.total.bytes += traffic.total.bytes;
		sum.recent += traffic.recent;
		sum.per_second += traffic.per_second;
	}
	json_object_set_new(object, "name", json_string(config->name));
	json_object_set_new(object, "address",
			    json_string(endpoint_format(&config->address, text)));
	json_object_set_new(object, "protocol", json_string("tcp"));
	json_object_set_new(object, "policy", json_string(policy_name(config->policy)));
	json_set_integer(object, "choices", config->choices);
	json_object_set_new(object, "signal", json_string(signal_name(config->signal)));
	json_object_set_new(object, "feedback", json_string(feedback_name(config->feedback)));
	json_set_integer(object, "connections", sum.total.connections);
	json_set_real(object, "connections_per_second", sum.per_second);
	json_set_integer(object, "packets", sum.total.packets);
	json_set_integer(object, "bytes", sum.total.bytes);
	json_object_set_new(object, "backends", members_json(status, service, first, sum.recent));
	return object;
}

static json_t *services_json(const struct status *status)
{
	const struct dataplane *dataplane = status->dataplane;
	json_t *array = json_array();
	size_t first = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		json_array_append_new(array, service_json(status, &dataplane->services[i], first));
		first += dataplane->services[i].config->backend_count;
	}
	return array;
}

static json_t *interfaces_json(const struct dataplane *dataplane)
{
	json_t *array = json_array();

	for (size_t i = 0; i < dataplane->interface_count; i++) {
		json_t *object = json_object();

		json_object_set_new(object, "name", json_string(dataplane->interfaces[i].name));
		json_object_set_new(
			object, "xdp_mode",
			json_string(dataplane->interfaces[i].native ? "native" : "generic"));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *counters_json(const struct dataplane *dataplane)
{
	static const char *const names[] = {
#define VERDICT_NAME(symbol, name, action, sentence) name,
		VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
	};
	int map = bpf_map__fd(dataplane->bpf->maps.verdicts);
	json_t *object = json_object();
	uint64_t count;

	/* VERDICT_NONE, "not decided", never happens to a packet. */
	for (uint32_t i = 1; i < VERDICT_COUNT; i++)
		if (!percpu_sum(map, i, &count, 1))
			json_set_integer(object, names[i], count);
	return object;
}

json_t *status_json(void *context)
{
	const struct status *status = context;
	const struct dataplane *dataplane = status->dataplane;
	json_t *object = json_object(), *flows = json_object();

	json_object_set_new(object, "role", json_string("balancer"));
	json_object_set_new(object, "instance", json_string(dataplane->runtime->name));
	json_object_set_new(object, "version", json_string(PLIMSOLL_VERSION));
	json_set_real(object, "uptime_seconds",
		      (double)(now_ns() - status->started_ns) / NS_PER_SECOND);
	json_object_set_new(object, "interfaces", interfaces_json(dataplane));
	json_object_set_new(object, "keyed", json_boolean(dataplane->config->keyed));
	json_set_integer(flows, "capacity", dataplane->flow_buckets * BUCKET_SLOTS);
	json_set_integer(flows, "used", dataplane_count_flows(dataplane));
	json_object_set_new(object, "flows", flows);
	json_object_set_new(object, "services", services_json(status));
	json_set_integer(object, "poll_strangers", poll_strangers(status->poller));
	json_object_set_new(object, "counters", counters_json(dataplane));
	return object;
}
