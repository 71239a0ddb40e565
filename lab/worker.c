/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "worker.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define EVENTS_MAX 256
#define BACKLOG 4096

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

int fail(int err, const char *format, ...)
{
	va_list arguments;

	fputs("worker: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(-err));
	return err;
}

static void answer_done(struct worker *worker)
{
	struct job *job;

	while ((job = work_done(&worker->work, worker->now)))
		connection_answer(worker, job);
}

/* Until the next job is done, or the oracle has to say again that it lives. */
static uint64_t time_to_wait(const struct worker *worker)
{
	const struct job *job = work_first(&worker->work);
	uint64_t wait = ORACLE_INTERVAL_NS;

	if (job && job->finish_ns < worker->now + wait)
		wait = job->finish_ns > worker->now ? job->finish_ns - worker->now : 0;
	return wait;
}

static int serve(struct worker *worker)
{
	struct epoll_event events[EVENTS_MAX];

	while (!ended) {
		struct timespec wait = timespec_of(time_to_wait(worker));
		int count = epoll_pwait2(worker->epoll, events, EVENTS_MAX, &wait, NULL);
		bool controlled = false;

		if (count < 0 && errno != EINTR)
			return fail(-errno, "epoll");
		worker->now = clock_ns();
		/* A connection goes away in its own event, so those behind it are still there. */
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &worker->listener)
				accept_all(worker);
			else if (events[i].data.ptr == &worker->control)
				controlled = true;
			else
				connection_event(worker, events[i].data.ptr, events[i].events);
		}
		answer_done(worker);
		if (controlled)
			control_read(worker);
		if (worker->now - worker->oracle.told_ns >= ORACLE_INTERVAL_NS) {
			truth_begin(worker);
			truth_end(worker);
		}
	}
	return 0;
}

static int listen_open(struct worker *worker)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &worker->listener};
	int on = 1;

	worker->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (worker->listener < 0 ||
	    setsockopt(worker->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(worker->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    bind(worker->listener, (struct sockaddr *)&worker->listen, sizeof(worker->listen)) ||
	    listen(worker->listener, BACKLOG) ||
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->listener, &event))
		return fail(-errno, "cannot listen");
	return 0;
}

static void write_answers(struct worker *worker, size_t body)
{
	for (int closes = 0; closes < 2; closes++) {
		char *text = worker->answer[closes];
		int head = snprintf(text, ANSWER_HEAD_MAX,
				    "HTTP/1.1 200 OK\r\nX-Server: %s\r\nContent-Length: %zu\r\n"
				    "Content-Type: text/plain\r\nConnection: %s\r\n\r\n",
				    worker->name, body, closes ? "close" : "keep-alive");

		memset(text + head, '.', body);
		worker->answer_length[closes] = (size_t)head + body;
	}
}

struct options {
	const char *control, *truth, *oracle;
	uint64_t seed, body, index;
};

/* One seed for all servers, and yet to each its own numbers: FNV-1a over the name. */
static void seed(struct worker *worker, uint64_t value)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (const char *c = worker->name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3ULL;
	worker->random.state = hash + value * 0x9e3779b97f4a7c15ULL;
	worker->random.state = random_next(&worker->random);
}

static int run(struct worker *worker, const struct options *options)
{
	struct rlimit files;
	int err;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* Or the kernel lets sleepers wait 50 us longer, for company. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	signal(SIGTERM, end);
	signal(SIGINT, end);
	worker->now = clock_ns();
	seed(worker, options->seed);
	write_answers(worker, options->body);
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll < 0)
		return fail(-errno, "epoll");
	if (options->oracle) {
		err = oracle_open(&worker->oracle, options->oracle, (uint32_t)options->index);
		if (err)
			return fail(err, "%s", options->oracle);
	}
	err = truth_open(worker, options->truth);
	if (!err)
		err = control_open(worker, options->control);
	if (!err)
		err = listen_open(worker);
	if (err)
		return err;
	printf("worker %s is ready\n", worker->name);
	fflush(stdout);
	return serve(worker);
}

static const char usage[] =
	"worker --name NAME [--listen 0.0.0.0:80] [--workers 1] [--mean 10ms] [--speed 1]\n"
	"       [--distribution exponential|fixed|uniform:20ms,80ms] [--mix SHARE,FACTOR/SHARE,FACTOR]\n"
	"       [--seed 1] [--body 200] [--control SOCKET] [--truth FILE]\n"
	"       [--oracle PINNED_MAP --server-index N [--balancer ADDRESS]]\n";

static const struct option option_table[] = {
	{"name", required_argument, NULL, 'n'},
	{"listen", required_argument, NULL, 'l'},
	{"workers", required_argument, NULL, 'w'},
	{"mean", required_argument, NULL, 'm'},
	{"speed", required_argument, NULL, 'p'},
	{"distribution", required_argument, NULL, 'd'},
	{"mix", required_argument, NULL, 'x'},
	{"seed", required_argument, NULL, 's'},
	{"body", required_argument, NULL, 'b'},
	{"control", required_argument, NULL, 'c'},
	{"truth", required_argument, NULL, 't'},
	{"oracle", required_argument, NULL, 'o'},
	{"server-index", required_argument, NULL, 'i'},
	{"balancer", required_argument, NULL, 'a'},
	{0},
};

static int set_option(struct worker *worker, struct options *options, int option, const char *value)
{
	uint64_t workers;
	int err;

	switch (option) {
	case 'n':
		worker->name = value;
		return strlen(value) && strlen(value) < 64 ? 0 : -EINVAL;
	case 'l':
		return parse_endpoint(value, &worker->listen);
	case 'w':
		err = parse_count(value, 1, WORKERS_MAX, &workers);
		worker->work.workers = (unsigned int)workers;
		return err;
	case 'm':
		return parse_duration(value, NULL, &worker->service.mean_ns);
	case 'p':
		return parse_real(value, 1e-6, &worker->work.speed);
	case 'd':
		return service_time_parse(value, &worker->service);
	case 'x':
		return service_mix_parse(value, &worker->service);
	case 's':
		return parse_count(value, 0, UINT64_MAX, &options->seed);
	case 'b':
		return parse_count(value, 0, ANSWER_MAX, &options->body);
	case 'i':
		return parse_count(value, 1, SERVERS_MAX - 1, &options->index);
	case 'a':
		return inet_pton(AF_INET, value, &worker->balancer) == 1 ? 0 : -EINVAL;
	case 'c':
		options->control = value;
		return 0;
	case 't':
		options->truth = value;
		return 0;
	case 'o':
		options->oracle = value;
		return 0;
	default:
		return -EINVAL;
	}
}

int main(int argc, char **argv)
{
	static struct worker worker = {
		.service.mean_ns = 10 * NS_PER_MS,
		.work = {.workers = 1, .speed = 1},
	};
	struct options options = {.seed = 1, .body = 200};
	int option;

	parse_endpoint("0.0.0.0:80", &worker.listen);
	while ((option = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
		if (set_option(&worker, &options, option, optarg)) {
			if (option != '?')
				fprintf(stderr, "worker: \"%s\" is not possible\n", optarg);
			fputs(usage, stderr);
			return 2;
		}
	}
	if (!worker.name || optind < argc || (options.oracle && !options.index)) {
		fputs(usage, stderr);
		return 2;
	}
	return run(&worker, &options) ? 1 : 0;
}
