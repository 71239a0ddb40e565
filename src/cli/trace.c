/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `plimsoll trace`: what becomes of chosen packets, as they pass. It writes into the data path's maps
 * which packets are asked for and until when, and reads what the data path tells. A tracer that
 * dies without a word is forgotten when its time is over; while it lives, it puts that off.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "cli/pcapng.h"
#include "cli/trace_filter.h"
#include "cli/trace_record.h"
#include "clock.h"
#include "log.h"
#include "runtime.h"

#define SECOND 1000000000ULL
#define LEASE_NS (4 * SECOND)
#define RENEWAL_NS SECOND
#define POLL_MS 100

enum {
	SERVICE,
	CLIENT,
	BACKEND,
	VERDICT,
	DROPS,
	SAMPLE,
	RATE,
	COUNT,
	SECONDS,
	PCAP,
	SNAP,
	JSON,
	INSTANCE,
};

const struct option_row trace_options[] = {
	[SERVICE] = {"--service", "SERVICE", "only this service's packets, by its name or address",
		     COMPLETE_SERVICE, false},
	[CLIENT] = {"--client", "ADDRESS",
		    "only from and to 10.1.0.201, 10.1.0.0/24 or 10.1.0.201:40000",
		    COMPLETE_NOTHING, false},
	[BACKEND] = {"--backend", "ADDRESS", "only those sent to it, and its reports",
		     COMPLETE_BACKEND, false},
	[VERDICT] =
		{"--verdict", "LIST",
		 "only these, with commas; drops, sent, reports and all are many; all but not-ours if absent",
		 COMPLETE_NOTHING, false},
	[DROPS] = {"--drops", NULL, "as --verdict drops", COMPLETE_NOTHING, false},
	[SAMPLE] = {"--sample", "1/N", "look at one packet in N", COMPLETE_NOTHING, false},
	[RATE] = {"--rate", "N", "at most N a second, by each CPU; 2000 if absent",
		  COMPLETE_NOTHING, false},
	[COUNT] = {"--count", "N", "end after N", COMPLETE_NOTHING, false},
	[SECONDS] = {"--seconds", "N", "end after N seconds", COMPLETE_NOTHING, false},
	[PCAP] = {"--pcap", "FILE",
		  "write packets as they came in and went out (pcapng); - is stdout", COMPLETE_FILE,
		  false},
	[SNAP] = {"--snap", "BYTES", "of each packet, up to 1536; 128 if absent", COMPLETE_NOTHING,
		  false},
	[JSON] = {"--json", NULL, "an object a line; errors too", COMPLETE_NOTHING, false},
	[INSTANCE] = {"--instance", "NAME", "which balancer; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	{0},
};

struct tracer {
	struct kernel kernel;
	struct trace_filter filter; /* as asked for */
	struct trace_filter *shared; /* as the data path reads it */
	struct ring_buffer *ring;
	FILE *pcap;
	int lock, tallies;
	bool json, lines;
	uint32_t count, seconds; /* 0: no end */
	uint64_t started_ns, realtime_ns; /* the latter is what to add to CLOCK_MONOTONIC */
	uint64_t told, over_rate, no_room; /* the last two as of the start */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* ------------------------------------------------------------- the command line */

static int refuse(const char *option, const char *text, const char *what)
{
	log_error("%s: \"%s\" %s; see \"plimsoll trace --help\"", option, text, what);
	return EXIT_USAGE;
}

static const char *parse_one(struct tracer *tracer, int which, const char *text)
{
	struct trace_filter *filter = &tracer->filter;

	switch (which) {
	case CLIENT:
		return trace_parse_client(text, filter);
	case VERDICT:
		return trace_parse_verdicts(text, &filter->verdicts);
	case DROPS:
		return trace_parse_verdicts("drops", &filter->verdicts);
	case SAMPLE:
		return trace_parse_sample(text, &filter->sample);
	case RATE:
		return trace_parse_number(text, UINT32_MAX, &filter->rate);
	case COUNT:
		return trace_parse_number(text, UINT32_MAX, &tracer->count);
	case SECONDS:
		return trace_parse_number(text, UINT32_MAX, &tracer->seconds);
	case SNAP:
		return trace_parse_number(text, TRACE_SNAP_MAX, &filter->snap);
	default:
		return NULL;
	}
}

static int parse(struct tracer *tracer, const char **values)
{
	const char *wrong;

	tracer->json = values[JSON];
	tracer->lines = !values[PCAP] || strcmp(values[PCAP], "-") != 0;
	tracer->filter = (struct trace_filter){
		.verdicts = trace_usual_verdicts(),
		.sample = UINT32_MAX,
		.rate = TRACE_RATE,
		.snap = TRACE_SNAP,
	};
	for (int i = 0; trace_options[i].name; i++) {
		wrong = values[i] ? parse_one(tracer, i, values[i]) : NULL;
		if (wrong)
			return refuse(trace_options[i].name, values[i], wrong);
	}
	if (!values[PCAP])
		tracer->filter.snap = 0;
	return 0;
}

/* What the words mean can only be told by what is there. */
static int resolve(struct tracer *tracer, const char **values)
{
	struct known_service service;
	struct ip_address backend;

	if (values[SERVICE]) {
		if (kernel_find_service(&tracer->kernel, values[SERVICE], tracer->json, &service))
			return -ENOENT;
		tracer->filter.service = service.key.address;
		tracer->filter.service_port = service.key.port;
		tracer->filter.service_protocol = service.key.protocol;
	}
	if (!values[BACKEND])
		return 0;
	if (address_parse(values[BACKEND], &backend) ||
	    !kernel_has_backend(&tracer->kernel, backend)) {
		answer_fail(tracer->json,
			    "\"%s\" is no backend here; \"plimsoll show\" lists their addresses",
			    values[BACKEND]);
		return -ENOENT;
	}
	tracer->filter.backend = backend;
	tracer->filter.backend_id = address_report_id(backend);
	return 0;
}

/* --------------------------------------------------------------- what is told */

static void write_pcap(struct tracer *tracer, const struct trace_record *record, uint64_t time_ns)
{
	struct pcapng_packet packet = {.time_ns = time_ns};
	char *comment = NULL;
	size_t length;
	FILE *text = open_memstream(&comment, &length);

	if (!text)
		return;
	trace_print(text, &tracer->kernel, record, time_ns);
	fclose(text);
	packet.interface = PCAPNG_IN;
	packet.bytes = record + 1;
	packet.captured = record->captured_in;
	packet.length = record->length_in;
	packet.comment = comment;
	pcapng_write(tracer->pcap, &packet);
	packet.interface = PCAPNG_OUT;
	packet.bytes = (const uint8_t *)(record + 1) + record->captured_in;
	packet.captured = record->captured_out;
	packet.length = record->length_out;
	if (trace_went_out(record))
		pcapng_write(tracer->pcap, &packet);
	free(comment);
}

/* No more can be told. What has been read is told also after an interrupt. */
static bool is_full(const struct tracer *tracer)
{
	return (tracer->count && tracer->told >= tracer->count) || ferror(stdout) ||
	       (tracer->pcap && ferror(tracer->pcap));
}

static bool is_over(const struct tracer *tracer)
{
	return interrupted || is_full(tracer) ||
	       (tracer->seconds && now_ns() - tracer->started_ns >= tracer->seconds * SECOND);
}

static int tell(void *context, void *data, size_t size)
{
	const struct trace_record *record = data;
	struct tracer *tracer = context;
	json_t *object;

	/* What a predecessor has not read is not ours. */
	if (size < sizeof(*record) || record->time_ns < tracer->started_ns || is_full(tracer))
		return 0;
	tracer->told++;
	if (tracer->pcap)
		write_pcap(tracer, record, record->time_ns + tracer->realtime_ns);
	if (!tracer->lines)
		return 0;
	if (tracer->json) {
		object = trace_json(&tracer->kernel, record, record->time_ns + tracer->realtime_ns);
		json_dumpf(object, stdout, JSON_COMPACT);
		json_decref(object);
	} else {
		trace_print(stdout, &tracer->kernel, record, record->time_ns + tracer->realtime_ns);
	}
	putchar('\n');
	return 0;
}

/* All CPUs' tallies of what was asked for and not told. */
static void read_tallies(const struct tracer *tracer, uint64_t *over_rate, uint64_t *no_room)
{
	int cpu, cpus = libbpf_num_possible_cpus();
	struct trace *traces = cpus > 0 ? calloc((size_t)cpus, sizeof(*traces)) : NULL;
	uint32_t zero = 0;

	*over_rate = *no_room = 0;
	if (traces && !bpf_map_lookup_elem(tracer->tallies, &zero, traces)) {
		for (cpu = 0; cpu < cpus; cpu++) {
			*over_rate += traces[cpu].over_rate;
			*no_room += traces[cpu].no_room;
		}
	}
	free(traces);
}

static void summarise(const struct tracer *tracer)
{
	uint64_t over_rate, no_room;

	read_tallies(tracer, &over_rate, &no_room);
	over_rate -= tracer->over_rate;
	no_room -= tracer->no_room;
	if (tracer->json && tracer->lines)
		printf("{\"told\":%llu,\"over_rate\":%llu,\"no_room\":%llu}\n",
		       (unsigned long long)tracer->told, (unsigned long long)over_rate,
		       (unsigned long long)no_room);
	else
		log_notice(
			"%llu packets told; not told: %llu beyond %u a second and CPU (--rate), %llu "
			"because they were not read fast enough",
			(unsigned long long)tracer->told, (unsigned long long)over_rate,
			tracer->filter.rate, (unsigned long long)no_room);
}

/* ------------------------------------------------------------- the data path */

/* One at a time: a second one's filter would be the first one's, too. */
static int take_turn(struct tracer *tracer, const char *instance)
{
	char path[PATH_MAX], holder[16] = "?";
	ssize_t length;

	runtime_path(instance, "trace.lock", path, sizeof(path));
	tracer->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (tracer->lock < 0) {
		answer_fail(tracer->json, "%s: %s", path, strerror(errno));
		return -errno;
	}
	if (flock(tracer->lock, LOCK_EX | LOCK_NB)) {
		length = read(tracer->lock, holder, sizeof(holder) - 1);
		holder[length > 0 ? length : 1] = '\0';
		answer_fail(
			tracer->json,
			"process %s traces instance %s already; one can at a time, so end that first",
			holder, instance);
		return -EBUSY;
	}
	if (ftruncate(tracer->lock, 0) || dprintf(tracer->lock, "%d", (int)getpid()) < 0)
		return -errno;
	return 0;
}

static void renew(struct tracer *tracer)
{
	__atomic_store_n(&tracer->shared->until_ns, now_ns() + LEASE_NS, __ATOMIC_RELEASE);
	/* Also after somebody has written the settings anew. */
	__atomic_store_n(&tracer->kernel.settings->tracing, 1, __ATOMIC_RELEASE);
}

static void stop(struct tracer *tracer)
{
	__atomic_store_n(&tracer->kernel.settings->tracing, 0, __ATOMIC_RELEASE);
}

static int open_filter(struct tracer *tracer)
{
	int map = kernel_map(&tracer->kernel, "trace_filter", tracer->json);

	if (map < 0)
		return map;
	tracer->shared =
		mmap(NULL, sizeof(*tracer->shared), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	close(map);
	if (tracer->shared != MAP_FAILED)
		return 0;
	tracer->shared = NULL;
	answer_fail(tracer->json, "cannot map the filter: %s", strerror(errno));
	return -errno;
}

static int open_ring(struct tracer *tracer)
{
	int map = kernel_map(&tracer->kernel, "trace_ring", tracer->json);

	if (map < 0)
		return map;
	tracer->ring = ring_buffer__new(map, tell, tracer, NULL);
	close(map);
	if (tracer->ring)
		return 0;
	answer_fail(tracer->json, "cannot read the ring: %s", strerror(errno));
	return -errno;
}

static int open_pcap(struct tracer *tracer, const char *path)
{
	if (!path)
		return 0;
	tracer->pcap = strcmp(path, "-") != 0 ? fopen(path, "we") : stdout;
	if (!tracer->pcap) {
		answer_fail(tracer->json, "%s: %s", path, strerror(errno));
		return -errno;
	}
	pcapng_begin(tracer->pcap, tracer->filter.snap);
	return 0;
}

static int start(struct tracer *tracer, const char *instance, const char **values)
{
	int err = take_turn(tracer, instance);

	if (!err)
		err = resolve(tracer, values);
	if (!err)
		err = open_filter(tracer);
	if (!err)
		err = open_ring(tracer);
	if (!err) {
		tracer->tallies = kernel_map(&tracer->kernel, "traces", tracer->json);
		err = tracer->tallies < 0 ? tracer->tallies : 0;
	}
	if (!err)
		err = open_pcap(tracer, values[PCAP]);
	if (err)
		return err;
	read_tallies(tracer, &tracer->over_rate, &tracer->no_room);
	tracer->realtime_ns = clock_ns(CLOCK_REALTIME) - now_ns();
	tracer->started_ns = now_ns();
	stop(tracer); /* until the filter is whole */
	*tracer->shared = tracer->filter;
	renew(tracer);
	return 0;
}

static void finish(struct tracer *tracer)
{
	if (tracer->pcap && tracer->pcap != stdout && fclose(tracer->pcap))
		answer_fail(tracer->json, "cannot write the capture: %s", strerror(errno));
	if (tracer->shared)
		munmap(tracer->shared, sizeof(*tracer->shared));
	if (tracer->tallies >= 0)
		close(tracer->tallies);
	if (tracer->lock >= 0)
		close(tracer->lock);
	ring_buffer__free(tracer->ring);
}

static void run(struct tracer *tracer)
{
	uint64_t renewed = now_ns();

	while (!is_over(tracer)) {
		if (ring_buffer__poll(tracer->ring, POLL_MS) == -EBADF)
			break;
		fflush(tracer->pcap);
		fflush(stdout);
		if (now_ns() - renewed < RENEWAL_NS)
			continue;
		renewed = now_ns();
		renew(tracer);
	}
	stop(tracer);
	ring_buffer__consume(tracer->ring);
	summarise(tracer);
}

static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = interrupt};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* the data path is to be told, too */
}

int trace_command(int argc, char **argv)
{
	struct tracer tracer = {.lock = -1, .tallies = -1};
	char instance[INSTANCE_NAME_MAX];
	const char *values[OPTIONS_MAX];
	int err;

	if (options_parse(trace_options, argc, argv, values) || parse(&tracer, values))
		return EXIT_USAGE;
	if (answer_instance(tracer.json, values[INSTANCE], instance) ||
	    kernel_open(&tracer.kernel, instance, tracer.json))
		return EXIT_FAILURE;
	catch_signals();
	err = start(&tracer, instance, values);
	if (!err)
		run(&tracer);
	finish(&tracer);
	kernel_close(&tracer.kernel);
	return answer_end(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
