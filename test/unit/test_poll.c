/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whom the poller asks for reports, and how often. */
#include "poll_fixture.h"

#include "../count.h"

static void nobody_is_asked_without_need(void **state)
{
	struct fixture *f = *state;
	struct poll_counts none;

	f->services[0].feedback = FEEDBACK_NONE;
	assert_int_equal(poll_open(f->base, &f->dataplane, &f->poller), 0);
	assert_null(f->poller);
	none = counts(f);
	assert_int_equal(none.polls + none.answers + none.late + none.refused, 0);
	assert_int_equal(poll_strangers(f->poller), 0);
}

static void a_server_of_two_services_is_asked_once(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	int second;

	SANDBOX_REQUIRED();
	f->services[1].feedback = FEEDBACK_POLL;
	f->agent = bound(FIRST, PORT, SOCK_DGRAM);
	second = bound(SECOND, PORT, SOCK_DGRAM);
	start(f);
	request(f, &asker);
	assert_false(readable(f, f->agent, SILENCE_MS));
	assert_true(readable(f, second, PATIENCE_MS));
	assert_int_equal(counts(f).polls, 1);
	assert_int_equal(poll_counts_of(f->poller, &f->services[1], backend(FIRST)).polls, 1);
	assert_int_equal(poll_counts_of(f->poller, &f->services[1], backend(SECOND)).polls, 1);
	close(second);
}

/* By the shorter of two intervals, and not more often than that. */
static void intervals_are_kept(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	struct poll_counts all;

	SANDBOX_REQUIRED();
	f->services[1].feedback = FEEDBACK_POLL;
	f->services[1].poll_interval_ns = 10 * MS;
	start_reports(f, 500 * MS);
	for (uint64_t end = now_ns() + 1000 * MS; now_ns() < end;)
		if (readable(f, f->agent, 1))
			reply(f, &asker, request(f, &asker), &sample);
	all = counts(f);
	assert_in_range(all.polls, 20, 101); /* by the longer it would be 3 */
	/* The same report again and again is not a newer one. */
	assert_int_equal(f->loads[1].reports, 1);
}

/* No more than 256 are on the way; after that he is asked ten times a second until he answers. */
static void a_silent_agent_is_asked_less(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in asker;
	uint32_t number = 0;

	SANDBOX_REQUIRED();
	start_reports(f, MS);
	while (readable(f, f->agent, 40))
		number = request(f, &asker);
	assert_in_range(counts(f).polls, 256, 262);
	run_for(f, 500);
	assert_in_range(counts(f).polls, 258, 275);
	while (readable(f, f->agent, 1))
		number = request(f, &asker);
	reply(f, &asker, number, &sample);
	run_for(f, 100);
	assert_true(counts(f).polls > 300);
}

/* 1000 servers that nobody has asked to be there: none holds up another. */
static void many_are_asked_in_slices(void **state)
{
	struct backend_config *backends = calloc(1000, sizeof(*backends));
	struct member *members = calloc(1000, sizeof(*members));
	struct fixture *f = *state;
	uint64_t polls = 0;

	SANDBOX_REQUIRED();
	assert_true(backends && members);
	for (uint32_t i = 0; i < 1000; i++) {
		backends[i].address = address_of_ipv4((struct in_addr){htonl(0x7f010000 + i)});
		members[i].config = &backends[i];
		members[i].server = 1;
	}
	f->services[0].backends = backends;
	f->services[0].backend_count = 1000;
	f->services[0].poll_interval_ns = 200 * MS;
	f->balanced[0].members = members;
	start(f);
	run_for(f, 1000);
	for (uint32_t i = 0; i < 1000; i++) {
		struct poll_counts all =
			poll_counts_of(f->poller, &f->services[0], backends[i].address);

		assert_in_range(all.polls, 1, 6);
		polls += all.polls;
	}
	assert_in_range(polls, 2000, 5100);
	free(backends);
	free(members);
}

/* Unless it is told, by default one lost poll does not make a server unknown. */
static void staleness_fits_the_interval(void **state)
{
	static const struct {
		const char *keys;
		uint64_t stale_after_ns;
	} services[] = {
		{"", 1000 * MS},
		{"feedback: poll", 3000 * MS}, /* a second is the interval, by default */
		{"feedback: poll, poll_interval: 2s", 6000 * MS},
		{"feedback: poll, poll_interval: 10ms", 1000 * MS},
		{"feedback: poll, poll_interval: 2s, stale_after: 5s", 5000 * MS},
		{"feedback: in-band, poll_interval: 2s", 1000 * MS},
	};
	char text[256], path[] = "/tmp/test_poll.XXXXXX";
	struct config *config;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < COUNT(services); i++) {
		int length = snprintf(text, sizeof(text),
				      "interfaces: [eth0]\nservices:\n  - {address: 10.1.0.100:80, "
				      "%s%s backends: [{address: 10.1.0.3}]}\n",
				      services[i].keys, services[i].keys[0] ? "," : "");

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, text, (size_t)length, 0), length);
		assert_int_equal(config_load(path, CONFIG_BALANCER, &config, stderr), 0);
		assert_int_equal(config->services[0].stale_after_ns, services[i].stale_after_ns);
		config_free(config);
	}
	close(fd);
	unlink(path);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(nobody_is_asked_without_need), TEST(a_server_of_two_services_is_asked_once),
		TEST(intervals_are_kept),	    TEST(a_silent_agent_is_asked_less),
		TEST(many_are_asked_in_slices),	    TEST(staleness_fits_the_interval),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
