/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the daemon counts: two looks at its status, and what has risen in between. A counter that stands still is
 * the past: it is told, and no longer wrong.
 */
#include <stdio.h>
#include <string.h>

#include "doctor/checks.h"

#define OLD_REPORTS_FEW 10
#define FULL_SHARE 0.8 /* of the flow table, as the alert has it */

static bool is_watched(const struct subject *subject, struct findings *findings)
{
	if (subject->after)
		return true;
	saw(findings, RESULT_SKIPPED, "no daemon tells what it counts");
	return false;
}

/* One verdict that should not happen. False, and nothing said, if it is well. */
static bool judge_verdict(const struct subject *subject, const char *verdict, const char *means,
			  struct findings *findings)
{
	json_int_t more = risen(subject, "counters", verdict);

	if (more > 0)
		saw(findings, RESULT_WRONG, "%s: %lld more in %.1f s: %s", verdict, (long long)more,
		    subject->seconds, means);
	return more > 0;
}

static void tell_past(const struct subject *subject, const char *verdict, struct findings *findings)
{
	json_int_t count = counted(subject, "counters", verdict);

	if (count)
		saw(findings, RESULT_OK, "%s: %lld in the past, none now", verdict,
		    (long long)count);
	else
		saw(findings, RESULT_OK, "%s: none", verdict);
}

static const char *instance_option(const struct subject *subject, char text[96])
{
	text[0] = '\0';
	if (strcmp(subject->instance, role_name(subject)))
		snprintf(text, 96, " --instance %s", subject->instance);
	return text;
}

/* Who it is shows on the packets themselves. */
static void mend_by_trace(const struct subject *subject, const char *verdict, const char *then,
			  struct findings *findings)
{
	char option[96];

	mend(findings, "plimsoll trace --verdict %s%s # %s", verdict,
	     instance_option(subject, option), then);
}

void check_keys(const struct subject *subject, struct findings *findings)
{
	static const char *const verdicts[] = {"report-wrong-tag", "report-unkeyed"};
	static const char *const means[] = {
		"a server has another key, or somebody forges",
		"a server has no key, and this balancer has one",
	};

	if (!is_watched(subject, findings))
		return;
	for (size_t i = 0; i < 2; i++) {
		if (judge_verdict(subject, verdicts[i], means[i], findings))
			mend_by_trace(subject, verdicts[i],
				      "copy this balancer's report_key to that server and restart "
				      "its agent",
				      findings);
		else
			tell_past(subject, verdicts[i], findings);
	}
}

static void check_verdict(const struct subject *subject, const char *verdict, const char *means,
			  const char *then, struct findings *findings)
{
	if (!is_watched(subject, findings))
		return;
	if (judge_verdict(subject, verdict, means, findings))
		mend_by_trace(subject, verdict, then, findings);
	else
		tell_past(subject, verdict, findings);
}

void check_unknown_servers(const struct subject *subject, struct findings *findings)
{
	check_verdict(subject, "report-unknown-server", "a server reports that is no backend here",
		      "make it a backend, or take this balancer out of its `balancers`", findings);
}

void check_report_source(const struct subject *subject, struct findings *findings)
{
	check_verdict(subject, "report-wrong-source",
		      "a report does not come from where ARP says its server is",
		      "two interfaces in one segment, bonding, or somebody forges", findings);
}

void check_report_format(const struct subject *subject, struct findings *findings)
{
	check_verdict(subject, "report-malformed",
		      "a server runs another version, or a machine between mangles options",
		      "install the same version on that server", findings);
}

void check_return_route(const struct subject *subject, struct findings *findings)
{
	check_verdict(subject, "report-no-route", "this host has no route to a client",
		      "ip route add default via GATEWAY", findings);
}

/*
 * One overtaken now and then is the network, and a few are the doctor's own, on servers; more than are believed
 * is a clock or a forger.
 */
void check_report_order(const struct subject *subject, struct findings *findings)
{
	json_int_t old, taken;

	if (!is_watched(subject, findings))
		return;
	old = risen(subject, "counters", "report-old");
	taken = risen(subject, "counters", "report-taken");
	if (old > OLD_REPORTS_FEW && old * 2 > taken) {
		saw(findings, RESULT_WRONG,
		    "report-old: %lld more in %.1f s, and %lld believed: a server's clock was set back, "
		    "or somebody has forged a number far ahead",
		    (long long)old, subject->seconds, (long long)taken);
		mend_by_trace(subject, "report-old",
			      "set that server's clock and restart its agent", findings);
	} else {
		saw(findings, RESULT_OK, "report-old: %lld more in %.1f s, and %lld believed",
		    (long long)old, subject->seconds, (long long)taken);
	}
}

void check_drops(const struct subject *subject, struct findings *findings)
{
	char option[96];

	if (!is_watched(subject, findings))
		return;
	if (judge_verdict(subject, "no-backend", "a service has nobody who takes new connections",
			  findings))
		mend(findings, "plimsoll show%s # undrain one, or look at the machines",
		     instance_option(subject, option));
	if (judge_verdict(subject, "no-neighbour",
			  "connections belong to a backend that does not answer ARP", findings))
		mend(findings, "plimsoll show%s", instance_option(subject, option));
	if (judge_verdict(subject, "fragment", "clients send in fragments to a service", findings))
		mend_by_trace(subject, "fragment", "let ICMP through on these clients' way",
			      findings);
	if (judge_verdict(subject, "malformed", "packets that are cut short, or lie", findings))
		mend_by_trace(subject, "malformed", "whoever sends them is broken, or attacks",
			      findings);
	if (!json_array_size(findings->list))
		saw(findings, RESULT_OK, "nothing was dropped in %.1f s", subject->seconds);
}

void check_flow_table(const struct subject *subject, struct findings *findings)
{
	json_int_t used, capacity;

	if (!is_watched(subject, findings))
		return;
	used = counted(subject, "flows", "used");
	capacity = counted(subject, "flows", "capacity");
	if (capacity && (double)used > FULL_SHARE * (double)capacity) {
		saw(findings, RESULT_WRONG, "%lld of %lld connections are remembered",
		    (long long)used, (long long)capacity);
		mend(findings, "sed -i '/^flow_table:/d; 1i flow_table: {entries: %lld}' %s",
		     (long long)capacity * 2,
		     *subject->config_path ? subject->config_path : "FILE");
	} else {
		saw(findings, RESULT_OK, "%lld of %lld connections are remembered", (long long)used,
		    (long long)capacity);
	}
}

/* ------------------------------------------------------------------- who reports */

static json_int_t integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void judge_backend(const struct subject *subject, const json_t *before, const json_t *now,
			  bool polled, struct findings *findings)
{
	const char *address = json_string_value(json_object_get(now, "address"));
	json_int_t connections = integer(now, "connections");
	json_int_t recent = connections - integer(before, "connections");
	json_int_t reports = integer(now, "reports");

	if (json_is_true(json_object_get(now, "known")) || reports > integer(before, "reports"))
		return;
	if (!reports && connections) {
		saw(findings, RESULT_WRONG,
		    "backend %s has never reported, and was sent %lld connections", address,
		    (long long)connections);
	} else if (reports && recent) {
		saw(findings, RESULT_WRONG,
		    "backend %s has reported before, and not in %.1f s, while it was sent %lld "
		    "connections",
		    address, subject->seconds, (long long)recent);
	} else {
		return;
	}
	if (polled)
		mend(findings, "plimsoll doctor # on %s: is agent_listen where poll_port asks?",
		     address);
	else
		mend(findings,
		     "plimsoll doctor # on %s; if no agent runs: plimsoll server --config "
		     "server.yaml",
		     address);
}

void check_reports(const struct subject *subject, struct findings *findings)
{
	json_t *services = json_object_get(subject->before, "services"), *service, *backend;
	size_t i, j, asked = 0;

	if (!is_watched(subject, findings))
		return;
	json_array_foreach (json_object_get(subject->after, "services"), i, service) {
		const char *feedback = json_string_value(json_object_get(service, "feedback"));
		json_t *before = json_object_get(json_array_get(services, i), "backends");

		if (!feedback || !strcmp(feedback, "none"))
			continue;
		json_array_foreach (json_object_get(service, "backends"), j, backend) {
			asked++;
			judge_backend(subject, json_array_get(before, j), backend,
				      !strcmp(feedback, "poll"), findings);
		}
	}
	if (json_array_size(findings->list))
		return;
	if (asked)
		saw(findings, RESULT_OK, "%zu backends report, or were sent nothing to report on",
		    asked);
	else
		saw(findings, RESULT_SKIPPED, "no service wants reports");
}

/* Whoever is down without a MAC address is what the check of next hops is about. */
static bool is_out(const json_t *backend)
{
	const char *state = json_string_value(json_object_get(backend, "state"));

	return state && (!strcmp(state, "suspect") || !strcmp(state, "down")) &&
	       json_is_string(json_object_get(backend, "mac"));
}

static void tell_out(const json_t *service, const json_t *backend, struct findings *findings)
{
	const char *address = json_string_value(json_object_get(backend, "address"));
	const char *cause = json_string_value(json_object_get(backend, "cause"));

	saw(findings, RESULT_WRONG, "%s: %s is %s: it %s",
	    json_string_value(json_object_get(service, "name")), address,
	    json_string_value(json_object_get(backend, "state")), cause ? cause : "");
	mend(findings, "plimsoll doctor # on %s: daemon, vip, listener, report-loop", address);
}

void check_backends(const struct subject *subject, struct findings *findings)
{
	json_t *service, *backend;
	size_t i, j, asked = 0;

	if (!is_watched(subject, findings))
		return;
	json_array_foreach (json_object_get(subject->after, "services"), i, service)
		json_array_foreach (json_object_get(service, "backends"), j, backend) {
			asked++;
			if (is_out(backend))
				tell_out(service, backend, findings);
		}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_OK, "none of %zu is suspect, or fails its check", asked);
}

/* ------------------------------------------------------------------- on a server */

void check_balancer_heard(const struct subject *subject, struct findings *findings)
{
	json_int_t silent, stamped;

	if (!is_watched(subject, findings))
		return;
	silent = risen(subject, "carriers", "silent-balancer");
	stamped = risen(subject, "carriers", "stamped");
	if (silent && !stamped) {
		saw(findings, RESULT_WRONG,
		    "%lld responses in %.1f s bore no report because nothing comes from the balancers: "
		    "requests come another way",
		    (long long)silent, subject->seconds);
		mend(findings, "plimsoll doctor # on the balancer: does it have the VIP alone?");
	} else {
		saw(findings, RESULT_OK,
		    "%lld reports in %.1f s, %lld withheld from silent balancers",
		    (long long)stamped, subject->seconds, (long long)silent);
	}
}

void check_meter_table(const struct subject *subject, struct findings *findings)
{
	json_int_t evicted;

	if (!is_watched(subject, findings))
		return;
	evicted = risen(subject, "load", "evicted");
	if (evicted > 0) {
		saw(findings, RESULT_WRONG, "%lld requests found no room in %.1f s",
		    (long long)evicted, subject->seconds);
		mend(findings, "sed -i '/^meter_entries:/d; 1i meter_entries: 1048576' %s",
		     *subject->config_path ? subject->config_path : "FILE");
	} else {
		saw(findings, RESULT_OK, "%lld requests have ever found no room",
		    (long long)counted(subject, "load", "evicted"));
	}
}
