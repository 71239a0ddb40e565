/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "wrong_configs.h"

#define MESSAGES_MAX 16384
#define KEY_TEXT "000102030405060708090a0b0c0d0eFF"

struct fixture {
	char directory[64];
	char path[96];
	char messages[MESSAGES_MAX];
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	*state = fixture;
	strcpy(fixture->directory, "/tmp/test_config.XXXXXX");
	return mkdtemp(fixture->directory) ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	int err = rmdir(fixture->directory);

	free(fixture);
	return err;
}

static void write_file(const char *path, const void *bytes, size_t length, mode_t mode)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(file >= 0);
	assert_int_equal(fchmod(file, mode), 0);
	assert_int_equal(write(file, bytes, length), (ssize_t)length);
	close(file);
}

static int load_bytes(struct fixture *fixture, const void *bytes, size_t length,
		      enum config_role role, struct config **config)
{
	FILE *errors = fmemopen(fixture->messages, sizeof(fixture->messages), "w");
	int err;

	assert_non_null(errors);
	memset(fixture->messages, 0, sizeof(fixture->messages));
	snprintf(fixture->path, sizeof(fixture->path), "%s/config.yaml", fixture->directory);
	write_file(fixture->path, bytes, length, 0644);
	err = config_load(fixture->path, role, config, errors);
	fclose(errors);
	unlink(fixture->path);
	return err;
}

static int load(struct fixture *fixture, const char *text, enum config_role role,
		struct config **config)
{
	return load_bytes(fixture, text, strlen(text), role, config);
}

static const char *address_text(struct ip_address address)
{
	static char text[ADDRESS_TEXT_MAX];

	return address_format(address, text);
}

static void balancer_full(void **state)
{
	static const char text[] =
		"interfaces: [eth0, enp1s0.100]\n"
		"listen: 127.0.0.1:9570\n"
		"flow_table: {entries: 65536, udp_timeout: 10s}\n"
		"hash_seed: 0xfeedbeefcafe0123\n"
		"services:\n"
		"  - name: web\n"
		"    address: 10.1.0.100:80\n"
		"    protocol: tcp\n"
		"    policy: maglev\n"
		"    choices: 2\n"
		"    signal: in-flight\n"
		"    feedback: none\n"
		"    stale_after: 250ms\n"
		"    ring_size: 65537\n"
		"    health: {check: http, path: /up?x=1, expect: 204, interval: 2s,\n"
		"             timeout: 250ms, rise: 1, fall: 5, port: 80}\n"
		"    all_down: reset\n"
		"    dead_flows: reset\n"
		"    slow_start: 0s\n"
		"    backends: &all\n"
		"      - {address: 10.1.0.3, weight: 1, forward: l2}\n"
		"      - {address: 10.1.0.4, weight: 1000, forward: l2}\n"
		"  - address: 10.1.0.100:443\n"
		"    backends: *all\n";
	struct config *config;
	struct service_config *service;

	assert_int_equal(load(*state, text, CONFIG_BALANCER, &config), 0);
	assert_int_equal(config->role, CONFIG_BALANCER);
	assert_int_equal(config->interface_count, 2);
	assert_string_equal(config->interfaces[0], "eth0");
	assert_string_equal(config->interfaces[1], "enp1s0.100");
	assert_true(config->listening);
	assert_string_equal(address_text(config->listen.address), "127.0.0.1");
	assert_int_equal(config->listen.port, 9570);
	assert_false(config->keyed);
	assert_int_equal(config->flow_table.entries, 65536);
	assert_int_equal(config->flow_table.udp_timeout_ns, 10000000000);
	assert_true(config->hash_seed == 0xfeedbeefcafe0123);
	assert_int_equal(config->service_count, 2);
	service = &config->services[0];
	assert_string_equal(service->name, "web");
	assert_string_equal(address_text(service->address.address), "10.1.0.100");
	assert_int_equal(service->address.port, 80);
	assert_int_equal(service->protocol, IPPROTO_TCP);
	assert_int_equal(service->policy, POLICY_MAGLEV);
	assert_int_equal(service->choices, 2);
	assert_int_equal(service->feedback, FEEDBACK_NONE);
	assert_int_equal(service->stale_after_ns, 250000000);
	assert_int_equal(service->ring_size, 65537);
	assert_int_equal(service->health.check, CHECK_HTTP);
	assert_string_equal(service->health.path, "/up?x=1");
	assert_int_equal(service->health.expect, 204);
	assert_int_equal(service->health.interval_ns, 2000000000);
	assert_int_equal(service->health.timeout_ns, 250000000);
	assert_int_equal(service->health.rise, 1);
	assert_int_equal(service->health.fall, 5);
	assert_int_equal(service->health.port, 80);
	assert_int_equal(service->all_down, ALL_DOWN_RESET);
	assert_int_equal(service->dead_flows, DEAD_FLOWS_RESET);
	assert_int_equal(service->slow_start_ns, 0);
	assert_int_equal(service->line, 6);
	assert_int_equal(service->backend_count, 2);
	assert_string_equal(address_text(service->backends[0].address), "10.1.0.3");
	assert_int_equal(service->backends[0].weight, 1);
	assert_int_equal(service->backends[0].line, 21);
	assert_string_equal(address_text(service->backends[1].address), "10.1.0.4");
	assert_int_equal(service->backends[1].weight, 1000);
	service = &config->services[1];
	assert_string_equal(service->name, "10.1.0.100:443");
	assert_int_equal(service->backend_count, 2);
	assert_int_equal(service->backends[1].weight, 1000);
	config_free(config);
}

static void balancer_not_listening(void **state)
{
	struct config *config;

	assert_int_equal(load(*state, SERVICE BACKENDS "listen: none\n", CONFIG_BALANCER, &config),
			 0);
	assert_false(config->listening);
	config_free(config);
}

static void balancer_defaults(void **state)
{
	struct config *config;

	assert_int_equal(load(*state, SERVICE BACKENDS, CONFIG_BALANCER, &config), 0);
	assert_true(config->listening);
	assert_false(config->listen_given);
	assert_string_equal(address_text(config->listen.address), "127.0.0.1");
	assert_int_equal(config->listen.port, 9570);
	assert_false(config->keyed);
	assert_int_equal(config->flow_table.entries, 1000000);
	assert_int_equal(config->flow_table.udp_timeout_ns, 30000000000);
	assert_int_equal(config->hash_seed, 0);
	assert_string_equal(config->services[0].name, "10.1.0.100:80");
	assert_int_equal(config->services[0].protocol, IPPROTO_TCP);
	assert_int_equal(config->services[0].policy, POLICY_POWER_OF_CHOICES);
	assert_int_equal(config->services[0].feedback, FEEDBACK_IN_BAND);
	assert_int_equal(config->services[0].choices, 4);
	assert_int_equal(config->services[0].stale_after_ns, 1000000000);
	assert_int_equal(config->services[0].ring_size, 16381);
	assert_int_equal(config->services[0].health.check, CHECK_NONE);
	assert_int_equal(config->services[0].all_down, ALL_DOWN_TRY_ALL);
	assert_int_equal(config->services[0].dead_flows, DEAD_FLOWS_LEAVE);
	assert_int_equal(config->services[0].slow_start_ns, 10000000000);
	assert_int_equal(config->services[0].backends[0].weight, 1);
	config_free(config);
}

static void server_full(void **state)
{
	static const char text[] =
		"interfaces: [eth0]\n"
		"balancers: [10.1.0.2, 10.1.0.3]\n"
		"report: {min_interval: 100us, max_interval: 2s, max_share: 2.5%}\n"
		"services:\n"
		"  - {address: \"10.1.0.100:80\", protocol: tcp, name: web}\n"
		"  - address: 10.1.0.100:443\n";
	struct config *config;

	assert_int_equal(load(*state, text, CONFIG_SERVER, &config), 0);
	assert_int_equal(config->role, CONFIG_SERVER);
	assert_int_equal(config->balancer_count, 2);
	assert_string_equal(address_text(config->balancers[0]), "10.1.0.2");
	assert_string_equal(address_text(config->balancers[1]), "10.1.0.3");
	assert_int_equal(config->report.min_interval_ns, 100000);
	assert_int_equal(config->report.max_interval_ns, 2000000000);
	assert_float_equal(config->report.max_share, 0.025, 1e-9);
	assert_int_equal(config->service_count, 2);
	assert_string_equal(config->services[0].name, "web");
	assert_string_equal(config->services[1].name, "10.1.0.100:443");
	assert_int_equal(config->services[1].protocol, IPPROTO_TCP);
	assert_int_equal(config->services[1].backend_count, 0);
	assert_null(config->services[1].backends);
	config_free(config);
}

static void server_defaults(void **state)
{
	struct config *config;

	assert_int_equal(load(*state, SERVER SERVER_SERVICE, CONFIG_SERVER, &config), 0);
	assert_int_equal(config->report.min_interval_ns, 1000000);
	assert_int_equal(config->report.max_interval_ns, 100000000);
	assert_float_equal(config->report.max_share, 0.02, 1e-9);
	config_free(config);
}

/* The line "PATH:LINE: KEY: ...FRAGMENT..." is somewhere among the messages. */
static bool told(const struct fixture *fixture, const struct wrong *wrong)
{
	const char *line = fixture->messages;
	char start[160];

	snprintf(start, sizeof(start), "%s:%d: %s%s", fixture->path, wrong->line,
		 wrong->key ? wrong->key : "", wrong->key ? ": " : "");
	while (*line) {
		const char *end = strchrnul(line, '\n');
		const char *fragment = strstr(line, wrong->fragment);

		if (!strncmp(line, start, strlen(start)) && fragment && fragment < end)
			return true;
		line = *end ? end + 1 : end;
	}
	return false;
}

static void refused(void **state)
{
	struct fixture *fixture = *state;
	struct config *config;
	size_t i;

	for (i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		const struct wrong *wrong = &wrongs[i];

		if (load(fixture, wrong->text, wrong->role, &config) != -EINVAL)
			fail_msg("not refused:\n%s", wrong->text);
		assert_null(config);
		if (!told(fixture, wrong))
			fail_msg("%s\nexpected line %d, %s, %s; told was:\n%s", wrong->text,
				 wrong->line, wrong->key, wrong->fragment, fixture->messages);
	}
}

static size_t count_lines(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void all_mistakes_told(void **state)
{
	static const char text[] = "interfaces: [eth0]\n"
				   "listen: here\n"
				   "services:\n"
				   "  - address: 10.1.0.100:80\n"
				   "    policy: fastest\n"
				   "    backends:\n"
				   "      - {address: 10.1.0.3, weight: 0}\n"
				   "      - {address: 10.1.0.3, color: red}\n"
				   "  - address: 10.1.0.100:80\n";
	static const struct wrong expected[] = {
		{NULL, CONFIG_BALANCER, 2, "listen", "\"here\""},
		{NULL, CONFIG_BALANCER, 5, "policy", "\"fastest\""},
		{NULL, CONFIG_BALANCER, 7, "weight", "\"0\""},
		{NULL, CONFIG_BALANCER, 8, "color", "\"color\""},
		{NULL, CONFIG_BALANCER, 8, "address", "\"10.1.0.3\""},
		{NULL, CONFIG_BALANCER, 9, "backends", "is missing"},
		{NULL, CONFIG_BALANCER, 9, "address", "\"10.1.0.100:80\""},
	};
	struct fixture *fixture = *state;
	struct config *config;
	size_t i;

	assert_int_equal(load(fixture, text, CONFIG_BALANCER, &config), -EINVAL);
	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		if (!told(fixture, &expected[i]))
			fail_msg("%s is not told:\n%s", expected[i].key, fixture->messages);
	}
	assert_int_equal(count_lines(fixture->messages), i);
}

static void other_role_is_one_line(void **state)
{
	struct fixture *fixture = *state;
	struct config *config;

	assert_int_equal(load(fixture, SERVER SERVER_SERVICE, CONFIG_BALANCER, &config), -EINVAL);
	assert_int_equal(count_lines(fixture->messages), 1);
	assert_int_equal(load(fixture, SERVICE BACKENDS, CONFIG_SERVER, &config), -EINVAL);
	assert_int_equal(count_lines(fixture->messages), 1);
}

static void mistakes_end(void **state)
{
	struct fixture *fixture = *state;
	struct config *config;
	char text[20000] = INTERFACES;
	int i;

	for (i = 0; i < 1000; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "key%d: 1\n", i);
	assert_int_equal(load(fixture, text, CONFIG_BALANCER, &config), -EINVAL);
	assert_int_equal(count_lines(fixture->messages), 51);
	assert_non_null(strstr(fixture->messages, "stopped after 50 mistakes"));
}

static void bad_text_is_cut(void **state)
{
	struct fixture *fixture = *state;
	struct config *config;
	char text[4096] = SERVICE "    policy: ";

	memset(text + strlen(text), 'x', 3000);
	strcat(text, "\n" BACKENDS);
	assert_int_equal(load(fixture, text, CONFIG_BALANCER, &config), -EINVAL);
	assert_non_null(strstr(fixture->messages, "xxx...\" is not known"));
	assert_true(strlen(fixture->messages) < 250);
}

static void file_too_large(void **state)
{
	struct fixture *fixture = *state;
	size_t length = (16 << 20) + 1;
	struct config *config;
	char *text = malloc(length);

	assert_non_null(text);
	memset(text, '#', length);
	assert_int_equal(load_bytes(fixture, text, length, CONFIG_BALANCER, &config), -EFBIG);
	assert_non_null(strstr(fixture->messages, "is larger than 16 MiB"));
	/* One byte less is read, and found to be a comment. */
	assert_int_equal(load_bytes(fixture, text, length - 1, CONFIG_BALANCER, &config), -EINVAL);
	assert_non_null(strstr(fixture->messages, "is empty"));
	free(text);
}

static void nul_bytes(void **state)
{
	static const char text[] = INTERFACES "listen:\0 x\n";
	static const struct wrong wrong = {NULL, CONFIG_BALANCER, 2, NULL, "expected UTF-8 text"};
	struct config *config;

	assert_int_equal(load_bytes(*state, text, sizeof(text) - 1, CONFIG_BALANCER, &config),
			 -EINVAL);
	assert_true(told(*state, &wrong));
}

/* 4,000 services that share one list of 4,000 backends would be 16 million. */
static void aliases_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct config *config;
	char *text = calloc(1, 1 << 20);
	char *end = text;
	int i;

	assert_non_null(text);
	end += sprintf(end,
		       INTERFACES "services:\n  - address: 10.1.0.100:1\n    backends: &all\n");
	for (i = 1; i <= 4000; i++)
		end += sprintf(end, "      - {address: 10.2.%d.%d}\n", i / 256, i % 256);
	for (i = 2; i <= 4000; i++)
		end += sprintf(end, "  - {address: \"10.1.0.100:%d\", backends: *all}\n", i);
	assert_int_equal(load(fixture, text, CONFIG_BALANCER, &config), -EINVAL);
	assert_non_null(strstr(fixture->messages, "backends: a list has too many items"));
	free(text);
}

static void missing_file(void **state)
{
	struct fixture *fixture = *state;
	FILE *errors = fmemopen(fixture->messages, sizeof(fixture->messages), "w");
	struct config *config;

	assert_int_equal(config_load("/nonexistent.yaml", CONFIG_SERVER, &config, errors), -ENOENT);
	assert_null(config);
	fclose(errors);
	assert_string_equal(fixture->messages,
			    "/nonexistent.yaml: cannot be read: No such file or directory\n");
}

static int load_with_key(struct fixture *fixture, const char *key, size_t length, mode_t mode,
			 struct config **config)
{
	char path[96], text[512];
	int err;

	snprintf(path, sizeof(path), "%s/report.key", fixture->directory);
	snprintf(text, sizeof(text), SERVICE BACKENDS "report_key: %s\n", path);
	write_file(path, key, length, mode);
	err = load(fixture, text, CONFIG_BALANCER, config);
	unlink(path);
	return err;
}

static void key_file(void **state)
{
	static const uint8_t expected[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255};
	struct config *config;

	assert_int_equal(load_with_key(*state, KEY_TEXT "\n", 33, 0600, &config), 0);
	assert_true(config->keyed);
	assert_memory_equal(config->report_key, expected, sizeof(expected));
	config_free(config);
	assert_int_equal(load_with_key(*state, KEY_TEXT, 32, 0400, &config), 0);
	assert_memory_equal(config->report_key, expected, sizeof(expected));
	config_free(config);
}

static void key_file_wrong(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *fragment;
	} keys[] = {
		{KEY_TEXT "\n", 0640, "may be read or written by others"},
		{KEY_TEXT "\n", 0604, "may be read or written by others"},
		{KEY_TEXT "\n", 0620, "may be read or written by others"},
		{"", 0600, "exactly 32 hex digits"},
		{"0001", 0600, "exactly 32 hex digits"},
		{KEY_TEXT "0", 0600, "exactly 32 hex digits"},
		{KEY_TEXT "\n\n", 0600, "exactly 32 hex digits"},
		{KEY_TEXT " ", 0600, "exactly 32 hex digits"},
		{KEY_TEXT "\nmore\n", 0600, "exactly 32 hex digits"},
		{" 00102030405060708090a0b0c0d0eff\n", 0600, "exactly 32 hex digits"},
		{"0x0102030405060708090a0b0c0d0eff\n", 0600, "exactly 32 hex digits"},
	};
	struct fixture *fixture = *state;
	struct config *config;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(load_with_key(fixture, keys[i].text, strlen(keys[i].text),
					       keys[i].mode, &config),
				 -EINVAL);
		assert_non_null(strstr(fixture->messages, "config.yaml:5: report_key: \""));
		assert_non_null(strstr(fixture->messages, keys[i].fragment));
		/* The secret itself is nobody's business. */
		assert_null(strstr(fixture->messages, "0405060708"));
	}
}

static int guess(struct fixture *fixture, const char *text, enum config_role *role)
{
	FILE *errors = fmemopen(fixture->messages, sizeof(fixture->messages), "w");
	int err;

	memset(fixture->messages, 0, sizeof(fixture->messages));
	snprintf(fixture->path, sizeof(fixture->path), "%s/config.yaml", fixture->directory);
	write_file(fixture->path, text, strlen(text), 0644);
	err = config_guess_role(fixture->path, role, config_print_mistake, errors);
	fclose(errors);
	unlink(fixture->path);
	return err;
}

static void roles_are_guessed(void **state)
{
	static const struct {
		const char *text;
		enum config_role role;
	} files[] = {
		{SERVICE BACKENDS, CONFIG_BALANCER},
		{INTERFACES "hash_seed: 1\n", CONFIG_BALANCER},
		{"services: [{policy: maglev}]\n", CONFIG_BALANCER},
		{SERVER SERVER_SERVICE, CONFIG_SERVER},
		{SERVER "hash_seed: 1\n", CONFIG_SERVER},
		{INTERFACES "report: {}\n", CONFIG_SERVER},
	};
	enum config_role role;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_int_equal(guess(*state, files[i].text, &role), 0);
		assert_int_equal(role, files[i].role);
	}
	assert_int_equal(guess(*state, INTERFACES, &role), -EINVAL);
	assert_non_null(strstr(((struct fixture *)*state)->messages, "no configuration of ours"));
	assert_int_equal(guess(*state, "[", &role), -EINVAL);
}

static void explained(void **state)
{
	struct fixture *fixture = *state;
	FILE *out = fmemopen(fixture->messages, sizeof(fixture->messages), "w");

	config_explain(CONFIG_SERVER, out);
	fclose(out);
	assert_non_null(strstr(fixture->messages, "balancers: required\n"));
	assert_non_null(strstr(fixture->messages, "    max_share: default 2%\n"));
	assert_null(strstr(fixture->messages, "backends"));
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(policy_name(POLICY_POWER_OF_CHOICES), "power-of-choices");
	assert_string_equal(policy_name(POLICY_MAGLEV), "maglev");
	assert_string_equal(feedback_name(FEEDBACK_IN_BAND), "in-band");
	assert_string_equal(feedback_name(FEEDBACK_NONE), "none");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(balancer_full),
		cmocka_unit_test(balancer_defaults),
		cmocka_unit_test(balancer_not_listening),
		cmocka_unit_test(server_full),
		cmocka_unit_test(server_defaults),
		cmocka_unit_test(refused),
		cmocka_unit_test(all_mistakes_told),
		cmocka_unit_test(other_role_is_one_line),
		cmocka_unit_test(mistakes_end),
		cmocka_unit_test(bad_text_is_cut),
		cmocka_unit_test(file_too_large),
		cmocka_unit_test(nul_bytes),
		cmocka_unit_test(aliases_are_bounded),
		cmocka_unit_test(missing_file),
		cmocka_unit_test(key_file),
		cmocka_unit_test(key_file_wrong),
		cmocka_unit_test(roles_are_guessed),
		cmocka_unit_test(explained),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
