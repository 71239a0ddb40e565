/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "log_limit.h"

/* What is logged until logged() stands in a file of our own. */
static FILE *file;
static int real_stderr;

static void listen_to_stderr(void)
{
	file = tmpfile();
	assert_non_null(file);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
}

static const char *logged(void)
{
	static char text[16384];
	ssize_t length;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	length = pread(fileno(file), text, sizeof(text) - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	fclose(file);
	return text;
}

static json_t *logged_object(void)
{
	const char *text = logged();
	json_error_t error;
	json_t *object = json_loads(text, 0, &error);

	if (!object)
		fail_msg("no JSON: %s: %s", error.text, text);
	assert_non_null(strchr(text, '\n'));
	assert_null(strchr(text, '\n')[1] ? text : NULL); /* one line */
	return object;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const struct log_field some_fields[] = {
	{"service", "web", 0},
	{"count", NULL, 7},
	{0},
};

static void for_people(void **state)
{
	(void)state;
	log_format(LOG_TEXT);
	listen_to_stderr();
	log_warning("two\nlines of %d\n", 1);
	log_event(LOG_NOTICE, "drained", some_fields, "web is drained");
	log_debug("nobody has asked for that");
	assert_string_equal(logged(), "plimsoll balancer: warning: two lines of 1\n"
				      "plimsoll balancer: web is drained\n");
}

static void for_machines(void **state)
{
	json_t *object;

	(void)state;
	log_format(LOG_JSON);
	listen_to_stderr();
	log_event(LOG_WARNING, "load-unknown", some_fields, "says \"%s\"", "nothing");
	object = logged_object();
	assert_string_equal(text_of(object, "level"), "warning");
	assert_string_equal(text_of(object, "role"), "balancer");
	assert_string_equal(text_of(object, "instance"), "edge");
	assert_string_equal(text_of(object, "event"), "load-unknown");
	assert_string_equal(text_of(object, "message"), "says \"nothing\"");
	assert_string_equal(text_of(object, "service"), "web");
	assert_int_equal(json_integer_value(json_object_get(object, "count")), 7);
	assert_int_equal(strlen(text_of(object, "time")), strlen("2026-11-25T04:00:00.000000Z"));
	json_decref(object);
}

/* Whatever others have written: bytes that are no UTF-8, control characters, more than fits. */
static void for_machines_from_others(void **state)
{
	char *much = malloc(5000);
	json_t *object;

	(void)state;
	log_format(LOG_JSON);
	listen_to_stderr();
	log_error("\"\xff\xfe\" \001 %%");
	object = logged_object();
	assert_string_equal(text_of(object, "message"), "\"??\" \001 %");
	assert_string_equal(text_of(object, "event"), "message");
	json_decref(object);

	memset(much, '\001', 4999); /* each takes six characters in JSON */
	much[4999] = '\0';
	listen_to_stderr();
	log_error("%s", much);
	json_decref(logged_object());
	free(much);
}

static void for_the_journal(void **state)
{
	struct stat status;
	char stream[64];

	(void)state;
	log_format(LOG_TEXT);
	listen_to_stderr();
	fstat(STDERR_FILENO, &status);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_error("bad");
	log_notice("good");
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(logged(), "<3>plimsoll balancer: error: bad\n"
				      "<5>plimsoll balancer: good\n");
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

#define SECOND 1000000000ULL

static void limits(void **state)
{
	static struct log_limit limit;
	uint64_t one = log_limit_key(0, "one"), other = log_limit_key(0, "other");
	uint32_t withheld = 9;

	(void)state;
	assert_true(log_limit_allows(&limit, one, 2, SECOND, &withheld));
	assert_int_equal(withheld, 0);
	assert_true(log_limit_allows(&limit, one, 2, 2 * SECOND, &withheld));
	assert_false(log_limit_allows(&limit, one, 2, 3 * SECOND, &withheld));
	assert_false(log_limit_allows(&limit, one, 2, 4 * SECOND, &withheld));
	assert_true(log_limit_allows(&limit, other, 2, 4 * SECOND, &withheld));
	assert_true(log_limit_allows(&limit, one, 2, 11 * SECOND, &withheld));
	assert_int_equal(withheld, 2);
	assert_true(log_limit_allows(&limit, one, 2, 12 * SECOND, &withheld));
	assert_int_equal(withheld, 0);
	assert_int_not_equal(log_limit_key(log_limit_key(0, "a"), "bc"),
			     log_limit_key(log_limit_key(0, "ab"), "c"));
}

static void hear(enum log_level level, const char *text, void *context)
{
	(void)level;
	(void)text;
	++*(int *)context;
}

/* The last one: the limit stays. */
static void repeats(void **state)
{
	char name[16];
	int heard = 0;

	(void)state;
	log_format(LOG_TEXT);
	log_limit_repeats();
	listen_to_stderr();
	for (int i = 0; i < 1000; i++)
		log_event(LOG_WARNING, "flap", some_fields, "up and down, %d times", i);
	log_event(LOG_WARNING, "other", some_fields, "is told all the same");
	assert_int_equal(count_lines(logged()), 6);

	/* Many backends, one event: some are told, not four thousand. */
	listen_to_stderr();
	for (int i = 0; i < 4000; i++) {
		const struct log_field fields[] = {{"backend", name, 0}, {0}};

		snprintf(name, sizeof(name), "%d", i);
		log_event(LOG_WARNING, "no-neighbour", fields, "%s is gone", name);
	}
	assert_int_equal(count_lines(logged()), 50);

	/* Who listens, for an answer to somebody who waits for it, hears everything. */
	log_listen(hear, &heard);
	listen_to_stderr();
	for (int i = 0; i < 20; i++)
		log_error("refused");
	log_listen(NULL, NULL);
	logged();
	assert_int_equal(heard, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_people),
		cmocka_unit_test(for_machines),
		cmocka_unit_test(for_machines_from_others),
		cmocka_unit_test(for_the_journal),
		cmocka_unit_test(limits),
		cmocka_unit_test(repeats),
	};

	log_name("balancer");
	log_instance("edge");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
