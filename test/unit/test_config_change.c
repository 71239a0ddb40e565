/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Configurations compared, copied, and written as files that say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "config/compare.h"
#include "config/format.h"
#include "config/table.h"

#define TEXT_MAX 8192

struct fixture {
	char directory[64], config[96], key[96];
	char found[TEXT_MAX]; /* differences, a line each */
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	*state = fixture;
	strcpy(fixture->directory, "/tmp/test_change.XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	snprintf(fixture->config, sizeof(fixture->config), "%s/config.yaml", fixture->directory);
	snprintf(fixture->key, sizeof(fixture->key), "%s/a \"key\"", fixture->directory);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	unlink(fixture->config);
	unlink(fixture->key);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct config *read_text(struct fixture *fixture, enum config_role role, const char *text)
{
	struct config *config;

	write_file(fixture->config, text);
	assert_int_equal(config_load(fixture->config, role, &config, stderr), 0);
	return config;
}

static void note(const struct difference *difference, void *context)
{
	char *found = context, text[DIFFERENCE_TEXT_MAX];
	size_t used = strlen(found);

	snprintf(found + used, TEXT_MAX - used, "%s%s\n", difference_text(difference, text),
		 difference->fixed ? " FIXED" : "");
}

static void expect_difference(struct fixture *fixture, const struct config *before,
			      const struct config *now, const char *expected)
{
	fixture->found[0] = '\0';
	config_compare(before, now, note, fixture->found);
	assert_string_equal(fixture->found, expected);
}

static const char balancer[] = "interfaces: [eth0]\n"
			       "services:\n"
			       "  - name: web\n"
			       "    address: 10.1.0.100:80\n"
			       "    backends: [{address: 10.1.0.3}, {address: 10.1.0.4}]\n"
			       "  - address: 10.1.0.100:443\n"
			       "    backends: [{address: 10.1.0.3}]\n";

static void test_differences(void **state)
{
	struct fixture *fixture = *state;
	struct config *before = read_text(fixture, CONFIG_BALANCER, balancer), *now, *copy;

	now = read_text(fixture, CONFIG_BALANCER, balancer);
	expect_difference(fixture, before, now, "");
	config_free(now);
	now = read_text(fixture, CONFIG_BALANCER,
			"interfaces: [eth0, eth1]\n"
			"listen: 0.0.0.0:9570\n"
			"flow_table: {entries: 65536}\n"
			"hash_seed: 0x5eed\n"
			"services:\n"
			"  - name: api\n"
			"    address: 10.1.0.101:80\n"
			"    backends: [{address: 10.1.0.3}]\n"
			"  - name: www\n"
			"    address: 10.1.0.100:80\n"
			"    policy: maglev\n"
			"    stale_after: 250ms\n"
			"    backends:\n"
			"      - {address: 10.1.0.5, weight: 7}\n"
			"      - {address: 10.1.0.3, weight: 3, draining: yes}\n");
	expect_difference(fixture, before, now,
			  "interfaces is [eth0, eth1], was [eth0]\n"
			  "listen is 0.0.0.0:9570, was 127.0.0.1:9570\n"
			  "flow_table.entries is 65536, was 1000000 FIXED\n"
			  "hash_seed is 0x5eed, was 0 FIXED\n"
			  "service api is added\n"
			  "service www: name is www, was web\n"
			  "service www: policy is maglev, was power-of-choices\n"
			  "service www: stale_after is 250ms, was 1s\n"
			  "backend 10.1.0.5 of www is added\n"
			  "backend 10.1.0.3 of www: weight is 3, was 1\n"
			  "backend 10.1.0.3 of www: draining is yes, was no\n"
			  "backend 10.1.0.4 of web is removed\n"
			  "service 10.1.0.100:443 is removed\n");
	copy = config_copy(now);
	expect_difference(fixture, now, copy, "");
	config_free(now);
	expect_difference(fixture, copy, before,
			  "interfaces is [eth0], was [eth0, eth1]\n"
			  "listen is 127.0.0.1:9570, was 0.0.0.0:9570\n"
			  "flow_table.entries is 1000000, was 65536 FIXED\n"
			  "hash_seed is 0, was 0x5eed FIXED\n"
			  "service web: name is web, was www\n"
			  "service web: policy is power-of-choices, was maglev\n"
			  "service web: stale_after is 1s, was 250ms\n"
			  "backend 10.1.0.3 of web: weight is 1, was 3\n"
			  "backend 10.1.0.3 of web: draining is no, was yes\n"
			  "backend 10.1.0.4 of web is added\n"
			  "backend 10.1.0.5 of www is removed\n"
			  "service 10.1.0.100:443 is added\n"
			  "service api is removed\n");
	config_free(copy);
	config_free(before);
}

static void test_differences_of_a_server(void **state)
{
	struct fixture *fixture = *state;
	struct config *before, *now;
	char text[1024];

	before = read_text(fixture, CONFIG_SERVER,
			   "interfaces: [eth0]\nbalancers: []\nmeter_entries: 128\n"
			   "report: {in_band: no}\nservices: [{address: 10.1.0.100:80}]\n");
	write_file(fixture->key, "000102030405060708090a0b0c0d0eff\n");
	snprintf(text, sizeof(text),
		 "interfaces: [eth0]\nbalancers: [10.1.0.2, 10.1.0.1]\nreport_key: '%s'\n"
		 "report: {max_share: 5.5%%, min_interval: 1500us}\n"
		 "services: [{address: 10.1.0.100:80}]\n",
		 fixture->key);
	now = read_text(fixture, CONFIG_SERVER, text);
	fixture->found[0] = '\0';
	config_compare(before, now, note, fixture->found);
	snprintf(text, sizeof(text),
		 "balancers is [10.1.0.2, 10.1.0.1], was []\n"
		 "report_key is %s, was not given\n"
		 "meter_entries is 262144, was 128 FIXED\n"
		 "report.min_interval is 1500us, was 1ms\n"
		 "report.max_share is 5.5%%, was 2%%\n"
		 "report.in_band is yes, was no\n",
		 fixture->key);
	assert_string_equal(fixture->found, text);
	config_free(before);
	before = config_copy(now);
	before->report_key[15] ^= 1;
	snprintf(text, sizeof(text), "report_key is %s, was another key in that file\n",
		 fixture->key);
	expect_difference(fixture, before, now, text);
	config_free(before);
	config_free(now);
}

/* What is written, read again; freed by the caller. */
static struct config *round_trip(struct fixture *fixture, const struct config *config)
{
	FILE *file = fopen(fixture->config, "w");
	struct config *again;

	assert_non_null(file);
	config_write(config, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(config_load(fixture->config, config->role, &again, stderr), 0);
	return again;
}

static bool file_has(struct fixture *fixture, const char *line)
{
	char text[TEXT_MAX] = "";
	FILE *file = fopen(fixture->config, "r");

	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	return strstr(text, line);
}

static void test_round_trip(void **state)
{
	struct fixture *fixture = *state;
	struct config *config, *again;
	char text[2048];

	write_file(fixture->key, "000102030405060708090a0b0c0d0eff\n");
	snprintf(
		text, sizeof(text),
		"interfaces: [eth0, 'a%%b', '%s']\n"
		"listen: none\n"
		"report_key: '%s'\n"
		"hash_seed: 0xfeedbeefcafe0123\n"
		"services:\n"
		"  - {name: '-', address: 10.1.0.100:80, feedback: poll, poll_interval: 500500us,\n"
		"     weights: configured, pending: no, ring_size: 101, choices: 8,\n"
		"     backends: [{address: 10.1.0.3, weight: 1000, draining: yes},\n"
		"                {address: 10.1.0.4}]}\n"
		"  - {name: '::', address: 10.1.0.100:443, policy: prequal, signal: latency,\n"
		"     backends: [{address: 10.1.0.3}]}\n",
		"\"{#\\}", fixture->key);
	config = read_text(fixture, CONFIG_BALANCER, text);
	again = round_trip(fixture, config);
	expect_difference(fixture, config, again, "");
	assert_string_equal(again->interfaces[2], "\"{#\\}");
	assert_memory_equal(again->report_key, config->report_key, sizeof(config->report_key));
	assert_int_equal(again->services[0].stale_after_ns, config->services[0].stale_after_ns);
	/* Complete: also what the file has not said. The key itself is in no file but its own. */
	assert_true(file_has(fixture, "poll_port: 9571\n"));
	assert_true(file_has(fixture, "stale_after: 1501500us\n"));
	assert_true(file_has(fixture, "flow_table: {entries: 1000000, udp_timeout: 30s}\n"));
	assert_false(file_has(fixture, "0001020304"));
	config_free(again);
	config_free(config);
}

static void test_round_trip_of_a_server(void **state)
{
	struct fixture *fixture = *state;
	struct config *config, *again;

	config = read_text(fixture, CONFIG_SERVER,
			   "interfaces: [eth0]\nbalancers: [10.1.0.2, 10.1.0.1]\n"
			   "agent_listen: 0.0.0.0:9571\nlisten: 127.0.0.1:9571\n"
			   "report: {max_share: 3.3%, min_interval: 10us, in_band: no}\n"
			   "services: [{address: 10.1.0.100:80}]\n");
	again = round_trip(fixture, config);
	expect_difference(fixture, config, again, "");
	config_free(again);
	config_free(config);
	config = read_text(fixture, CONFIG_SERVER,
			   "interfaces: [eth0]\nbalancers: []\n"
			   "services: [{address: 10.1.0.100:80}]\n");
	again = round_trip(fixture, config);
	expect_difference(fixture, config, again, "");
	config_free(again);
	config_free(config);
}

/* They are called by their addresses, which have characters that no name in a file has. */
static void test_round_trip_without_names(void **state)
{
	struct fixture *fixture = *state;
	struct config *config, *again;

	config = read_text(fixture, CONFIG_SERVER,
			   "interfaces: [eth0]\nbalancers: []\nservices:\n"
			   "  - {address: '10.1.0.100:*'}\n"
			   "  - {address: '10.1.0.100:53', protocol: udp}\n"
			   "  - {address: '[2001:db8::64]:80'}\n"
			   "  - {address: '10.1.0.100:80', name: '10.1.0.100:80'}\n"
			   "  - {address: '10.1.0.100:81', name: '10.1.0.100:82'}\n");
	again = round_trip(fixture, config);
	expect_difference(fixture, config, again, "");
	assert_string_equal(again->services[0].name, "10.1.0.100:*");
	assert_string_equal(again->services[1].name, "10.1.0.100:53/udp");
	assert_string_equal(again->services[2].name, "[2001:db8::64]:80");
	assert_string_equal(again->services[4].name, "10.1.0.100:82");
	config_free(again);
	config_free(config);
}

/* Who gives a key a parser of its own has to say how its value is written. */
static void expect_formats(const struct mapping *mapping)
{
	const struct field *field;

	for (field = mapping->fields; field->key; field++) {
		if (field->mapping)
			expect_formats(field->mapping);
		else if (!field_has_format(field))
			fail_msg("%s: config/format.c cannot write it", field->key);
	}
}

static void test_every_key_can_be_written(void **state)
{
	(void)state;
	expect_formats(&config_mapping);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_differences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_differences_of_a_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trip_of_a_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_trip_without_names, setup, teardown),
		cmocka_unit_test(test_every_key_can_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
