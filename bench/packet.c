// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long the balancer's program takes for a packet: test runs in the kernel, timed by the kernel,
 * less what the same run costs with a program that does nothing. Prints JSON.
 *
 * Rounds are interleaved: each row is measured once in every round, so that whatever else the
 * machine is doing meets all of them alike. Every packet of a row must have come to the row's verdict.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <jansson.h>

#include "packet/harness.h"

#include "balancer.skel.h"
#include "packet.skel.h"
#include "packet_bed.h"
#include "packet_rounds.h"
#include "shared.h"

#define PAYLOAD 64
#define RATE 2000 /* records a second and CPU, as `plimsoll trace` has it unless told otherwise */
#define SNAP 128 /* likewise bytes of a packet */

enum bed_number {
	USUAL, /* 1,048,576 flows fit: as configured if nothing else is said */
	LARGE, /* 4,194,304 */
	FULL, /* as the usual one, and nothing is free */
	UNTRACEABLE, /* as the usual one, without the question whether anybody traces */
	FULL_UNTRACEABLE,
	TUNNEL, /* as the usual one, and what goes on goes inside packets (IPIP) */
	TUNNEL_LARGE,
	TUNNEL_FULL,
	TUNNEL_UDP,
	BEDS,
};

static const struct bed_kind bed_kinds[BEDS] = {
	[USUAL] = {1 << 20, true},
	[LARGE] = {4 << 20, true},
	[FULL] = {1 << 20, true},
	[UNTRACEABLE] = {1 << 20, false},
	[FULL_UNTRACEABLE] = {1 << 20, false},
	[TUNNEL] = {1 << 20, true, FORWARD_IPIP},
	[TUNNEL_LARGE] = {4 << 20, true, FORWARD_IPIP},
	[TUNNEL_FULL] = {1 << 20, true, FORWARD_IPIP},
	[TUNNEL_UDP] = {1 << 20, true, FORWARD_IPIP, IPPROTO_UDP},
};

enum floor {
	NO_FLOOR,
	L2,
	IPIP,
};

enum tracer {
	NOBODY,
	OF_ANOTHER,
	AT_RATE,
	OF_ALL,
	OF_ALL_CAPTURED,
};

struct row {
	const char *name;
	const char *sentence;
	enum bed_number bed;
	uint32_t runs; /* in a round */
	uint32_t flows; /* struct recipe */
	uint8_t flags; /* of TCP */
	const char *to; /* NULL = the service */
	bool report;
	enum verdict verdict;
	enum floor floor; /* that is what is measured */
	enum tracer tracer;
};

#define RUNS 65536
#define RUNS_RECORDED 1024 /* what fits into the ring */
#define HIT .flags = TCP_ACK, .verdict = VERDICT_FORWARDED
#define NEW .flags = TCP_SYN, .verdict = VERDICT_FORWARDED
#define REPORT                                                                                     \
	.runs = REPORT_VARIANTS, .flags = TCP_ACK, .to = BED_CLIENT, .report = true, .flows = 1,   \
	.verdict = VERDICT_REPORT_TAKEN

static const struct row rows[] = {
	{"floor-l2", "parse, rewrite, send: no table, no counter", USUAL, RUNS, .flows = 1,
	 .flags = TCP_ACK, .floor = L2},
	{"floor-ipip", "the same, with an outer header in front", TUNNEL, RUNS, .flows = 1,
	 .flags = TCP_ACK, .floor = IPIP},
	{"hit-1", "known flow, always the same, by IPIP", TUNNEL, RUNS, .flows = 1, HIT},
	{"hit-64k", "65,536 known flows in turn, table of 1,048,576, by IPIP", TUNNEL, RUNS,
	 .flows = 1 << 16, HIT},
	{"hit-1m", "1,048,576 known flows in turn, table of 4,194,304, by IPIP", TUNNEL_LARGE, RUNS,
	 .flows = 1 << 20, HIT},
	{"new-flow", "SYNs of new flows, table full, 4 candidates with live load, by IPIP",
	 TUNNEL_FULL, RUNS, NEW},
	{"udp-hit", "known flow of datagrams, by IPIP", TUNNEL_UDP, RUNS, .flows = 1, HIT},
	{"l2-hit-1", "known flow, always the same", USUAL, RUNS, .flows = 1, HIT},
	{"l2-hit-64k", "65,536 known flows in turn, table of 1,048,576", USUAL, RUNS,
	 .flows = 1 << 16, HIT},
	{"l2-hit-1m", "1,048,576 known flows in turn, table of 4,194,304", LARGE, RUNS,
	 .flows = 1 << 20, HIT},
	{"l2-new-flow", "SYNs of new flows, table full, 4 candidates with live load", FULL, RUNS,
	 NEW},
	{"not-ours", "TCP to another address: left to the host", USUAL, RUNS, .flows = 1,
	 .flags = TCP_ACK, .to = "10.1.0.2", .verdict = VERDICT_NOT_OURS},
	{"report", "keyed report taken and cut out, on to the client", USUAL, REPORT},
	{"l2-hit-1-untraceable", "known flow, built without `plimsoll trace`", UNTRACEABLE, RUNS,
	 .flows = 1, HIT},
	{"l2-new-flow-untraceable", "new flows likewise", FULL_UNTRACEABLE, RUNS, NEW},
	{"report-untraceable", "report likewise", UNTRACEABLE, REPORT},
	{"l2-hit-1-traced-other", "known flow, while somebody traces another client", USUAL, RUNS,
	 .flows = 1, HIT, .tracer = OF_ANOTHER},
	{"l2-hit-1-traced", "known flow, while somebody traces it, at the default rate", USUAL,
	 RUNS, .flows = 1, HIT, .tracer = AT_RATE},
	{"l2-new-flow-traced", "new flows likewise", FULL, RUNS, NEW, .tracer = AT_RATE},
	{"l2-hit-1-recorded", "known flow, every packet told, without a packet", USUAL,
	 RUNS_RECORDED, .flows = 1, HIT, .tracer = OF_ALL},
	{"l2-hit-1-captured", "known flow, every packet told, with 128 bytes of it in and out",
	 USUAL, RUNS_RECORDED, .flows = 1, HIT, .tracer = OF_ALL_CAPTURED},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

struct bench {
	struct packet_bpf *skeleton;
	struct bed beds[BEDS];
	uint32_t ifindex;
	struct frame frame; /* its length is the test runs' */
	uint64_t counters[ROWS]; /* where each row's flows go on */
	double net[ROWS][ROUNDS_MAX];
};

static int fail(const char *what, int err)
{
	fprintf(stderr, "packet: %s: %s\n", what, strerror(-err));
	return err;
}

/* The ports stay where they are. */
static void become_datagram(struct frame *frame)
{
	struct iphdr *ip = (void *)&frame->bytes[sizeof(struct ethhdr)];
	uint16_t *udp = (void *)(ip + 1); /* two ports, length, checksum */

	ip->protocol = IPPROTO_UDP;
	udp[2] = htons((uint16_t)(ntohs(ip->tot_len) - sizeof(*ip)));
	udp[3] = 0;
}

static void build_frame(const struct row *row, struct frame *frame)
{
	static const uint8_t room[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct segment segment = {
		.mac_to = BED_MAC,
		.mac_from = BED_SERVER_MAC,
		.source = row->report ? BED_VIP : BED_CLIENT,
		.destination = row->to ? row->to : BED_VIP,
		.source_port = BED_PORT,
		.destination_port = BED_PORT,
		.flags = row->flags,
		.payload = PAYLOAD,
		.options = room,
		.options_length = row->report ? sizeof(room) : 0,
	};

	frame_build(frame, &segment);
	if (bed_kinds[row->bed].protocol == IPPROTO_UDP)
		become_datagram(frame);
}

/* From here on, harness() makes this row's packets. */
static int prepare(struct bench *bench, const struct row *row, uint64_t counter)
{
	struct recipe recipe = {
		.counter = counter,
		.flows = row->flows,
		.with_report = row->report,
	};
	uint32_t zero = 0;

	build_frame(row, &bench->frame);
	recipe.frame_length = (uint32_t)bench->frame.length;
	memcpy(recipe.headers, bench->frame.bytes, sizeof(recipe.headers));
	return bpf_map_update_elem(bpf_map__fd(bench->skeleton->maps.recipe), &zero, &recipe,
				   BPF_ANY) ?
		       -errno :
		       0;
}

/* What a run of harness() and the program takes. */
static int time_program(struct bench *bench, int program, uint32_t runs, double *ns)
{
	struct xdp_md context = {.data_end = (uint32_t)bench->frame.length,
				 .ingress_ifindex = bench->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = bench->frame.bytes,
		    .data_size_in = (uint32_t)bench->frame.length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = (int)runs);
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(bench->skeleton->maps.target), &zero, &program,
				BPF_ANY) ||
	    bpf_prog_test_run_opts(bpf_program__fd(bench->skeleton->progs.harness), &run))
		return -errno;
	*ns = run.duration;
	return 0;
}

/* What of that is harness()'s. Where the packet is cut or grows, that is done twice: once is our own. */
static int time_harness(struct bench *bench, const struct row *row, double *ns)
{
	const struct packet_bpf *skeleton = bench->skeleton;
	bool grows =
		row->floor == IPIP || (!row->floor && bed_kinds[row->bed].forward == FORWARD_IPIP);
	double plain = 0, moving = 0;
	int err;

	err = time_program(bench, bpf_program__fd(skeleton->progs.null), row->runs, &plain);
	*ns = plain;
	if (err || (!row->report && !grows))
		return err;
	err = time_program(bench,
			   bpf_program__fd(row->report ? skeleton->progs.null_cutting :
							 skeleton->progs.null_growing),
			   row->runs, &moving);
	*ns = (plain + moving) / 2;
	return err;
}

static int program_of(const struct bench *bench, const struct row *row)
{
	switch (row->floor) {
	case L2:
		return bpf_program__fd(bench->skeleton->progs.floor_l2);
	case IPIP:
		return bpf_program__fd(bench->skeleton->progs.floor_ipip);
	default:
		return bench->beds[row->bed].program;
	}
}

static struct trace_filter filter_of(enum tracer tracer)
{
	struct trace_filter filter = {
		.until_ns = UINT64_MAX,
		.verdicts = UINT64_MAX,
		.sample = UINT32_MAX,
		.rate = tracer == AT_RATE ? RATE : UINT32_MAX,
		.snap = tracer == OF_ALL_CAPTURED ? SNAP : 0,
	};

	if (tracer == OF_ANOTHER) {
		filter.client = ip_address("10.9.9.9");
		memset(&filter.client_mask, 0xFF, sizeof(filter.client_mask));
	}
	return filter;
}

static int ignore(void *context, void *data, size_t size)
{
	(void)context;
	(void)data;
	(void)size;
	return 0;
}

static void drain(const struct bed *bed)
{
	struct ring_buffer *ring =
		ring_buffer__new(bpf_map__fd(bed->skeleton->maps.trace_ring), ignore, NULL, NULL);

	if (ring)
		ring_buffer__consume(ring);
	ring_buffer__free(ring);
}

static int set_tracer(const struct bed *bed, enum tracer tracer)
{
	int filters = bpf_map__fd(bed->skeleton->maps.trace_filter);
	int map = bpf_map__fd(bed->skeleton->maps.settings);
	struct trace_filter filter = filter_of(tracer);
	struct settings settings;
	uint32_t zero = 0;

	drain(bed);
	if (bpf_map_lookup_elem(map, &zero, &settings))
		return -errno;
	settings.tracing = tracer != NOBODY;
	if (bpf_map_update_elem(filters, &zero, &filter, BPF_ANY) ||
	    bpf_map_update_elem(map, &zero, &settings, BPF_ANY))
		return -errno;
	return 0;
}

/* All packets must have gone the row's way, or something else has been measured. */
static int check_verdicts(const struct row *row, uint64_t counted)
{
	if (row->verdict == VERDICT_NONE || counted == row->runs)
		return 0;
	fprintf(stderr, "packet: %s: %llu of %u packets came to their verdict\n", row->name,
		(unsigned long long)counted, row->runs);
	return -EBADMSG;
}

static int measure(struct bench *bench, size_t i, size_t round)
{
	const struct row *row = &rows[i];
	const struct bed *bed = &bench->beds[row->bed];
	double harness = 0, both = 0;
	uint64_t before;
	int err;

	err = prepare(bench, row, bench->counters[i]);
	if (!err)
		err = time_harness(bench, row, &harness);
	if (err)
		return err;
	bed_refresh(bed);
	err = prepare(bench, row, bench->counters[i]);
	if (!err)
		err = set_tracer(bed, row->tracer);
	before = bed_verdicts(bed, row->verdict);
	if (!err)
		err = time_program(bench, program_of(bench, row), row->runs, &both);
	if (!err)
		err = set_tracer(bed, NOBODY);
	if (err)
		return err;
	bench->counters[i] += row->runs;
	bench->net[i][round] = both - harness;
	return check_verdicts(row, bed_verdicts(bed, row->verdict) - before);
}

/* Makes a row's flows known, or the table full. */
static int warm_up(struct bench *bench, size_t i)
{
	const struct row *row = &rows[i];
	uint32_t runs = row->flows ? row->flows : 4 << 20;
	double ignored;
	int err;

	err = prepare(bench, row, 0);
	if (!err)
		err = time_program(bench, program_of(bench, row), runs, &ignored);
	/* Reports begin with the oldest; what is new to one row must be so to the next. */
	bench->counters[i] = row->report ? 0 : runs + ((uint64_t)i << 24);
	return err;
}

static int open_all(struct bench *bench)
{
	size_t i;
	int err;

	err = bed_network();
	if (err < 0)
		return fail("no network namespace", err);
	bench->ifindex = (uint32_t)err;
	bench->skeleton = packet_bpf__open_and_load();
	if (!bench->skeleton)
		return fail("cannot load the harness", -errno);
	for (i = 0; i < BEDS; i++) {
		err = bed_open(&bench->beds[i], bench->ifindex, &bed_kinds[i]);
		if (err)
			return fail("cannot load the balancer", err);
	}
	for (i = 0; i < ROWS; i++) {
		if (rows[i].report) {
			build_frame(&rows[i], &bench->frame);
			variants_fill(bpf_map__fd(bench->skeleton->maps.variants), &bench->frame);
		}
	}
	return 0;
}

static void close_all(struct bench *bench)
{
	size_t i;

	for (i = 0; i < BEDS; i++)
		bed_close(&bench->beds[i]);
	packet_bpf__destroy(bench->skeleton);
}

static void print_results(struct bench *bench, size_t rounds)
{
	double floors[] = {[NO_FLOOR] = 0, [L2] = 0, [IPIP] = 0};
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < ROWS; i++)
		floors[rows[i].floor] = rounds_middle(bench->net[i], rounds);
	for (i = 0; i < ROWS; i++)
		json_array_append_new(list,
				      rounds_json(rows[i].name, rows[i].sentence, bench->net[i],
						  rounds, floors[L2], floors[IPIP]));
	rounds_print(list, rounds);
}

int main(void)
{
	size_t rounds = rounds_wanted(), round, i;
	struct bench *bench = calloc(1, sizeof(*bench));
	int err;

	if (!bench)
		return EXIT_FAILURE;
	stay_here();
	err = open_all(bench);
	for (i = 0; i < ROWS && !err; i++)
		err = warm_up(bench, i);
	for (round = 0; round < rounds && !err; round++)
		for (i = 0; i < ROWS && !err; i++)
			err = measure(bench, i, round);
	if (err)
		fail("cannot measure", err);
	else
		print_results(bench, rounds);
	close_all(bench);
	free(bench);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
