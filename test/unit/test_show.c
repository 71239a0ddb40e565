/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"

static const char balancer[] =
	"{\"role\": \"balancer\", \"instance\": \"edge\", \"version\": \"0.1.0\","
	" \"uptime_seconds\": 125.0, \"interfaces\": [{\"name\": \"eth0\", \"xdp_mode\": \"native\"}],"
	" \"keyed\": false, \"flows\": {\"capacity\": 1000000, \"used\": 120,"
	"  \"bytes\": 8000000, \"states\": {\"opening\": 7, \"open\": 113, \"closing\": 0},"
	"  \"evicted\": {\"opening\": 31, \"open\": 0}, \"no_room\": 1, \"contested\": 5},"
	" \"services\": [{\"name\": \"web\", \"address\": \"10.1.0.100:80\", \"protocol\": \"tcp\","
	"  \"policy\": \"power-of-choices\", \"choices\": 4, \"signal\": \"in-flight\","
	"  \"feedback\": \"in-band\", \"connections\": 1000, \"connections_per_second\": 510.0,"
	"  \"packets\": 6000, \"bytes\": 500000, \"backends\": ["
	"  {\"address\": \"10.1.0.11\", \"weight\": 1, \"state\": \"healthy\", \"in_flight\": 3,"
	"   \"utilisation\": 0.71, \"latency_us\": 840, \"accept_queue\": 0.0,"
	"   \"report_age_ms\": 1.9, \"known\": true, \"reports\": 4000, \"pending\": 2,"
	"   \"share\": 0.25, \"connections_per_second\": 127.5},"
	"  {\"address\": \"10.1.0.12\", \"weight\": 2, \"state\": \"healthy\", \"in_flight\": 12,"
	"   \"utilisation\": 1.0, \"latency_us\": 12500, \"accept_queue\": 0.013,"
	"   \"report_age_ms\": 0.4, \"known\": true, \"reports\": 1234567, \"pending\": 0,"
	"   \"share\": 0.75, \"connections_per_second\": 382.5},"
	"  {\"address\": \"10.1.0.13\", \"weight\": 2, \"state\": \"healthy\", \"in_flight\": 1,"
	"   \"utilisation\": 0.0, \"latency_us\": 99, \"accept_queue\": 0.0,"
	"   \"report_age_ms\": 3200.0, \"known\": false, \"reports\": 7, \"pending\": 0,"
	"   \"share\": 0.001, \"connections_per_second\": 0.5},"
	"  {\"address\": \"10.1.0.14\", \"weight\": 100, \"state\": \"down\","
	"   \"since\": \"2026-11-25T03:23:58Z\", \"cause\": \"fails its tcp check\","
	"   \"in_flight\": null, \"utilisation\": null, \"latency_us\": null,"
	"   \"accept_queue\": null, \"report_age_ms\": null, \"known\": false, \"reports\": 0,"
	"   \"pending\": 0, \"share\": 0.0, \"connections_per_second\": 0.0}]}],"
	" \"counters\": {\"forwarded\": 6000, \"report-taken\": 4000, \"report-old\": 2,"
	"  \"malformed\": 0, \"report-wrong-tag\": 31, \"from-the-future\": 1}}";

static const char balancer_view[] =
	"balancer edge: up 2m05s, plimsoll 0.1.0, eth0 (native), reports not keyed\n"
	"\n"
	"web 10.1.0.100:80/tcp: power-of-choices (4) on in-flight, feedback in-band, 510.0 conn/s\n"
	"  backend   state   weight in-flight util latency queue pending   age reports conn/s"
	" share\n"
	"  10.1.0.11 healthy      1         3  71%   840us    0%       2 1.9ms    4000  127.5"
	"   25% ###\n"
	"  10.1.0.12 healthy      2        12 100%  12.5ms    1%       0 400us    1.2M  382.5"
	"   75% #########\n"
	"  10.1.0.13 healthy      2         1   0%    99us    0%       0  3.2s       7    0.5"
	"   <1% #\n"
	"  10.1.0.14 down       100         -    -       -     -       0     -       0    0.0"
	"    0%\n"
	"  10.1.0.14 is down since 2026-11-25T03:23:58Z: it fails its tcp check\n"
	"\n"
	"flows: 120 of 1000000 used (8.0MB, 8 bytes each)\n"
	"  opening 7, open 113\n"
	"  gave way: opening 31\n"
	"  by hash alone: 5 where others wanted the place too, 1 without any\n"
	"\n"
	"packets\n"
	"  6000  forwarded        sent on to its backend\n"
	"  4000  report-taken     report believed, taken out, packet sent to client\n"
	"     1  from-the-future\n"
	"\n"
	"refused\n"
	"   2  report-old        report not newer than the last: not believed, taken out, packet sent"
	" to\n"
	"                        client\n"
	"  31  report-wrong-tag  report whose tag does not fit the key\n";

static const char server[] =
	"{\"role\": \"server\", \"instance\": \"server\", \"version\": \"0.1.0\","
	" \"uptime_seconds\": 12.5, \"interfaces\": [{\"name\": \"eth0\"}], \"keyed\": true,"
	" \"services\": [{\"address\": \"10.1.0.100:80\", \"protocol\": \"tcp\"}],"
	" \"load\": {\"in_flight\": 3, \"utilisation\": 0.71, \"latency_us\": null,"
	"  \"accept_queue\": 0.0, \"requests\": 1000, \"connections\": 1001, \"resets\": 0},"
	" \"balancers\": [{\"address\": \"10.1.0.2\", \"mac\": \"02:00:00:00:00:02\","
	"  \"heard_age_ms\": 0.4, \"report_age_ms\": 1.9, \"connections_seen\": 1000,"
	"  \"reports\": 90, \"report_bytes\": 12345}],"
	" \"responses\": {\"packets\": 9000, \"bytes\": 10000000},"
	" \"carriers\": {\"stamped\": 90, \"not-due\": 8910, \"mtu\": 0}}";

static const char server_view[] =
	"server server: up 12.5s, plimsoll 0.1.0, eth0, reports keyed\n"
	"\n"
	"service 10.1.0.100:80/tcp\n"
	"\n"
	"load\n"
	"  in-flight 3, utilisation 71%, latency -, accept queue 0%\n"
	"  requests 1000, connections 1001, resets 0\n"
	"\n"
	"  balancer  mac                heard  reported  connections  reports   bytes\n"
	"  10.1.0.2  02:00:00:00:00:02  400us     1.9ms         1000       90  12.3kB\n"
	"\n"
	"responses: 9000 packets, 10.0MB; by way of a balancer 1.0% of them, 0.1% of the bytes\n"
	"    90  stamped  bore a report\n"
	"  8910  not-due  the last report is too recent, or nothing has changed\n";

static char *render(const char *text, bool colour)
{
	json_t *status = json_loads(text, 0, NULL);
	char *rendered = NULL;
	size_t length;
	FILE *out;

	assert_non_null(status);
	out = open_memstream(&rendered, &length);
	assert_non_null(out);
	show_render(out, status, colour);
	fclose(out);
	json_decref(status);
	return rendered;
}

static size_t longest_line(const char *text)
{
	size_t length, longest = 0;

	for (; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		if (length > longest)
			longest = length;
	}
	return longest;
}

static void test_balancer(void **state)
{
	char *text = render(balancer, false);

	(void)state;
	assert_string_equal(text, balancer_view);
	assert_true(longest_line(text) <= SCREEN_COLUMNS);
	free(text);
}

static void test_server(void **state)
{
	char *text = render(server, false);

	(void)state;
	assert_string_equal(text, server_view);
	free(text);
}

/* A state and an address as long as they get, numbers as wide: still no line is broken. */
static void test_widest(void **state)
{
	static const char backend[] =
		"{\"role\": \"balancer\", \"services\": [{\"name\": \"a\", \"backends\": ["
		" {\"address\": \"192.168.100.101\", \"state\": \"draining\", \"weight\": 1000,"
		"  \"in_flight\": 65535, \"utilisation\": 1, \"latency_us\": 99900,"
		"  \"accept_queue\": 1, \"pending\": 1000, \"report_age_ms\": 99.9,"
		"  \"reports\": 999940000, \"connections_per_second\": 123456, \"share\": 1}]}]}";
	char *text = render(backend, false);

	(void)state;
	assert_true(longest_line(text) <= SCREEN_COLUMNS);
	assert_non_null(strstr(text, " 999.9M 123456  100%"));
	free(text);
}

/* What was done by hand, and how far the draining has come, stands below the table. */
static void test_by_hand(void **state)
{
	static const char status[] =
		"{\"role\": \"balancer\", \"services\": [{\"name\": \"web\", \"backends\": ["
		" {\"address\": \"10.1.0.11\", \"state\": \"draining\", \"open_connections\": 12,"
		"  \"changed\": [\"weight\", \"draining\"]},"
		" {\"address\": \"10.1.0.12\", \"state\": \"healthy\", \"changed\": [\"weight\"]},"
		" {\"address\": \"10.1.0.13\", \"state\": \"healthy\", \"changed\": []}]}]}";
	char *text = render(status, false);

	(void)state;
	assert_non_null(strstr(text,
			       "\n  10.1.0.11 drains: 12 connections left; by hand, and not in "
			       "the file: weight, draining\n"
			       "  10.1.0.12 by hand, and not in the file: weight\n"));
	assert_null(strstr(text, "10.1.0.13 by hand"));
	free(text);
}

/* A name that says no more than the address is not told twice. */
static void test_unnamed_service(void **state)
{
	char *text = render("{\"role\": \"balancer\", \"services\": [{\"name\": \"1.2.3.4:80\","
			    " \"address\": \"1.2.3.4:80\", \"protocol\": \"tcp\","
			    " \"policy\": \"maglev\", \"choices\": null, \"feedback\": \"none\"}]}",
			    false);

	(void)state;
	assert_non_null(strstr(text, "\n1.2.3.4:80/tcp: maglev, feedback none, - conn/s\n"));
	free(text);
}

static void test_nothing_known(void **state)
{
	char *text = render("{}", false);

	(void)state;
	assert_string_equal(text, "- -: up -, plimsoll -, reports not keyed\n");
	free(text);
}

static void test_colour(void **state)
{
	char *text = render(balancer, true);

	(void)state;
	assert_non_null(strstr(text, "\033[1mbalancer edge\033[0m: up"));
	assert_non_null(strstr(text, "\033[31mdown   \033[0m "));
	assert_non_null(strstr(text, "\033[2m 3.2s\033[0m ")); /* too old to be believed */
	assert_non_null(strstr(text, "\033[36m#########\033[0m\n"));
	assert_non_null(strstr(text, "\033[31mrefused\033[0m\n"));
	free(text);
}

static void check_format(enum unit unit, double number, const char *expected)
{
	json_t *object = json_pack("{s:f}", "n", number);

	assert_string_equal(format_field(object, "n", unit).text, expected);
	json_decref(object);
}

/* Where printf rounds to one digit more, the unit changes before. */
static void test_formats(void **state)
{
	(void)state;
	check_format(UNIT_COUNT, 0, "0");
	check_format(UNIT_COUNT, 999999, "999999");
	check_format(UNIT_COUNT, 1e6, "1.0M");
	check_format(UNIT_COUNT, 999949999, "999.9M");
	check_format(UNIT_COUNT, 999950001, "1.0G");
	check_format(UNIT_BYTES, 999, "999B");
	check_format(UNIT_BYTES, 1000, "1.0kB");
	check_format(UNIT_BYTES, 4.2e15, "4.2PB");
	check_format(UNIT_RATE, 0.04, "0.0");
	check_format(UNIT_RATE, 999.9, "999.9");
	check_format(UNIT_RATE, 999.96, "1000");
	check_format(UNIT_FRACTION, 0, "0%");
	check_format(UNIT_FRACTION, 0.005, "<1%");
	check_format(UNIT_FRACTION, 0.0051, "1%");
	check_format(UNIT_FRACTION, 1, "100%");
	check_format(UNIT_MICROSECONDS, 999.4, "999us");
	check_format(UNIT_MICROSECONDS, 999.6, "1.0ms");
	check_format(UNIT_MILLISECONDS, 99.94, "99.9ms");
	check_format(UNIT_MILLISECONDS, 99.96, "100ms");
	check_format(UNIT_MILLISECONDS, 999.6, "1.0s");
	check_format(UNIT_SECONDS, 59.94, "59.9s");
	check_format(UNIT_SECONDS, 59.96, "1m00s");
	check_format(UNIT_SECONDS, 3599.4, "59m59s");
	check_format(UNIT_SECONDS, 3600, "1h00m");
	check_format(UNIT_SECONDS, 90000, "1d01h");
	check_format(UNIT_TEXT, 1, "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balancer),      cmocka_unit_test(test_server),
		cmocka_unit_test(test_widest),	      cmocka_unit_test(test_unnamed_service),
		cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_colour),
		cmocka_unit_test(test_formats),	      cmocka_unit_test(test_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
