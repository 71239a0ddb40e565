/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The human view of `plimsoll show`. */
#include <string.h>

#include "cli/show.h"
#include "cli/table.h"
#include "shared.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FIELD(object, key, unit) format_field(object, key, UNIT_##unit).text

/* A counter's name and sentence. */
struct meaning {
	const char *name;
	const char *sentence;
	bool refusal;
};

enum action {
	PASS,
	SEND,
	DROP,
};

/* An old report's packet goes its way, the report is refused all the same. */
static const struct meaning verdicts[] = {
#define VERDICT_MEANING(symbol, name, action, sentence)                                            \
	{name, sentence, (action) == DROP || VERDICT_##symbol == VERDICT_REPORT_OLD},
	VERDICTS(VERDICT_MEANING)
#undef VERDICT_MEANING
};

static const struct meaning skips[] = {
#define SKIP_MEANING(symbol, name, sentence) {name, sentence, false},
	SKIPS(SKIP_MEANING)
#undef SKIP_MEANING
};

static const struct column backend_columns[] = {
	{.title = "backend", .key = "address"},
	{.title = "state", .key = "state"},
	{.title = "weight", .key = "weight", .unit = UNIT_COUNT},
	{.title = "in-flight", .key = "in_flight", .unit = UNIT_COUNT, .reported = true},
	{.title = "util", .key = "utilisation", .unit = UNIT_FRACTION, .reported = true},
	{.title = "latency", .key = "latency_us", .unit = UNIT_MICROSECONDS, .reported = true},
	{.title = "queue", .key = "accept_queue", .unit = UNIT_FRACTION, .reported = true},
	{.title = "pending", .key = "pending", .unit = UNIT_COUNT},
	{.title = "age", .key = "report_age_ms", .unit = UNIT_MILLISECONDS, .reported = true},
	{.title = "reports", .key = "reports", .unit = UNIT_COUNT},
	{.title = "conn/s", .key = "connections_per_second", .unit = UNIT_RATE},
	{.title = "share", .key = "share", .unit = UNIT_FRACTION},
	{.title = "", .key = "share", .bar = true},
};

static const struct column balancer_columns[] = {
	{.title = "balancer", .key = "address"},
	{.title = "mac", .key = "mac"},
	{.title = "heard", .key = "heard_age_ms", .unit = UNIT_MILLISECONDS},
	{.title = "reported", .key = "report_age_ms", .unit = UNIT_MILLISECONDS},
	{.title = "connections", .key = "connections_seen", .unit = UNIT_COUNT},
	{.title = "reports", .key = "reports", .unit = UNIT_COUNT},
	{.title = "bytes", .key = "report_bytes", .unit = UNIT_BYTES},
};

static void print_title(FILE *out, const char *title, enum tone tone, bool colour)
{
	fprintf(out, "\n%s%s%s\n", tone_on(tone, colour), title, tone_off(tone, colour));
}

/* "balancer edge: up 12s, plimsoll 0.1.0, eth0 (native), reports not keyed" */
static void print_head(FILE *out, const json_t *status, bool colour)
{
	json_t *interface, *interfaces = json_object_get(status, "interfaces");
	size_t i;

	fprintf(out, "%s%s %s%s: up %s, plimsoll %s", tone_on(TONE_STRONG, colour),
		FIELD(status, "role", TEXT), FIELD(status, "instance", TEXT),
		tone_off(TONE_STRONG, colour), FIELD(status, "uptime_seconds", SECONDS),
		FIELD(status, "version", TEXT));
	json_array_foreach (interfaces, i, interface) {
		fprintf(out, ", %s", FIELD(interface, "name", TEXT));
		if (json_object_get(interface, "xdp_mode"))
			fprintf(out, " (%s)", FIELD(interface, "xdp_mode", TEXT));
	}
	fprintf(out, ", reports %skeyed\n",
		json_is_true(json_object_get(status, "keyed")) ? "" : "not ");
}

static const struct meaning *find_meaning(const struct meaning *meanings, size_t count,
					  const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(meanings[i].name, name))
			return &meanings[i];
	return NULL;
}

/* Of the counters that are not 0, those that are refusals, or those that are not. */
struct selection {
	json_t *counters;
	const struct meaning *meanings;
	size_t count;
	bool refusals;
};

static bool selected(const struct selection *selection, const char *name, const json_t *value)
{
	const struct meaning *meaning = find_meaning(selection->meanings, selection->count, name);

	return json_number_value(value) > 0 && (meaning && meaning->refusal) == selection->refusals;
}

static void measure(const struct selection *selection, int *number_width, int *name_width)
{
	const char *name;
	json_t *value;
	int width;

	*number_width = *name_width = 0;
	json_object_foreach (selection->counters, name, value) {
		if (!selected(selection, name, value))
			continue;
		width = snprintf(NULL, 0, "%.0f", json_number_value(value));
		if (width > *number_width)
			*number_width = width;
		if ((int)strlen(name) > *name_width)
			*name_width = (int)strlen(name);
	}
}

/* Without a title if that is NULL. A counter that only a newer daemon knows has no sentence. */
static void print_counters(FILE *out, const char *title, enum tone tone,
			   const struct selection *selection, bool colour)
{
	const struct meaning *meaning;
	int number_width, name_width;
	const char *name;
	json_t *value;

	measure(selection, &number_width, &name_width);
	if (!number_width)
		return;
	if (title)
		print_title(out, title, tone, colour);
	json_object_foreach (selection->counters, name, value) {
		if (!selected(selection, name, value))
			continue;
		meaning = find_meaning(selection->meanings, selection->count, name);
		if (!meaning) {
			fprintf(out, "  %*.0f  %s\n", number_width, json_number_value(value), name);
			continue;
		}
		fprintf(out, "  %*.0f  %-*s  ", number_width, json_number_value(value), name_width,
			name);
		print_wrapped(out, meaning->sentence,
			      (size_t)(number_width + name_width) + strlen("      "));
	}
}

/* What nothing speaks against takes connections. */
bool show_is_up(const char *state)
{
	return !strcmp(state, "healthy") || !strcmp(state, "unknown");
}

/* What is not up stands out; what an old report said recedes. */
enum tone backend_tone(const struct column *column, const json_t *backend)
{
	const char *state = json_string_value(json_object_get(backend, "state"));

	if (!strcmp(column->key, "state") && state && !show_is_up(state))
		return strcmp(state, "draining") != 0 ? TONE_BAD : TONE_FAINT;
	if (column->reported && json_is_false(json_object_get(backend, "known")))
		return TONE_FAINT;
	return TONE_PLAIN;
}

/* "  10.1.0.11 drains: 12 connections left; by hand: weight, draining" */
static void print_by_hand(FILE *out, const json_t *backend)
{
	const json_t *changed = json_object_get(backend, "changed"), *key;
	bool leaving = json_is_true(json_object_get(backend, "leaving"));
	bool drains = leaving || !strcmp(FIELD(backend, "state", TEXT), "draining");
	size_t i;

	if (!json_array_size(changed) && !leaving)
		return;
	fprintf(out, "  %s", FIELD(backend, "address", TEXT));
	if (drains)
		fprintf(out, " %s: %s connections left%s", leaving ? "is removed" : "drains",
			FIELD(backend, "open_connections", COUNT),
			json_array_size(changed) ? ";" : "");
	json_array_foreach (changed, i, key)
		fprintf(out, "%s %s",
			i ? "," : " by hand, and not in the file:", json_string_value(key));
	fputc('\n', out);
}

/* "  10.1.0.11 is down since 2026-11-25T03:23:58Z: it fails its tcp check of 10.1.0.100:80: connection refused" */
static void print_trouble(FILE *out, const json_t *backend)
{
	const char *state = json_string_value(json_object_get(backend, "state"));
	const char *cause = json_string_value(json_object_get(backend, "cause"));

	if (!state || !cause || show_is_up(state) || !strcmp(state, "draining"))
		return;
	fprintf(out, "  %s is %s since %s: it %s\n", FIELD(backend, "address", TEXT), state,
		FIELD(backend, "since", TEXT), cause);
}

/* Those that are in the file and, by hand, no longer here. */
static void print_removed(FILE *out, const json_t *service, const json_t *backends)
{
	const json_t *removed = json_object_get(service, "removed"), *address;
	size_t i;

	json_array_foreach (removed, i, address)
		if (!show_find(backends, json_string_value(address)))
			fprintf(out, "  %s is gone: removed by hand, and in the file\n",
				json_string_value(address));
	if (json_is_true(json_object_get(service, "leaving")))
		fprintf(out, "  The service is removed: it is gone when its last connection has "
			     "ended.\n");
}

void show_render_backends(FILE *out, const json_t *service, bool colour)
{
	json_t *backends = json_object_get(service, "backends"), *backend;
	size_t i;

	table_print(out, backend_columns, COUNT_OF(backend_columns), backends, backend_tone,
		    colour);
	json_array_foreach (backends, i, backend) {
		print_trouble(out, backend);
		print_by_hand(out, backend);
	}
	print_removed(out, service, backends);
}

/* "web 10.1.0.100:80/tcp: power-of-choices (4) on in-flight, feedback in-band, 510.0 conn/s" */
static void print_service(FILE *out, const json_t *service, bool colour)
{
	const char *name = json_string_value(json_object_get(service, "name"));
	const char *address = json_string_value(json_object_get(service, "address"));
	bool named = name && address && strcmp(name, address) != 0;

	fprintf(out, "\n%s%s%s%s/%s%s: %s", tone_on(TONE_STRONG, colour), named ? name : "",
		named ? " " : "", FIELD(service, "address", TEXT), FIELD(service, "protocol", TEXT),
		tone_off(TONE_STRONG, colour), FIELD(service, "policy", TEXT));
	if (json_is_integer(json_object_get(service, "choices")))
		fprintf(out, " (%s)", FIELD(service, "choices", COUNT));
	if (json_is_string(json_object_get(service, "signal")))
		fprintf(out, " on %s", FIELD(service, "signal", TEXT));
	fprintf(out, ", feedback %s, %s conn/s\n", FIELD(service, "feedback", TEXT),
		FIELD(service, "connections_per_second", RATE));
	show_render_backends(out, service, colour);
}

/* "  LABEL: opening 3, open 20": what is not 0. */
static void print_states(FILE *out, const char *label, json_t *states)
{
	const char *state, *between = "";
	json_t *count;

	json_object_foreach (states, state, count) {
		if (json_integer_value(count) <= 0)
			continue;
		fprintf(out, "%s%s%s %" JSON_INTEGER_FORMAT, *between ? "" : "  ",
			*between ? between : label, state, json_integer_value(count));
		between = ", ";
	}
	if (*between)
		fputc('\n', out);
}

static void print_flows(FILE *out, const json_t *flows)
{
	double used, capacity, bytes, no_room = 0, contested = 0;

	if (!field_number(flows, "used", &used) || !field_number(flows, "capacity", &capacity))
		return;
	fprintf(out, "\nflows: %.0f of %.0f used", used, capacity);
	if (field_number(flows, "bytes", &bytes) && capacity > 0)
		fprintf(out, " (%s, %.0f bytes each)", FIELD(flows, "bytes", BYTES),
			bytes / capacity);
	fputc('\n', out);
	print_states(out, "", json_object_get(flows, "states"));
	print_states(out, "gave way: ", json_object_get(flows, "evicted"));
	field_number(flows, "no_room", &no_room);
	field_number(flows, "contested", &contested);
	if (no_room > 0 || contested > 0)
		fprintf(out,
			"  by hash alone: %.0f where others wanted the place too, %.0f without any\n",
			contested, no_room);
}

static void render_balancer(FILE *out, const json_t *status, bool colour)
{
	struct selection selection = {
		.counters = json_object_get(status, "counters"),
		.meanings = verdicts,
		.count = COUNT_OF(verdicts),
	};
	json_t *service;
	size_t i;

	json_array_foreach (json_object_get(status, "services"), i, service)
		print_service(out, service, colour);
	print_flows(out, json_object_get(status, "flows"));
	print_counters(out, "packets", TONE_STRONG, &selection, colour);
	selection.refusals = true;
	print_counters(out, "refused", TONE_BAD, &selection, colour);
}

static void print_load(FILE *out, const json_t *load, bool colour)
{
	print_title(out, "load", TONE_STRONG, colour);
	fprintf(out, "  in-flight %s, utilisation %s, latency %s, accept queue %s\n",
		FIELD(load, "in_flight", COUNT), FIELD(load, "utilisation", FRACTION),
		FIELD(load, "latency_us", MICROSECONDS), FIELD(load, "accept_queue", FRACTION));
	fprintf(out, "  requests %s, connections %s, resets %s\n", FIELD(load, "requests", COUNT),
		FIELD(load, "connections", COUNT), FIELD(load, "resets", COUNT));
}

static double percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

/* What took the detour: the price of the reports. */
static void print_responses(FILE *out, const json_t *status)
{
	json_t *balancer, *responses = json_object_get(status, "responses");
	double packets, bytes, number, reports = 0, report_bytes = 0;
	size_t i;

	if (!field_number(responses, "packets", &packets) ||
	    !field_number(responses, "bytes", &bytes))
		return;
	json_array_foreach (json_object_get(status, "balancers"), i, balancer) {
		field_number(balancer, "reports", &number);
		reports += number;
		field_number(balancer, "report_bytes", &number);
		report_bytes += number;
	}
	fprintf(out,
		"\nresponses: %s packets, %s; by way of a balancer %.1f%% of them, %.1f%% of the "
		"bytes\n",
		FIELD(responses, "packets", COUNT), FIELD(responses, "bytes", BYTES),
		percent(reports, packets), percent(report_bytes, bytes));
}

static void render_server(FILE *out, const json_t *status, bool colour)
{
	const struct selection selection = {
		.counters = json_object_get(status, "carriers"),
		.meanings = skips,
		.count = COUNT_OF(skips),
	};
	json_t *service;
	size_t i;

	json_array_foreach (json_object_get(status, "services"), i, service)
		fprintf(out, "%sservice %s/%s\n", i ? "" : "\n", FIELD(service, "address", TEXT),
			FIELD(service, "protocol", TEXT));
	print_load(out, json_object_get(status, "load"), colour);
	fputc('\n', out);
	table_print(out, balancer_columns, COUNT_OF(balancer_columns),
		    json_object_get(status, "balancers"), NULL, colour);
	print_responses(out, status);
	print_counters(out, NULL, TONE_PLAIN, &selection, colour);
}

void show_render(FILE *out, json_t *status, bool colour)
{
	print_head(out, status, colour);
	if (!strcmp(FIELD(status, "role", TEXT), "server"))
		render_server(out, status, colour);
	else
		render_balancer(out, status, colour);
}
