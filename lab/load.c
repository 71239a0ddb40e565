/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define EVENTS_MAX 256
/* A client of the closed loop whose request fails tries again after this long. */
#define PAUSE_NS (10 * NS_PER_MS)

int fail(int err, const char *format, ...)
{
	va_list arguments;

	fputs("load: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(-err));
	return err;
}

/* The client asks again. Not at once: this may be called out of request_start(). */
static void client_free(struct generator *load)
{
	load->outstanding--;
	load->limited = false;
}

void load_answered(struct generator *load, const struct request *request)
{
	result_answered(load, request);
	client_free(load);
}

void load_failed(struct generator *load, const struct request *request, enum failure failure)
{
	result_failed(load, request, failure);
	client_free(load);
	load->paused += load->clients && load->now < load->end_ns;
}

static void start_closed(struct generator *load)
{
	while (load->outstanding + load->paused < load->clients)
		request_start(load, load->now);
}

static void start_open(struct generator *load)
{
	for (;;) {
		uint64_t due = load->start_ns + (uint64_t)load->next_ns;

		if (due > load->now || due >= load->end_ns)
			return;
		if (load->outstanding >= load->outstanding_max) {
			load->limited = true;
			return;
		}
		/* What was due while too many were outstanding is not late for our own sake. */
		if (!load->limited) {
			uint64_t lag = load->now - due;

			load->result.lag_sum_ns += lag;
			if (lag > load->result.lag_max_ns)
				load->result.lag_max_ns = lag;
		}
		request_start(load, due);
		load->next_ns += random_exponential(&load->random, 1e9 / load->rate);
	}
}

static void start(struct generator *load)
{
	if (load->now >= load->end_ns)
		return;
	if (load->clients)
		start_closed(load);
	else
		start_open(load);
}

/* Until something is due: a request, the end of a client's breath, a time-out, the end. */
static uint64_t time_to_wait(const struct generator *load, uint64_t until, uint64_t pause_end)
{
	uint64_t next = until;
	uint64_t due = load->start_ns + (uint64_t)load->next_ns;

	if (!load->clients && !load->limited && due < load->end_ns && due < next)
		next = due;
	if (load->paused && pause_end < next)
		next = pause_end;
	if (load->first && load->first->started_ns + (uint64_t)load->timeout_ns < next)
		next = load->first->started_ns + (uint64_t)load->timeout_ns;
	return next > load->now ? next - load->now : 0;
}

static int wait_for_events(struct generator *load, uint64_t wait_ns)
{
	struct epoll_event events[EVENTS_MAX];
	struct timespec wait = timespec_of(wait_ns);
	int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);

	if (count < 0 && errno != EINTR)
		return fail(-errno, "epoll");
	load->now = clock_ns();
	/* Whoever goes away goes in an event of its own; no request begins before all are done. */
	for (int i = 0; i < count; i++)
		request_event(load, events[i].data.ptr, events[i].events);
	request_expire(load);
	return 0;
}

/* Up to the end, and on until the last answer or the end of all patience. */
static int generate(struct generator *load)
{
	uint64_t patience_ns = load->end_ns + (uint64_t)load->drain_ns;
	uint64_t pause_end = load->now + PAUSE_NS;

	while (load->now < load->end_ns || (load->outstanding && load->now < patience_ns)) {
		uint64_t until = load->now < load->end_ns ? load->end_ns : patience_ns;
		int err;

		start(load);
		err = wait_for_events(load, time_to_wait(load, until, pause_end));
		if (err)
			return err;
		if (load->now >= pause_end) {
			load->paused = 0;
			pause_end = load->now + PAUSE_NS;
		}
	}
	request_abandon(load);
	return 0;
}

/* What was due in time and never began. */
static void count_unstarted(struct generator *load)
{
	while (!load->clients && load->start_ns + (uint64_t)load->next_ns < load->end_ns) {
		uint64_t due = load->start_ns + (uint64_t)load->next_ns;

		load->result.unstarted += due >= load->measure_ns;
		result_waited(load, due);
		load->next_ns += random_exponential(&load->random, 1e9 / load->rate);
	}
}

static void wait_for_start(struct generator *load)
{
	struct timespec start_time;

	load->now = clock_ns();
	if (load->start_ns > load->now) {
		start_time = timespec_of(load->start_ns);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start_time, NULL);
		load->now = clock_ns();
	} else {
		load->start_ns = load->now;
	}
	load->measure_ns = load->start_ns + (uint64_t)load->warmup_ns;
	load->end_ns = load->measure_ns + (uint64_t)load->duration_ns;
}

static int run(struct generator *load)
{
	char address[INET_ADDRSTRLEN];
	struct rlimit files;
	int err;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* Or the kernel lets sleepers wait 50 us longer, for company. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	inet_ntop(AF_INET, &load->target.sin_addr, address, sizeof(address));
	load->question_length = (size_t)snprintf(
		load->question, sizeof(load->question),
		"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", load->path, address);
	load->random.state = load->seed;
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		return fail(-errno, "epoll");
	wait_for_start(load);
	if (!load->clients)
		load->next_ns = random_exponential(&load->random, 1e9 / load->rate);
	err = generate(load);
	if (err)
		return err;
	count_unstarted(load);
	result_print(load, stdout);
	return 0;
}

static const char usage[] =
	"load --closed CLIENTS | --open REQUESTS_PER_SECOND [--outstanding 8192]\n"
	"     [--target 10.1.0.100:80] [--path /] [--sources ADDRESS,ADDRESS...]\n"
	"     [--warmup 1s] [--duration 10s] [--drain 2s] [--timeout 5s] [--seed 1]\n"
	"     [--start-at CLOCK_MONOTONIC_NS] [--series 1ms]\n"
	"Prints one line of JSON. Latencies and requests/s are those of the duration, after the warm-up.\n";

static const struct option option_table[] = {
	{"closed", required_argument, NULL, 'c'},      {"open", required_argument, NULL, 'o'},
	{"outstanding", required_argument, NULL, 'm'}, {"target", required_argument, NULL, 't'},
	{"path", required_argument, NULL, 'p'},	       {"sources", required_argument, NULL, 'a'},
	{"warmup", required_argument, NULL, 'w'},      {"duration", required_argument, NULL, 'd'},
	{"drain", required_argument, NULL, 'r'},       {"timeout", required_argument, NULL, 'x'},
	{"seed", required_argument, NULL, 's'},	       {"start-at", required_argument, NULL, 'b'},
	{"series", required_argument, NULL, 'i'},      {0},
};

static int parse_sources(struct generator *load, char *list)
{
	for (char *text = strtok(list, ","); text; text = strtok(NULL, ",")) {
		if (load->source_count == SOURCES_MAX ||
		    inet_pton(AF_INET, text, &load->sources[load->source_count++]) != 1)
			return -EINVAL;
	}
	return 0;
}

static int set_option(struct generator *load, int option, char *value)
{
	switch (option) {
	case 'c':
		return parse_count(value, 1, 60000, &load->clients);
	case 'o':
		return parse_real(value, 1e-3, &load->rate);
	case 'm':
		return parse_count(value, 1, 60000, &load->outstanding_max);
	case 't':
		return parse_endpoint(value, &load->target);
	case 'p':
		load->path = value;
		return *value == '/' && strlen(value) < 512 ? 0 : -EINVAL;
	case 'a':
		return parse_sources(load, value);
	case 'w':
		return parse_duration(value, NULL, &load->warmup_ns);
	case 'd':
		return parse_duration(value, NULL, &load->duration_ns);
	case 'r':
		return parse_duration(value, NULL, &load->drain_ns);
	case 'x':
		return parse_duration(value, NULL, &load->timeout_ns);
	case 's':
		return parse_count(value, 0, UINT64_MAX, &load->seed);
	case 'b':
		return parse_count(value, 1, UINT64_MAX, &load->start_ns);
	case 'i':
		return parse_duration(value, NULL, &load->series_ns) ||
				       load->series_ns < NS_PER_US ?
			       -EINVAL :
			       0;
	default:
		return -EINVAL;
	}
}

int main(int argc, char **argv)
{
	static struct generator load = {
		.path = "/",
		.outstanding_max = 8192,
		.seed = 1,
		.warmup_ns = 1e9,
		.duration_ns = 10e9,
		.drain_ns = 2e9,
		.timeout_ns = 5e9,
	};
	int option;

	parse_endpoint("10.1.0.100:80", &load.target);
	while ((option = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
		if (set_option(&load, option, optarg)) {
			if (option != '?')
				fprintf(stderr, "load: \"%s\" is not possible\n", optarg);
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc || !load.clients == !(load.rate > 0) || !(load.duration_ns > 0)) {
		fputs(usage, stderr);
		return 2;
	}
	return run(&load) ? 1 : 0;
}
