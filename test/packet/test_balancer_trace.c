/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the data path tells those who trace: which packets, what of them, and for how long. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "balancer_case.h"

#include "balancer.skel.h"
#include "load_report.h"
#include "shared.h"

#define TOLD_MAX 16
#define SNAP 60
#define ALL UINT64_MAX

/* What came out of the ring since the last trace_read(). */
static struct {
	struct trace_record record;
	uint8_t packet[2 * TRACE_SNAP_MAX];
} told[TOLD_MAX];
static size_t told_count;
static struct ring_buffer *ring;

static const struct before second_is_least = {.in_flight = {9, 2, 5}};

static int take(void *context, void *data, size_t size)
{
	(void)context;
	assert_true(told_count < TOLD_MAX && size >= sizeof(struct trace_record));
	memcpy(&told[told_count++], data, size < sizeof(told[0]) ? size : sizeof(told[0]));
	return 0;
}

static size_t trace_read(void)
{
	told_count = 0;
	assert_true(ring_buffer__consume(ring) >= 0);
	return told_count;
}

static struct trace_filter usual_filter(void)
{
	return (struct trace_filter){
		.until_ns = UINT64_MAX,
		.verdicts = ALL,
		.sample = UINT32_MAX,
		.rate = UINT32_MAX,
	};
}

static void put(const struct bpf_map *map, const void *value)
{
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &zero, value, BPF_ANY), 0);
}

static void assert_address(const struct ip_address *address, const char *text)
{
	struct ip_address expected = ip_address(text);

	assert_memory_equal(address, &expected, sizeof(expected));
}

/* Of an IPv4 address, so many bits. */
static struct ip_address mask(uint32_t bits)
{
	return (struct ip_address){
		{~0U, ~0U, ~0U, bits ? htonl(~0U << (32 - bits)) : 0},
	};
}

/* An address with what is behind the mask taken off is a network. */
static struct ip_address network_of(const char *text, uint32_t bits)
{
	struct ip_address address = ip_address(text);

	address.word[3] &= mask(bits).word[3];
	return address;
}

static bool is_tracing(void)
{
	struct settings settings;
	uint32_t zero = 0;

	bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.settings), &zero, &settings);
	return settings.tracing;
}

/* A world where somebody traces. */
static void trace(const struct before *before, const struct trace_filter *filter)
{
	struct settings settings;
	uint32_t zero = 0;

	world_reset(before);
	map_clear(bpf_map__fd(world.skeleton->maps.traces));
	bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.settings), &zero, &settings);
	settings.tracing = 1;
	put(world.skeleton->maps.trace_filter, filter);
	put(world.skeleton->maps.settings, &settings);
	trace_read();
}

static uint32_t send_flags(uint8_t flags)
{
	struct segment segment = segment_to_service();

	segment.flags = flags;
	return world_send(&segment);
}

static void send_case(const struct balancer_case *test, struct outcome *outcome)
{
	struct frame frame;

	case_frame(test, &frame);
	world_run(world.lan, &frame, outcome);
}

static void test_nobody_asks_nothing_is_told(void **state)
{
	(void)state;
	world_reset(&second_is_least);
	trace_read();
	assert_int_equal(send_flags(TCP_SYN), 2);
	assert_int_equal(trace_read(), 0);
}

static void test_a_new_flow_and_its_candidates(void **state)
{
	const struct trace_filter filter = usual_filter();
	const struct trace_record *record = &told[0].record;
	bool seen[BACKENDS + 1] = {false};

	(void)state;
	trace(&second_is_least, &filter);
	assert_int_equal(send_flags(TCP_SYN), 2);
	assert_int_equal(trace_read(), 1);
	assert_int_equal(record->verdict, VERDICT_FORWARDED);
	assert_address(&record->source, CLIENT);
	assert_address(&record->destination, VIP);
	assert_int_equal(record->source_port, htons(world.client_port));
	assert_int_equal(record->destination_port, htons(VIP_PORT));
	assert_int_equal(record->tcp_flags, TCP_SYN);
	assert_int_equal(record->ifindex, world.lan);
	assert_int_equal(record->backend, 2);
	assert_true(record->opens && record->decision.made);
	assert_int_equal(record->decision.looked_at, CHOICES_MAX);
	for (size_t i = 0; i < CHOICES_MAX; i++) {
		uint32_t backend = record->decision.backends[i];

		assert_in_range(backend, 1, BACKENDS);
		seen[backend] = true;
		assert_int_equal(record->decision.keys[i],
				 (second_is_least.in_flight[backend - 1] + 1) * (uint64_t)COST_ONE);
	}
	assert_true(seen[1] && seen[2] && seen[3]);
}

static void test_a_scan_notes_the_lowest(void **state)
{
	const struct before before = {.policy = POLICY_LEAST_LOADED, .in_flight = {7, 9, 4}};
	const struct trace_filter filter = usual_filter();

	(void)state;
	trace(&before, &filter);
	assert_int_equal(send_flags(TCP_SYN), 3);
	assert_int_equal(trace_read(), 1);
	assert_int_equal(told[0].record.decision.looked_at, BACKENDS);
}

static void test_a_known_flow_is_no_choice(void **state)
{
	const struct trace_filter filter = usual_filter();

	(void)state;
	trace(&second_is_least, &filter);
	send_flags(TCP_SYN);
	send_flags(TCP_ACK);
	assert_int_equal(trace_read(), 2);
	assert_false(told[1].record.opens);
	assert_int_equal(told[1].record.decision.made, 0);
	assert_int_equal(told[1].record.backend, 2);
}

static void test_the_middle_of_an_unknown_flow(void **state)
{
	const struct trace_filter filter = usual_filter();

	(void)state;
	trace(&second_is_least, &filter);
	send_flags(TCP_ACK);
	assert_int_equal(trace_read(), 1);
	assert_false(told[0].record.opens);
	assert_int_equal(told[0].record.decision.made, 1);
	assert_int_equal(told[0].record.decision.looked_at, 0);
	assert_int_equal(told[0].record.backend, FIRST_CANDIDATE);
}

static void test_a_report_and_why_it_is_refused(void **state)
{
	const struct balancer_case old = {.direction = FROM_SERVICE,
					  .before = {.sequence = {9}},
					  .report = {.backend = 1, .sequence = 5}};
	const struct trace_filter filter = usual_filter();
	const struct trace_record *record = &told[0].record;
	struct load_report_option option;
	struct load_report report;
	struct outcome outcome;

	(void)state;
	trace(&old.before, &filter);
	send_case(&old, &outcome);
	assert_int_equal(trace_read(), 1);
	assert_int_equal(record->verdict, VERDICT_REPORT_OLD);
	assert_int_equal(record->has_report, 1);
	memset(&option, 0, sizeof(option));
	memcpy(&option, record->option, LOAD_REPORT_LENGTH);
	assert_int_equal(load_report_decode(&option, &report), LOAD_REPORT_OK);
	assert_int_equal(report.sequence, 5);
	assert_int_equal(report.server_id, server_id(1));
	assert_int_equal(record->length_in - record->length_out, LOAD_REPORT_LENGTH);
}

static void test_the_packet_in_and_out(void **state)
{
	const struct balancer_case taken = {.direction = FROM_SERVICE,
					    .in = {.payload = 100},
					    .report = {.backend = 1, .sequence = 5}};
	struct trace_filter filter = usual_filter();
	struct outcome outcome;
	struct frame frame;

	(void)state;
	filter.snap = SNAP;
	trace(&taken.before, &filter);
	case_frame(&taken, &frame);
	send_case(&taken, &outcome);
	assert_int_equal(trace_read(), 1);
	assert_int_equal(told[0].record.captured_in, SNAP);
	assert_int_equal(told[0].record.captured_out, SNAP);
	assert_int_equal(told[0].record.length_in, frame.length);
	assert_int_equal(told[0].record.length_out, outcome.frame.length);
	assert_memory_equal(told[0].packet, frame.bytes, SNAP);
	assert_memory_equal(told[0].packet + SNAP, outcome.frame.bytes, SNAP);
}

static void test_a_short_packet_is_captured_whole(void **state)
{
	struct trace_filter filter = usual_filter();

	(void)state;
	filter.snap = TRACE_SNAP_MAX;
	trace(&second_is_least, &filter);
	send_flags(TCP_SYN);
	assert_int_equal(trace_read(), 1);
	assert_int_equal(told[0].record.captured_in, told[0].record.length_in);
	assert_int_equal(told[0].record.captured_out, told[0].record.length_out);
}

/* What a filter lets through, of a SYN that backend 2 gets. */
static const struct {
	const char *name;
	const char *client, *service, *backend;
	uint32_t client_bits;
	uint16_t client_port_offset, service_port;
	uint8_t service_protocol;
	uint64_t verdicts;
	size_t told;
} filters[] = {
	{"the client", .client = CLIENT, .client_bits = 32, .told = 1},
	{"another client", .client = "10.1.0.49", .client_bits = 32, .told = 0},
	{"its network", .client = "10.1.0.0", .client_bits = 24, .told = 1},
	{"another network", .client = "10.2.0.0", .client_bits = 24, .told = 0},
	{"another port of its", .client = CLIENT, .client_bits = 32, .client_port_offset = 1},
	{"the service", .service = VIP, .service_port = VIP_PORT, .told = 1},
	{"another port of the VIP's", .service = VIP, .service_port = VIP_PORT + 1, .told = 0},
	{"the service in TCP", .service = VIP, .service_protocol = IPPROTO_TCP, .told = 1},
	{"the service in UDP", .service = VIP, .service_protocol = IPPROTO_UDP, .told = 0},
	{"another VIP", .service = "10.1.0.101", .service_port = VIP_PORT, .told = 0},
	{"the backend", .backend = "10.1.0.12", .told = 1},
	{"another backend", .backend = "10.1.0.11", .told = 0},
	{"the verdict", .verdicts = 1ULL << VERDICT_FORWARDED, .told = 1},
	{"another verdict", .verdicts = ~(1ULL << VERDICT_FORWARDED), .told = 0},
};

static void test_filters(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		struct trace_filter filter = usual_filter();

		if (filters[i].client) {
			filter.client_mask = mask(filters[i].client_bits);
			filter.client = network_of(filters[i].client, filters[i].client_bits);
		}
		if (filters[i].client_port_offset)
			filter.client_port =
				htons(world.client_port + filters[i].client_port_offset);
		if (filters[i].service)
			filter.service = ip_address(filters[i].service);
		filter.service_port = htons(filters[i].service_port);
		filter.service_protocol = filters[i].service_protocol;
		if (filters[i].backend)
			filter.backend = ip_address(filters[i].backend);
		filter.verdicts = filters[i].verdicts ? filters[i].verdicts : ALL;
		trace(&second_is_least, &filter);
		assert_int_equal(send_flags(TCP_SYN), 2);
		if (trace_read() != filters[i].told)
			fail_msg("%s: %zu told", filters[i].name, told_count);
	}
}

/* In a report's packet, the client is where it goes to. */
static void test_filters_know_the_direction(void **state)
{
	const struct balancer_case taken = {.direction = FROM_SERVICE,
					    .report = {.backend = 1, .sequence = 5}};
	struct trace_filter filter = usual_filter();
	struct outcome outcome;

	(void)state;
	filter.client = ip_address(CLIENT);
	filter.client_mask = mask(32);
	filter.service = ip_address(VIP);
	filter.backend = ip_address(backend_address(1));
	filter.backend_id = server_id(1);
	trace(&taken.before, &filter);
	send_case(&taken, &outcome);
	assert_int_equal(trace_read(), 1);
	filter.backend = ip_address(backend_address(2));
	filter.backend_id = server_id(2);
	trace(&taken.before, &filter);
	send_case(&taken, &outcome);
	assert_int_equal(trace_read(), 0);
}

static void test_no_more_than_the_rate(void **state)
{
	struct trace_filter filter = usual_filter();
	int cpus = libbpf_num_possible_cpus();
	struct trace *traces = calloc(cpus, sizeof(*traces));
	uint64_t over_rate = 0;
	uint32_t zero = 0;

	(void)state;
	filter.rate = 3;
	trace(&second_is_least, &filter);
	for (int i = 0; i < 12; i++)
		send_flags(TCP_SYN);
	/* A second may end in the middle, and the program may move to another CPU. */
	assert_in_range(trace_read(), 3, 9);
	bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.traces), &zero, traces);
	for (int i = 0; i < cpus; i++)
		over_rate += traces[i].over_rate;
	assert_int_equal(over_rate + told_count, 12);
	free(traces);
}

static void test_a_full_ring_is_counted(void **state)
{
	struct balancer_case large = {.direction = TO_SERVICE, .in = {.payload = 1400}};
	struct trace_filter filter = usual_filter();
	int cpus = libbpf_num_possible_cpus();
	struct trace *traces = calloc(cpus, sizeof(*traces));
	struct outcome outcome;
	uint64_t no_room = 0;
	uint32_t zero = 0;

	(void)state;
	filter.snap = TRACE_SNAP_MAX;
	trace(&second_is_least, &filter);
	for (int i = 0; i < TRACE_RING_BYTES / 2900 + 10; i++)
		send_case(&large, &outcome);
	bpf_map_lookup_elem(bpf_map__fd(world.skeleton->maps.traces), &zero, traces);
	for (int i = 0; i < cpus; i++)
		no_room += traces[i].no_room;
	assert_true(no_room > 0);
	assert_int_equal(outcome.action, XDP_TX);
	free(traces);
}

static void test_nothing_of_a_sample_of_nothing(void **state)
{
	struct trace_filter filter = usual_filter();

	(void)state;
	filter.sample = 0; /* one in 2^32 */
	trace(&second_is_least, &filter);
	for (int i = 0; i < 8; i++)
		send_flags(TCP_SYN);
	assert_int_equal(trace_read(), 0);
	assert_true(is_tracing());
}

static void test_a_tracer_that_is_gone_is_forgotten(void **state)
{
	struct trace_filter filter = usual_filter();

	(void)state;
	filter.until_ns = monotonic_ns() - 1;
	trace(&second_is_least, &filter);
	assert_true(is_tracing());
	assert_int_equal(send_flags(TCP_SYN), 2);
	assert_int_equal(trace_read(), 0);
	assert_false(is_tracing());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_asks_nothing_is_told),
		cmocka_unit_test(test_a_new_flow_and_its_candidates),
		cmocka_unit_test(test_a_scan_notes_the_lowest),
		cmocka_unit_test(test_a_known_flow_is_no_choice),
		cmocka_unit_test(test_the_middle_of_an_unknown_flow),
		cmocka_unit_test(test_a_report_and_why_it_is_refused),
		cmocka_unit_test(test_the_packet_in_and_out),
		cmocka_unit_test(test_a_short_packet_is_captured_whole),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_filters_know_the_direction),
		cmocka_unit_test(test_no_more_than_the_rate),
		cmocka_unit_test(test_nothing_of_a_sample_of_nothing),
		cmocka_unit_test(test_a_tracer_that_is_gone_is_forgotten),
		/* Last: it leaves the ring full. */
		cmocka_unit_test(test_a_full_ring_is_counted),
	};
	int failed;

	harness_require_root();
	if (world_create())
		return EXIT_FAILURE;
	ring = ring_buffer__new(bpf_map__fd(world.skeleton->maps.trace_ring), take, NULL, NULL);
	failed = cmocka_run_group_tests_name("balancer: trace", tests, NULL, NULL);
	ring_buffer__free(ring);
	world_destroy();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
