/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lab's instruments: work that takes time, service times, percentiles, heads of HTTP messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lab/http.h"
#include "../../lab/percentile.h"
#include "../../lab/service_time.h"
#include "../../lab/work.h"

#define MS 1000000ULL

static void add(struct work *work, struct job *job, uint64_t milliseconds, uint64_t now)
{
	job->work_ns = milliseconds * MS;
	work_add(work, job, now);
}

static void others_wait_in_line(void **state)
{
	struct work work = {.workers = 1, .speed = 1};
	struct job first, second, third;

	(void)state;
	add(&work, &first, 10, 0);
	add(&work, &second, 5, 1 * MS);
	add(&work, &third, 1, 2 * MS);
	assert_int_equal(work.busy, 1);
	assert_null(work_done(&work, 9 * MS));
	assert_ptr_equal(work_done(&work, 10 * MS), &first);
	assert_null(work_done(&work, 10 * MS));
	assert_int_equal(second.finish_ns, 15 * MS);
	/* Nobody has looked for long: who was next has gone on in time. */
	assert_ptr_equal(work_done(&work, 20 * MS), &second);
	assert_int_equal(third.finish_ns, 16 * MS);
	assert_ptr_equal(work_done(&work, 20 * MS), &third);
	assert_null(work_done(&work, 20 * MS));
	assert_int_equal(work.busy, 0);
	assert_null(work.first);
	assert_null(work.last);
}

static void nobody_begins_before_he_came(void **state)
{
	struct work work = {.workers = 1, .speed = 1};
	struct job first, second;

	(void)state;
	add(&work, &first, 10, 0);
	/* The first is done, but that is noticed only later. */
	add(&work, &second, 10, 30 * MS);
	assert_ptr_equal(work_done(&work, 31 * MS), &first);
	assert_int_equal(second.finish_ns, 40 * MS);
}

static void several_work_at_a_time(void **state)
{
	struct work work = {.workers = 2, .speed = 1};
	struct job jobs[3];

	(void)state;
	add(&work, &jobs[0], 30, 0);
	add(&work, &jobs[1], 10, 0);
	add(&work, &jobs[2], 10, 0);
	assert_int_equal(work.busy, 2);
	assert_ptr_equal(work_done(&work, 100 * MS), &jobs[1]);
	assert_ptr_equal(work_done(&work, 100 * MS), &jobs[2]);
	assert_ptr_equal(work_done(&work, 100 * MS), &jobs[0]);
	assert_int_equal(jobs[2].finish_ns, 20 * MS);
}

static void speed_counts_for_what_is_left(void **state)
{
	struct work work = {.workers = 1, .speed = 1};
	struct job first, second;

	(void)state;
	add(&work, &first, 10, 0);
	add(&work, &second, 10, 0);
	work_set_speed(&work, 0.2, 4 * MS);
	assert_int_equal(first.finish_ns, 34 * MS);
	assert_ptr_equal(work_done(&work, 34 * MS), &first);
	assert_int_equal(second.finish_ns, 84 * MS);
	work_set_speed(&work, 1, 64 * MS);
	assert_int_equal(second.finish_ns, 68 * MS);
}

static void fewer_and_more_workers(void **state)
{
	struct work work = {.workers = 1, .speed = 1};
	struct job jobs[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&work, &jobs[i], 10, 0);
	work_set_workers(&work, 3, 5 * MS);
	assert_int_equal(work.busy, 3);
	assert_int_equal(jobs[2].finish_ns, 15 * MS);
	work_set_workers(&work, 1, 6 * MS);
	assert_int_equal(work.busy, 3);
	assert_ptr_equal(work_done(&work, 10 * MS), &jobs[0]);
	assert_int_equal(work.busy, 2);
}

static void who_leaves_makes_room(void **state)
{
	struct work work = {.workers = 1, .speed = 1};
	struct job jobs[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		add(&work, &jobs[i], 10, 0);
	work_remove(&work, &jobs[2], 1 * MS); /* out of the line */
	work_remove(&work, &jobs[0], 2 * MS); /* in the middle of the work */
	assert_ptr_equal(work_first(&work), &jobs[1]);
	assert_int_equal(jobs[1].finish_ns, 12 * MS);
	work_remove(&work, &jobs[3], 3 * MS); /* the line's last */
	assert_null(work.first);
	assert_null(work.last);
	assert_ptr_equal(work_done(&work, 12 * MS), &jobs[1]);
	assert_int_equal(work.busy, 0);
}

static double mean_of(const struct service_time *service, int count)
{
	struct random random = {.state = 7};
	double sum = 0;

	for (int i = 0; i < count; i++)
		sum += (double)service_draw(service, &random);
	return sum / count / (double)MS;
}

static void service_times_have_their_means(void **state)
{
	struct service_time service = {.mean_ns = 10 * MS};

	(void)state;
	assert_int_equal(service_time_parse("exponential", &service), 0);
	assert_true(fabs(mean_of(&service, 100000) - 10) < 0.1);
	assert_int_equal(service_mix_parse("0.9,1/0.1,11", &service), 0);
	assert_true(fabs(mean_of(&service, 100000) - 20) < 0.4);
	service.classes = 0;
	assert_int_equal(service_time_parse("fixed", &service), 0);
	assert_int_equal(mean_of(&service, 100), 10);
	assert_int_equal(service_time_parse("uniform:20ms,80ms", &service), 0);
	assert_true(fabs(mean_of(&service, 100000) - 50) < 0.3);
}

static void the_same_seed_draws_the_same(void **state)
{
	struct service_time service = {.kind = SERVICE_EXPONENTIAL, .mean_ns = 10 * MS};
	struct random one = {.state = 5}, other = {.state = 5}, third = {.state = 6};

	(void)state;
	for (int i = 0; i < 100; i++) {
		uint64_t drawn = service_draw(&service, &one);

		assert_int_equal(drawn, service_draw(&service, &other));
		assert_int_not_equal(drawn, service_draw(&service, &third));
	}
}

static void what_is_no_service_time(void **state)
{
	static const char *const kinds[] = {
		"", "normal", "uniform", "uniform:20ms", "uniform:20,80", "uniform:80ms,20ms"};
	static const char *const mixes[] = {"", "1", "0.5,1", "0.5,1/0.4,2", "1,0", "0.5,1/0.5,2/"};
	struct service_time service;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		assert_int_not_equal(service_time_parse(kinds[i], &service), 0);
	for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++)
		assert_int_not_equal(service_mix_parse(mixes[i], &service), 0);
}

static void percentiles_by_nearest_rank(void **state)
{
	uint64_t values[1000];

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		values[i] = i + 1;
	assert_int_equal(percentile(values, 1000, 0.5), 500);
	assert_int_equal(percentile(values, 1000, 0.99), 990);
	assert_int_equal(percentile(values, 1000, 0.999), 999);
	assert_int_equal(percentile(values, 1000, 1), 1000);
	assert_int_equal(percentile(values, 3, 0.5), 2);
	assert_int_equal(percentile(values, 1, 0.99), 1);
	assert_int_equal(percentile(values, 0, 0.5), 0);
}

static void heads_of_messages(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nx-server: s7\r\nContent-Length:12\r\n"
				   "Connection: Close\r\n\r\nhello";
	size_t head = http_head(text, sizeof(text) - 1);

	(void)state;
	assert_int_equal(head, sizeof(text) - 1 - 5);
	for (size_t i = 0; i < head; i++)
		assert_int_equal(http_head(text, i), 0);
	assert_memory_equal(http_field(text, head, "X-Server"), "s7\r", 3);
	assert_null(http_field(text, head, "Server"));
	assert_null(http_field(text, head, "HTTP/1.1 200 OK"));
	assert_int_equal(http_content_length(text, head), 12);
	assert_true(http_closes(text, head));
	assert_int_equal(http_content_length("GET / HTTP/1.1\r\n\r\n", 18), -1);
	assert_false(http_closes("GET / HTTP/1.1\r\n\r\n", 18));
	assert_true(http_closes("GET / HTTP/1.0\r\n\r\n", 18));
}

static void values_with_units(void **state)
{
	struct sockaddr_in endpoint;
	uint64_t count;
	double ns = 0;

	(void)state;
	assert_int_equal(parse_duration("1.5ms", NULL, &ns), 0);
	assert_true(ns == 1.5e6);
	assert_int_equal(parse_duration("2s", NULL, &ns), 0);
	assert_true(ns == 2e9);
	assert_int_not_equal(parse_duration("2", NULL, &ns), 0);
	assert_int_not_equal(parse_duration("2sec", NULL, &ns), 0);
	assert_int_not_equal(parse_duration("-2s", NULL, &ns), 0);
	assert_int_equal(parse_count("256", 1, 256, &count), 0);
	assert_int_not_equal(parse_count("257", 1, 256, &count), 0);
	assert_int_not_equal(parse_count("-1", 0, UINT64_MAX, &count), 0);
	assert_int_equal(parse_endpoint("10.1.0.100:80", &endpoint), 0);
	assert_int_equal(ntohs(endpoint.sin_port), 80);
	assert_int_not_equal(parse_endpoint("10.1.0.100", &endpoint), 0);
	assert_int_not_equal(parse_endpoint("10.1.0.100:0", &endpoint), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_wait_in_line),
		cmocka_unit_test(nobody_begins_before_he_came),
		cmocka_unit_test(several_work_at_a_time),
		cmocka_unit_test(speed_counts_for_what_is_left),
		cmocka_unit_test(fewer_and_more_workers),
		cmocka_unit_test(who_leaves_makes_room),
		cmocka_unit_test(service_times_have_their_means),
		cmocka_unit_test(the_same_seed_draws_the_same),
		cmocka_unit_test(what_is_no_service_time),
		cmocka_unit_test(percentiles_by_nearest_rank),
		cmocka_unit_test(heads_of_messages),
		cmocka_unit_test(values_with_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
