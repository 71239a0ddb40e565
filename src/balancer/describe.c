/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A service, a backend and a server as JSON. */
#include <arpa/inet.h>

#include "balancer/checks.h"
#include "balancer/status.h"
#include "balancer/status_private.h"
#include "balancer/watch.h"
#include "choose.h"
#include "clock.h"
#include "config/compare.h"
#include "json.h"
#include "load_report.h"

static void set_unknown(json_t *object, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(object, *keys, json_null());
}

/* What the server said last; nulls if nothing. */
static void set_load(json_t *object, const struct load *load)
{
	static const char *const measured[] = {"in_flight",    "utilisation",	"latency_us",
					       "accept_queue", "report_age_ms", NULL};
	struct load copy = *load;
	uint64_t now = now_ns();

	if (!copy.received_ns) {
		set_unknown(object, measured);
		return;
	}
	json_set_integer(object, "in_flight", copy.in_flight);
	json_set_real(object, "utilisation", copy.utilisation / 65535.0);
	json_set_integer(object, "latency_us", load_report_float_decode(copy.latency));
	json_set_real(object, "accept_queue", copy.accept_queue / 65535.0);
	/* A report may have come between the copy and the clock. */
	json_set_real(object, "report_age_ms",
		      now > copy.received_ns ? (double)(now - copy.received_ns) / 1e6 : 0);
}

static void set_feedback(json_t *object, const struct load *load, uint64_t stale_after_ns)
{
	struct load copy = *load;

	json_object_set_new(
		object, "known",
		json_boolean(copy.received_ns && load_known(&copy, now_ns(), stale_after_ns)));
	json_set_integer(object, "reports", copy.reports);
	/* Without a single report, nothing says what has arrived. */
	json_set_integer(object, "pending", copy.received_ns ? load_pending(&copy) : 0);
}

bool reports_expected(const struct service_config *service)
{
	return service->feedback == FEEDBACK_POLL ||
	       (service->feedback == FEEDBACK_IN_BAND && service->protocol == IPPROTO_TCP);
}

const char *load_cause(const struct status *status, const struct balanced_service *service,
		       const struct member *member)
{
	struct load load = status->dataplane->loads[member->server];

	if (service->config->feedback == FEEDBACK_NONE)
		return NULL;
	if (!load_known(&load, now_ns(), service->config->stale_after_ns) &&
	    !reports_expected(service->config))
		return "answers in UDP, which bears no reports: counts as the mean of the others";
	if (!load.received_ns)
		return "has not reported its load yet: counts as the mean of the others";
	if (!load_known(&load, now_ns(), service->config->stale_after_ns))
		return "has not reported its load for longer than stale_after: counts as the mean "
		       "of the others";
	return NULL;
}

static void set_health(json_t *object, const struct status *status,
		       const struct balanced_service *service, const struct member *member)
{
	const struct health *evidence = &status->dataplane->healths[member->index];
	const char *load = load_cause(status, service, member);
	char check[CHECK_TEXT_MAX], text[32];
	struct tm since;

	json_object_set_new(object, "state", json_string(health_state_name(member->health.state)));
	json_object_set_new(object, "cause", json_string(member->health.cause));
	gmtime_r(&member->health.since, &since);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &since);
	json_object_set_new(object, "since", json_string(text));
	json_object_set_new(object, "check",
			    member->health.check ?
				    json_string(check_describe(member->health.check, check)) :
				    json_null());
	json_object_set_new(object, "check_result",
			    member->health.check ?
				    json_string(check_record_of(member->health.check)->result) :
				    json_null());
	json_set_integer(object, "unanswered", evidence->unanswered);
	json_set_integer(object, "moved", evidence->moved);
	json_set_integer(object, "handshake_us", evidence->handshake_us);
	json_object_set_new(object, "load_cause", load ? json_string(load) : json_null());
}

static void set_polls(json_t *object, const struct poll_counts *counts)
{
	json_set_integer(object, "polls", counts->polls);
	json_set_integer(object, "poll_answers", counts->answers);
	json_set_integer(object, "poll_answers_late", counts->late);
	json_set_integer(object, "poll_answers_refused", counts->refused);
}

/* What has been changed by hand and is not what the file says. */
static json_t *changed_json(const struct member *member)
{
	json_t *array = json_array();

	if (member->config->leaving) {
		if (member->file)
			json_array_append_new(array, json_string("removed"));
		return array;
	}
	if (!member->file)
		json_array_append_new(array, json_string("added"));
	if (member->file && member->config->weight != member->file->weight)
		json_array_append_new(array, json_string("weight"));
	if (member->config->draining != (member->file && member->file->draining))
		json_array_append_new(array, json_string("draining"));
	return array;
}

static json_t *member_json(const struct status *status, const struct balanced_service *service,
			   const struct member *member, size_t k, uint64_t service_recent)
{
	struct traffic traffic = traffic_of(status, k);
	const struct backend_config *config = member->config;
	char text[ADDRESS_TEXT_MAX > MAC_TEXT_MAX ? ADDRESS_TEXT_MAX : MAC_TEXT_MAX];
	struct poll_counts polls = poll_counts_of(status->poller, service->config, config->address);
	const struct load *load = &status->dataplane->loads[member->server];
	json_t *object = json_object();

	json_object_set_new(object, "address", json_string(address_format(config->address, text)));
	json_set_integer(object, "weight", member->config->weight);
	json_set_real(object, "weight_in_force", (double)member_weight(member) / WEIGHT_ONE);
	json_object_set_new(object, "forward", json_string(forward_name(config->forward)));
	set_health(object, status, service, member);
	json_object_set_new(object, "changed", changed_json(member));
	json_object_set_new(object, "leaving", json_boolean(member->config->leaving));
	json_object_set_new(object, "mac",
			    member->neighbour.resolved ?
				    json_string(mac_format(member->neighbour.mac, text)) :
				    json_null());
	set_load(object, load);
	set_feedback(object, load, service->config->stale_after_ns);
	json_set_integer(object, "reports_by_old_key",
			 dataplane_old_key_reports(status->dataplane, member->server));
	set_polls(object, &polls);
	json_set_real(object, "share",
		      service_recent ? (double)traffic.recent / (double)service_recent : 0);
	json_set_integer(object, "connections", traffic.total.connections);
	json_set_integer(object, "open_connections", status_open_connections(status, member));
	json_object_set_new(object, "drained", json_boolean(watch_drained(status->watch, k)));
	json_set_real(object, "connections_per_second", traffic.per_second);
	json_set_integer(object, "packets", traffic.total.packets);
	json_set_integer(object, "bytes", traffic.total.bytes);
	return object;
}

/* first: where the service's members begin in the samples. */
static json_t *members_json(const struct status *status, const struct balanced_service *service,
			    size_t first, uint64_t recent)
{
	json_t *array = json_array();

	for (size_t i = 0; i < service->config->backend_count; i++)
		json_array_append_new(array, member_json(status, service, &service->members[i],
							 first + i, recent));
	return array;
}

/* Those that the file has and that were removed by hand; leaving or gone. */
static json_t *removed_json(const struct status *status, const struct service_config *service)
{
	const struct service_config *file =
		config_find_service(status->dataplane->file, service, 0);
	json_t *array = json_array();
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; file && i < file->backend_count; i++) {
		const struct backend_config *backend =
			service_find_backend(service, file->backends[i].address, i);

		if (!backend || backend->leaving)
			json_array_append_new(array, json_string(address_format(
							     file->backends[i].address, text)));
	}
	return array;
}

json_t *describe_service(const struct status *status, size_t i, size_t first)
{
	const struct balanced_service *service = &status->dataplane->services[i];
	const struct service_config *config = service->config;
	struct traffic sum = traffic_of_service(status, i, first);
	char text[ENDPOINT_TEXT_MAX];
	json_t *object = json_object();

	json_object_set_new(object, "name", json_string(config->name));
	json_object_set_new(object, "address",
			    json_string(endpoint_format(&config->address, text)));
	json_object_set_new(object, "protocol", json_string(protocol_name(config->protocol)));
	json_object_set_new(object, "policy", json_string(policy_name(config->policy)));
	json_set_integer(object, "choices", config->choices);
	json_object_set_new(object, "signal", json_string(signal_name(config->signal)));
	json_object_set_new(object, "feedback", json_string(feedback_name(config->feedback)));
	json_set_integer(object, "connections", sum.total.connections);
	json_set_real(object, "connections_per_second", sum.per_second);
	json_set_integer(object, "packets", sum.total.packets);
	json_set_integer(object, "bytes", sum.total.bytes);
	json_object_set_new(object, "removed", removed_json(status, config));
	json_object_set_new(object, "leaving", json_boolean(config->leaving));
	json_object_set_new(object, "backends", members_json(status, service, first, sum.recent));
	return object;
}

json_t *describe_backend(const struct status *status, size_t i, size_t first, size_t j)
{
	const struct balanced_service *service = &status->dataplane->services[i];
	struct traffic sum = traffic_of_service(status, i, first);

	return member_json(status, service, &service->members[j], first + j, sum.recent);
}

void describe_backends(const struct status *status, size_t i, size_t first, json_t *array)
{
	const struct balanced_service *service = &status->dataplane->services[i];

	for (size_t j = 0; j < service->config->backend_count; j++) {
		json_t *object = describe_backend(status, i, first, j);

		json_object_set_new(object, "service", json_string(service->config->name));
		json_array_append_new(array, object);
	}
}

json_t *describe_load(const struct status *status, const struct member *member)
{
	const struct load *load = &status->dataplane->loads[member->server];
	char text[ADDRESS_TEXT_MAX];
	json_t *object = json_object();

	json_object_set_new(object, "address",
			    json_string(address_format(member->config->address, text)));
	set_load(object, load);
	json_set_integer(object, "reports", load->reports);
	json_set_integer(object, "pending", load->received_ns ? load_pending(load) : 0);
	json_set_integer(object, "connections_sent", load->connections_sent);
	return object;
}
