/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll trace`: what its words mean, and how a record reads. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "choose.h"
#include "cli/decision.h"
#include "cli/trace_filter.h"
#include "cli/trace_record.h"
#include "load_report.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(symbol) (1ULL << VERDICT_##symbol)

static struct ip_address address(const char *text)
{
	struct ip_address parsed;

	assert_int_equal(address_parse(text, &parsed), 0);
	return parsed;
}

/* Is it the mask of so many bits? */
static bool is_mask(const struct ip_address *mask, uint32_t bits)
{
	const uint8_t *bytes = (const uint8_t *)mask;

	for (uint32_t i = 0; i < 128; i++)
		if ((bytes[i / 8] >> (7 - i % 8) & 1) != (i < bits))
			return false;
	return true;
}

static void test_clients(void **state)
{
	static const struct {
		const char *text, *client;
		uint32_t bits;
		uint16_t port;
	} good[] = {
		{"10.1.0.201", "10.1.0.201", 96 + 32, 0},
		{"10.1.0.201:40000", "10.1.0.201", 96 + 32, 40000},
		{"10.1.0.201/24", "10.1.0.0", 96 + 24, 0},
		{"10.1.0.0/31:80", "10.1.0.0", 96 + 31, 80},
		{"255.255.255.255/0", "0.0.0.0", 96, 0},
		{"255.255.255.255/32:65535", "255.255.255.255", 96 + 32, 65535},
		{"2001:db8::c9", "2001:db8::c9", 128, 0},
		{"[2001:db8::c9]:40000", "2001:db8::c9", 128, 40000},
		{"2001:db8:ffff::/33", "2001:db8:8000::", 33, 0},
		{"[2001:db8::c9]", "2001:db8::c9", 128, 0},
		{"ffff::1/0", "::", 0, 0},
	};
	static const char *const bad[] = {"",
					  "10.1.0",
					  "10.1.0.1:",
					  "10.1.0.1:0",
					  "10.1.0.1:65536",
					  "10.1.0.1/33",
					  "10.1.0.1/",
					  "10.1.0.1/-1",
					  "web",
					  "10.1.0.1:80:80",
					  "10.1.0.1:+80",
					  "2001:db8::1/129",
					  "[2001:db8::1]:",
					  "[2001:db8::1",
					  "[2001:db8::1]40000",
					  "255.255.255.255/320"};

	(void)state;
	for (size_t i = 0; i < LENGTH(good); i++) {
		struct trace_filter filter = {0};

		assert_null(trace_parse_client(good[i].text, &filter));
		assert_true(address_equal(filter.client, address(good[i].client)));
		assert_true(is_mask(&filter.client_mask, good[i].bits));
		assert_int_equal(ntohs(filter.client_port), good[i].port);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		struct trace_filter filter = {0}, none = {0};

		if (!trace_parse_client(bad[i], &filter))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_memory_equal(&filter, &none, sizeof(none));
	}
}

static void test_verdicts(void **state)
{
	__u64 verdicts = 0;

	(void)state;
	assert_null(trace_parse_verdicts("forwarded", &verdicts));
	assert_int_equal(verdicts, BIT(FORWARDED));
	assert_null(trace_parse_verdicts("no-backend,not-ours", &verdicts));
	assert_int_equal(verdicts, BIT(NO_BACKEND) | BIT(NOT_OURS));
	assert_null(trace_parse_verdicts("sent", &verdicts));
	assert_int_equal(verdicts, BIT(FORWARDED) | BIT(REPORT_TAKEN) | BIT(REPORT_OLD) |
					   BIT(ICMP_STEERED) | BIT(ECHO_ANSWERED) |
					   BIT(TOO_BIG_TOLD) | BIT(REFUSED) | BIT(FLOW_RESET) |
					   BIT(UNREACHABLE));
	assert_null(trace_parse_verdicts("drops", &verdicts));
	assert_true(verdicts & BIT(NO_NEIGHBOUR) && verdicts & BIT(REPORT_WRONG_TAG));
	assert_false(verdicts & (BIT(FORWARDED) | BIT(REPORT_OLD) | BIT(NOT_OURS) | BIT(NONE)));
	assert_null(trace_parse_verdicts("reports,fragment-unknown", &verdicts));
	assert_true(verdicts & BIT(REPORT_RESOLVING) && verdicts & BIT(FRAGMENT_UNKNOWN));
	assert_false(verdicts & BIT(FORWARDED));
	assert_null(trace_parse_verdicts("all", &verdicts));
	assert_int_equal(verdicts, ((1ULL << VERDICT_COUNT) - 1) & ~BIT(NONE));
	assert_int_equal(trace_usual_verdicts(), verdicts & ~BIT(NOT_OURS));
	assert_non_null(trace_parse_verdicts("", &verdicts));
	assert_non_null(trace_parse_verdicts("forwarded,", &verdicts));
	assert_non_null(trace_parse_verdicts("none", &verdicts));
	assert_non_null(trace_parse_verdicts("a-word-that-is-longer-than-any-verdict", &verdicts));
}

static void test_samples(void **state)
{
	uint32_t sample = 0;

	(void)state;
	assert_null(trace_parse_sample("1/1", &sample));
	assert_int_equal(sample, UINT32_MAX);
	assert_null(trace_parse_sample("1/4", &sample));
	assert_int_equal(sample, UINT32_MAX / 4);
	assert_non_null(trace_parse_sample("1/0", &sample));
	assert_non_null(trace_parse_sample("2/4", &sample));
	assert_non_null(trace_parse_sample("0.1", &sample));
}

/* ------------------------------------------------------------------- records */

static struct backend backends[4];
static struct known_service service = {.name = "web"};
static const struct kernel kernel = {
	.backends = backends,
	.backend_count = LENGTH(backends),
	.services = &service,
	.service_count = 1,
};

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 1; i < LENGTH(backends); i++)
		backends[i] = (struct backend){
			.service = 1, .address = {{0, 0, htonl(0xFFFF), htonl(0x0a01000a + i)}}};
	service.key = (struct service_key){.address = address("10.1.0.100"), .port = htons(80)};
	service.service = (struct service){
		.id = 1,
		.policy = POLICY_POWER_OF_CHOICES,
		.signal = SIGNAL_IN_FLIGHT,
		.choices = 4,
	};
	return 0;
}

static struct trace_record record_of(enum verdict verdict)
{
	return (struct trace_record){
		.source = address("10.1.0.201"),
		.source_port = htons(40000),
		.destination = address("10.1.0.100"),
		.destination_port = htons(80),
		.length_in = 74,
		.protocol = IPPROTO_TCP,
		.verdict = verdict,
		.tcp_flags = 0x02,
		.service = 1,
	};
}

static struct trace_record new_flow(uint32_t looked_at, uint64_t first_key)
{
	struct trace_record record = record_of(VERDICT_FORWARDED);

	record.opens = 1;
	record.backend = 3;
	record.decision = (struct decision){
		.made = 1,
		.looked_at = looked_at,
		.backends = {3, 2, 3, 1},
		.keys = {first_key, COST_ONE * 19ULL / 10, first_key, KEY_UNKNOWN},
	};
	return record;
}

static void expect_reason(const struct trace_record *record, const char *expected)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	trace_print_reason(out, &kernel, record);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void test_reasons(void **state)
{
	struct trace_record record = new_flow(4, COST_ONE * 42ULL / 100);

	(void)state;
	expect_reason(&record,
		      "new flow, candidates 10.1.0.13 (0.42), 10.1.0.12 (1.90) and 10.1.0.11 "
		      "(unknown), took 10.1.0.13");
	service.service.policy = POLICY_LEAST_LOADED;
	expect_reason(&record, "new flow, of all 4 backends the lowest 10.1.0.13 (0.42), 10.1.0.12 "
			       "(1.90) and 10.1.0.11 (unknown), took 10.1.0.13");
	service.service.policy = POLICY_POWER_OF_CHOICES;
	record = new_flow(1, KEY_UNKNOWN);
	expect_reason(&record,
		      "new flow, no fresh report of its first candidate 10.1.0.13, took 10.1.0.13");
	record = new_flow(1, KEY_DRAINING);
	expect_reason(&record, "new flow, candidate 10.1.0.13 (draining), took 10.1.0.13");
	record = new_flow(0, 0);
	expect_reason(&record, "new flow, by its hash, for there is no feedback, took 10.1.0.13");
	service.service.policy = POLICY_ROUND_ROBIN;
	expect_reason(&record, "new flow, in turn, took 10.1.0.13");
	record.opens = 0;
	expect_reason(&record, "flow unknown, in its middle, by its hash, took 10.1.0.13");
	record.decision.made = 0;
	expect_reason(&record, "flow known");
	record = record_of(VERDICT_NO_BACKEND);
	record.opens = record.decision.made = 1;
	expect_reason(
		&record,
		"new flow, in turn, took none: the service has no backend that could take it");
	record = record_of(VERDICT_FRAGMENT_UNKNOWN);
	record.service = 0;
	expect_reason(&record, "fragment of a packet whose first fragment has not been seen");
}

static void test_keys_are_in_their_signals_unit(void **state)
{
	struct trace_record record = new_flow(1, 840 * 256);

	(void)state;
	service.service.signal = SIGNAL_LATENCY;
	expect_reason(&record, "new flow, candidate 10.1.0.13 (840us), took 10.1.0.13");
	service.service.signal = SIGNAL_UTILISATION;
	record = new_flow(1, 65535ULL * 256 / 2);
	expect_reason(&record, "new flow, candidate 10.1.0.13 (0.50), took 10.1.0.13");
	service.service.policy = POLICY_PREQUAL;
	record = new_flow(1, KEY_HOT | 12 << HOT_BITS);
	expect_reason(&record, "new flow, candidate 10.1.0.13 (hot, 12.00), took 10.1.0.13");
}

static struct trace_record report_record(enum verdict verdict)
{
	const struct load_report report = {
		.server_id = htonl(0x0a01000d),
		.sequence = 77,
		.in_flight = 3,
		.utilisation = 65535,
		.latency = load_report_float_encode(840),
		.connections_seen = 1000,
		.flags = LOAD_REPORT_DRAINING,
	};
	struct trace_record record = record_of(verdict);
	struct load_report_option option;

	load_report_encode(&option, &report);
	memcpy(record.option, &option, sizeof(option));
	record.has_report = 1;
	record.service = 0;
	record.destination = address("10.1.0.201");
	record.destination_port = htons(40000);
	record.source = address("10.1.0.100");
	record.source_port = htons(80);
	return record;
}

static void test_reports_say_what_they_said(void **state)
{
	struct trace_record record = report_record(VERDICT_REPORT_OLD);

	(void)state;
	expect_reason(
		&record,
		"report not newer than the last: not believed, taken out, packet sent to client: "
		"server 10.1.0.13, sequence 77, in-flight 3, utilisation 100%, latency 840us, "
		"accept queue 0%, connections seen 1000, draining");
	record.option[2] = 0; /* another's magic */
	record.verdict = VERDICT_REPORT_MALFORMED;
	expect_reason(&record, "report with a wrong version, length or checksum");
}

static void test_json(void **state)
{
	struct trace_record record = new_flow(4, COST_ONE * 42ULL / 100);
	json_t *object = trace_json(&kernel, &record, 1500000000);
	json_t *candidates = json_object_get(object, "candidates");

	(void)state;
	assert_float_equal(json_real_value(json_object_get(object, "time")), 1.5, 1e-9);
	assert_string_equal(json_string_value(json_object_get(object, "verdict")), "forwarded");
	assert_string_equal(json_string_value(json_object_get(object, "service")), "web");
	assert_string_equal(json_string_value(json_object_get(object, "client")),
			    "10.1.0.201:40000");
	assert_string_equal(json_string_value(json_object_get(object, "protocol")), "tcp");
	assert_string_equal(json_string_value(json_object_get(object, "flow")), "new");
	assert_string_equal(json_string_value(json_object_get(object, "backend")), "10.1.0.13");
	assert_int_equal(json_array_size(candidates), 3);
	assert_true(json_is_null(json_object_get(json_array_get(candidates, 2), "key")));
	json_decref(object);
	record = report_record(VERDICT_REPORT_TAKEN);
	object = trace_json(&kernel, &record, 0);
	assert_string_equal(json_string_value(json_object_get(object, "client")),
			    "10.1.0.201:40000");
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(object, "report"), "latency_us")),
			 840);
	json_decref(object);
}

/* ------------------------------------------------------------------- services */

/* A service of every port, one of a port there, and the same address in UDP. */
static struct known_service every[] = {
	{.name = "every", .service = {.id = 1}, .key = {.protocol = IPPROTO_TCP}},
	{.name = "web", .service = {.id = 2}, .key = {.protocol = IPPROTO_TCP}},
	{.name = "calls", .service = {.id = 3}, .key = {.protocol = IPPROTO_UDP}},
};
static const struct kernel with_every = {.services = every, .service_count = LENGTH(every)};

static int set_up_every(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(every); i++)
		every[i].key.address = address("10.1.0.100");
	every[1].key.port = htons(80);
	return 0;
}

static void test_services_are_found(void **state)
{
	static const struct {
		const char *wanted, *name; /* NULL: none */
		uint16_t port;
	} cases[] = {
		{"web", "web", 80},
		{"every", "every", 0},
		{"every:8080", "every", 8080},
		{"calls:53", "calls", 53},
		{"10.1.0.100:80", "web", 80},
		{"10.1.0.100:*", NULL, 0}, /* of TCP, or of UDP */
		{"10.1.0.100:8080", NULL, 0},
		{"web:81", NULL, 0},
		{"every:0", NULL, 0},
		{"every:65536", NULL, 0},
		{"ever:80", NULL, 0},
		{"10.1.0.10:80", NULL, 0},
		{"", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct known_service found = {0};
		int err = kernel_find_service(&with_every, cases[i].wanted, false, &found);

		if (err != (cases[i].name ? 0 : -ENOENT))
			fail_msg("%s: %d", cases[i].wanted, err);
		if (err)
			continue;
		assert_string_equal(found.name, cases[i].name);
		assert_int_equal(ntohs(found.key.port), cases[i].port);
	}
}

static void test_packets_have_services(void **state)
{
	static const struct {
		uint32_t service; /* as the data path has found; 0: it has not */
		uint8_t protocol;
		uint16_t port;
		const char *line; /* has that in it */
	} cases[] = {
		{1, IPPROTO_TCP, 8080, "forwarded every:8080 10.1.0.201:40000 [S] 74 bytes"},
		{0, IPPROTO_TCP, 8080, "forwarded every:8080 10.1.0.201:40000 [S] 74 bytes"},
		{0, IPPROTO_TCP, 80, "forwarded web 10.1.0.201:40000 [S] 74 bytes"},
		{0, IPPROTO_UDP, 53, "forwarded calls:53 10.1.0.201:40000 udp 74 bytes"},
		{3, IPPROTO_UDP, 80, "forwarded calls:80 10.1.0.201:40000 udp 74 bytes"},
		{1, 0, 80, "forwarded every:80 10.1.0.201:40000 - 74 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct trace_record record = record_of(VERDICT_FORWARDED);
		char *text = NULL;
		size_t length;
		FILE *out = open_memstream(&text, &length);

		record.service = cases[i].service;
		record.protocol = cases[i].protocol;
		record.destination_port = htons(cases[i].port);
		trace_print(out, &with_every, &record, 0);
		fclose(out);
		if (!strstr(text, cases[i].line))
			fail_msg("no \"%s\" in \"%s\"", cases[i].line, text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_samples),
		cmocka_unit_test_setup(test_reasons, set_up),
		cmocka_unit_test_setup(test_keys_are_in_their_signals_unit, set_up),
		cmocka_unit_test_setup(test_reports_say_what_they_said, set_up),
		cmocka_unit_test_setup(test_json, set_up),
		cmocka_unit_test_setup(test_services_are_found, set_up_every),
		cmocka_unit_test_setup(test_packets_have_services, set_up_every),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
