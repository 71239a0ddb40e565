/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <sys/resource.h>

volatile sig_atomic_t stream_ended;

static void end(int signal)
{
	(void)signal;
	stream_ended = 1;
}

int fail(int err, const char *format, ...)
{
	va_list arguments;

	fputs("stream: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(-err));
	return err;
}

static const char usage[] =
	"stream serve --name NAME [--listen 0.0.0.0:80] [--spoil ONE_BYTE_OF]\n"
	"stream ask [--target 10.1.0.100:80] [--live 2000] [--bulk 40] [--new 500] [--patience 10s]\n"
	"           [--seed 1]\n"
	"ask keeps --live connections, of which --bulk carry much, and opens --new ones a second. It says\n"
	"\"started\" when each has been answered; ended by SIGTERM, it prints one line of JSON.\n";

static const struct option option_table[] = {
	{"name", required_argument, NULL, 'n'},	    {"listen", required_argument, NULL, 'l'},
	{"target", required_argument, NULL, 't'},   {"live", required_argument, NULL, 'c'},
	{"bulk", required_argument, NULL, 'b'},	    {"new", required_argument, NULL, 'r'},
	{"patience", required_argument, NULL, 'p'}, {"seed", required_argument, NULL, 's'},
	{"spoil", required_argument, NULL, 'x'},    {0},
};

struct options {
	const char *name;
	uint64_t spoil;
	struct sockaddr_in listen;
	struct ask ask;
};

static int set_option(struct options *options, int option, const char *value)
{
	struct ask *ask = &options->ask;

	switch (option) {
	case 'n':
		options->name = value;
		return *value && strlen(value) < STREAM_NAME ? 0 : -EINVAL;
	case 'l':
		return parse_endpoint(value, &options->listen);
	case 'x':
		return parse_count(value, 2, UINT64_MAX, &options->spoil);
	case 't':
		return parse_endpoint(value, &ask->target);
	case 'c':
		return parse_count(value, 0, 60000, &ask->live);
	case 'b':
		return parse_count(value, 0, 60000, &ask->bulk);
	case 'r':
		return parse_real(value, 0, &ask->rate);
	case 'p':
		return parse_duration(value, NULL, &ask->patience_ns);
	case 's':
		return parse_count(value, 0, UINT64_MAX, &ask->seed);
	default:
		return -EINVAL;
	}
}

static void prepare(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGTERM, end);
	signal(SIGINT, end);
}

int main(int argc, char **argv)
{
	static struct options options = {
		.ask = {.live = 2000, .bulk = 40, .rate = 500, .patience_ns = 10e9, .seed = 1},
	};
	bool serves = argc > 1 && !strcmp(argv[1], "serve");
	int option;

	parse_endpoint("0.0.0.0:80", &options.listen);
	parse_endpoint("10.1.0.100:80", &options.ask.target);
	optind = 2;
	while (argc > 1 && (option = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
		if (set_option(&options, option, optarg)) {
			if (option != '?')
				fprintf(stderr, "stream: \"%s\" is not possible\n", optarg);
			fputs(usage, stderr);
			return 2;
		}
	}
	if (argc < 2 || optind < argc || (serves ? !options.name : strcmp(argv[1], "ask") != 0)) {
		fputs(usage, stderr);
		return 2;
	}
	prepare();
	if (serves)
		return stream_serve(&options.listen, options.name, options.spoil) ? 1 : 0;
	return stream_ask(&options.ask) ? 1 : 0;
}
