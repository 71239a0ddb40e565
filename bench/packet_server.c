// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long the server's programs take for a packet, in and out: as packet.c does for the balancer, in
 * the world of the tests, with one connection that has a real socket. Prints JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "packet/server_socket.h"
#include "packet/server_world.h"

#include "clock.h"
#include "packet_rounds.h"
#include "packet_server.skel.h"
#include "packet_server_recipe.h"
#include "server.skel.h"
#include "shared.h"

#define RUNS 65536
#define PADDED 128 /* bytes of each frame, whatever of it is payload */

enum then {
	UNTOUCHED, /* no packet of a service */
	METERED, /* in */
	COUNTED, /* out, and no balancer is to be told */
	REPORTED, /* out, with a report */
};

struct row {
	const char *name;
	const char *sentence;
	enum way way;
	uint8_t flags; /* of TCP */
	uint8_t payload;
	enum meter_state state; /* of the connection before */
	enum then then;
};

static const struct row rows[] = {
	{"server-in-request", "a request, on a connection that was idle", FROM_CLIENT,
	 TCP_ACK | TCP_PSH, 64, METER_NONE, METERED},
	{"server-in-first-request", "the first request of a connection", FROM_CLIENT,
	 TCP_ACK | TCP_PSH, 64, METER_SYN_ACK, METERED},
	{"server-in-more", "more of a request", FROM_CLIENT, TCP_ACK | TCP_PSH, 64, METER_WAITING,
	 METERED},
	{"server-in-syn", "a new connection's SYN", FROM_CLIENT, TCP_SYN, 0, METER_NONE, METERED},
	{"server-in-ack", "a bare ACK", FROM_CLIENT, TCP_ACK, 0, METER_NONE, METERED},
	{"server-in-not-ours", "TCP to a port of no service", FROM_CLIENT, TCP_ACK, 0, METER_NONE,
	 UNTOUCHED},
	{"server-out-answer", "an answer's first packet", TO_CLIENT, TCP_ACK | TCP_PSH, 64,
	 METER_WAITING, COUNTED},
	{"server-out-more", "more of an answer", TO_CLIENT, TCP_ACK | TCP_PSH, 64, METER_NONE,
	 COUNTED},
	{"server-out-ack", "a bare ACK", TO_CLIENT, TCP_ACK, 0, METER_NONE, COUNTED},
	{"server-out-report", "a SYN-ACK that bears a keyed report", TO_CLIENT, TCP_SYN | TCP_ACK,
	 0, METER_SYN, REPORTED},
	{"server-out-not-ours", "TCP from a port of no service", TO_CLIENT, TCP_ACK, 0, METER_NONE,
	 UNTOUCHED},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

struct bench {
	struct packet_server_bpf *skeleton;
	struct frame frame; /* its length is the test runs' */
	double net[ROWS][ROUNDS_MAX];
};

static int fail(const char *what, int err)
{
	fprintf(stderr, "packet_server: %s: %s\n", what, strerror(-err));
	return err;
}

static void build_frame(const struct row *row, struct frame *frame)
{
	struct segment segment = segment_usual(row->way);

	segment.flags = row->flags;
	segment.payload = row->payload;
	segment.padding = PADDED - AT_IP - 40 - row->payload;
	if (row->then == UNTOUCHED)
		*(row->way == FROM_CLIENT ? &segment.destination_port : &segment.source_port) = 81;
	frame_build(frame, &segment);
}

/* The connection's slot in that state, as the server's own programs make it. */
static uint64_t slot_in_state(enum meter_state state)
{
	struct segment segment = segment_usual(FROM_CLIENT);

	if (state == METER_NONE)
		return 0;
	segment.flags = state == METER_WAITING ? TCP_ACK : TCP_SYN;
	segment.payload = state == METER_WAITING ? 64 : 0;
	server_pass(FROM_CLIENT, &segment);
	if (state != METER_SYN_ACK)
		return server.bucket->slot[0];
	segment = segment_usual(TO_CLIENT);
	segment.flags = TCP_SYN | TCP_ACK;
	server_pass(TO_CLIENT, &segment);
	return server.bucket->slot[0];
}

/* From here on, server_harness() makes this row's packets, in this row's world. */
static int prepare(struct bench *bench, const struct row *row)
{
	const struct server_before before = {
		.keyed = true,
		.max_share = 1 << 16,
		.pace = row->then == REPORTED ? NO_PAUSE : LONG_PAUSE,
	};
	struct server_recipe recipe = {0};
	uint32_t zero = 0;

	server_reset(&before);
	build_frame(row, &bench->frame);
	recipe.slot = slot_in_state(row->state);
	recipe.frame_length = (uint32_t)bench->frame.length;
	memcpy(recipe.headers, bench->frame.bytes, sizeof(recipe.headers));
	server.peers[0].reported_ns = now_ns();
	return bpf_map_update_elem(bpf_map__fd(bench->skeleton->maps.recipe), &zero, &recipe,
				   BPF_ANY) ?
		       -errno :
		       0;
}

/* What a run of server_harness() and the program takes. */
static int time_program(struct bench *bench, const struct row *row, int program, double *ns)
{
	/* TCP leaves the time in what it sends. Reports need one that goes on. */
	struct __sk_buff context = {.ifindex = server.ifindex,
				    .ingress_ifindex = server.ifindex,
				    .tstamp = row->then == REPORTED ? 0 : now_ns()};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = bench->frame.bytes,
		    .data_size_in = (uint32_t)bench->frame.length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = RUNS);
	uint32_t zero = 0;

	if (bpf_map_update_elem(bpf_map__fd(bench->skeleton->maps.target), &zero, &program,
				BPF_ANY) ||
	    bpf_prog_test_run_opts(bpf_program__fd(bench->skeleton->progs.server_harness), &run))
		return -errno;
	*ns = run.duration;
	return run.retval == (uint32_t)-1 ? 0 : -EBADMSG;
}

/* What of that is server_harness()'s. Growing costs twice there: once is the server's own. */
static int time_harness(struct bench *bench, const struct row *row, double *ns)
{
	double plain = 0, growing = 0;
	int err;

	err = time_program(bench, row, bpf_program__fd(bench->skeleton->progs.server_null), &plain);
	*ns = plain;
	if (err || row->then != REPORTED)
		return err;
	err = time_program(bench, row, bpf_program__fd(bench->skeleton->progs.server_null_growing),
			   &growing);
	*ns = (plain + growing) / 2;
	return err;
}

/* All packets must have gone the row's way, or something else has been measured. */
static int check_counts(const struct row *row)
{
	struct server_stats stats = server_stats_sum();
	uint64_t in = stats.request_packets, out = stats.response_packets;
	uint64_t reports = server.peers[0].reports;

	/* A few are the row's own preparation. */
	if (in / RUNS == (row->then == METERED) && out / RUNS == (row->then >= COUNTED) &&
	    reports == (row->then == REPORTED ? RUNS : 0))
		return 0;
	fprintf(stderr, "packet_server: %s: of %d packets %llu in, %llu out, %llu reports\n",
		row->name, RUNS, (unsigned long long)in, (unsigned long long)out,
		(unsigned long long)reports);
	return -EBADMSG;
}

static int measure(struct bench *bench, size_t i, size_t round)
{
	const struct row *row = &rows[i];
	double harness = 0, both = 0;
	int err;

	err = prepare(bench, row);
	if (!err)
		err = time_harness(bench, row, &harness);
	if (!err)
		err = time_program(bench, row,
				   row->way == FROM_CLIENT ? server.ingress : server.egress, &both);
	bench->net[i][round] = both - harness;
	return err ? err : check_counts(row);
}

static int open_all(struct bench *bench)
{
	int err = server_create();

	if (err)
		return fail("cannot load the server", err);
	server_socket_open(ESTABLISHED);
	bench->skeleton = packet_server_bpf__open();
	if (!bench->skeleton ||
	    bpf_map__reuse_fd(bench->skeleton->maps.meter,
			      bpf_map__fd(server.skeleton->maps.meter)) ||
	    packet_server_bpf__load(bench->skeleton))
		return fail("cannot load the harness", -errno);
	return 0;
}

static void close_all(struct bench *bench)
{
	server_socket_close();
	packet_server_bpf__destroy(bench->skeleton);
	server_destroy();
}

static void print_results(struct bench *bench, size_t rounds)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < ROWS; i++)
		json_array_append_new(list, rounds_json(rows[i].name, rows[i].sentence,
							bench->net[i], rounds, 0, 0));
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
