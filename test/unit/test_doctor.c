/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What cannot be broken on the kernel that the tests run on: the doctor's checks on facts that are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "doctor/kernel.h"
#include "doctor/plan.h"

typedef void check_function(const struct subject *subject, struct findings *findings);

static char root[] = "/tmp/plimsoll-doctor-XXXXXX";

/* A host's file, with the directories above it. */
static void put(const char *path, const char *text)
{
	char whole[512], *slash;
	FILE *file;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	for (slash = strchr(whole + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(!mkdir(whole, 0755) || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(whole, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void take(const char *path)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	unlink(whole);
}

/* The result, and the first command; `findings` is freed by the next call. */
static const char *mending;

static enum result made(check_function *check, const struct subject *subject)
{
	static struct findings findings;
	json_t *finding;
	size_t i;

	json_decref(findings.list);
	findings = (struct findings){.list = json_array()};
	check(subject, &findings);
	assert_true(json_array_size(findings.list) > 0);
	mending = NULL;
	json_array_foreach (findings.list, i, finding)
		mending = mending ?: json_string_value(json_object_get(finding, "mend"));
	assert_true(mending || (findings.worst != RESULT_WRONG && findings.worst != RESULT_ADVICE));
	return findings.worst;
}

#define assert_well(check, subject) assert_int_equal(made(check, subject), RESULT_OK)
#define assert_mends(check, subject, result, words)                                                \
	do {                                                                                       \
		assert_int_equal(made(check, subject), result);                                    \
		assert_non_null(strstr(mending, words));                                           \
	} while (0)

/* ------------------------------------------------------------------- the host below */

static const struct subject host = {.root = root};

static void kernels(void **state)
{
	(void)state;
	put("/proc/sys/kernel/osrelease", "6.1.0-28-amd64\n");
	assert_well(check_kernel, &host);
	put("/proc/sys/kernel/osrelease", "5.15.0\n");
	assert_mends(check_kernel, &host, RESULT_WRONG, "linux-image");
	take("/proc/sys/kernel/osrelease");
	assert_int_equal(made(check_kernel, &(struct subject){.root = root}), RESULT_UNKNOWN);
}

static void type_information(void **state)
{
	(void)state;
	assert_mends(check_btf, &host, RESULT_WRONG, "linux-image");
	put("/sys/kernel/btf/vmlinux", "BTF");
	assert_well(check_btf, &host);
}

static void compiler(void **state)
{
	(void)state;
	put("/proc/sys/net/core/bpf_jit_enable", "0\n");
	assert_mends(check_bpf_jit, &host, RESULT_WRONG, "net.core.bpf_jit_enable=1");
	put("/proc/sys/net/core/bpf_jit_enable", "1\n");
	assert_well(check_bpf_jit, &host);
}

static int probe_all(const struct kernel_feature *feature)
{
	(void)feature;
	return 1;
}

static int probe_without_loop(const struct kernel_feature *feature)
{
	return feature->helper != BPF_FUNC_loop;
}

static int probe_refused(const struct kernel_feature *feature)
{
	(void)feature;
	return -EPERM;
}

static enum result features_by(kernel_probe *probe, const char *words)
{
	struct findings findings = {.list = json_array()};
	char *text;

	judge_features(probe, &findings);
	text = json_dumps(findings.list, 0);
	assert_non_null(strstr(text, words));
	free(text);
	json_decref(findings.list);
	return findings.worst;
}

static void features(void **state)
{
	(void)state;
	assert_int_equal(features_by(probe_all, "all"), RESULT_OK);
	assert_int_equal(features_by(probe_without_loop, "no bpf_loop in tc"), RESULT_WRONG);
	assert_int_equal(features_by(probe_refused, "Operation not permitted"), RESULT_UNKNOWN);
}

static enum result clock_at(int64_t seconds, bool synchronised)
{
	struct findings findings = {.list = json_array()};

	judge_clock(seconds, synchronised, &findings);
	json_decref(findings.list);
	return findings.worst;
}

static void clocks(void **state)
{
	(void)state;
	assert_int_equal(clock_at(1800000000, true), RESULT_OK);
	assert_int_equal(clock_at(1800000000, false), RESULT_ADVICE);
	assert_int_equal(clock_at(0, false), RESULT_WRONG);
}

static void locked_memory(void **state)
{
	const struct subject running = {.root = root, .daemon = 7};

	(void)state;
	put("/proc/sys/kernel/osrelease", "6.1.0\n");
	assert_well(check_memlock, &running);
	put("/proc/sys/kernel/osrelease", "5.10.0\n");
	put("/proc/7/limits", "Limit  Soft Limit  Hard Limit  Units\n"
			      "Max locked memory         65536                65536    bytes\n");
	assert_mends(check_memlock, &running, RESULT_WRONG, "prlimit --pid 7 --memlock=unlimited");
	put("/proc/7/limits", "Max locked memory         unlimited            unlimited  bytes\n");
	assert_well(check_memlock, &running);
}

static void neighbour_table(void **state)
{
	struct subject subject = {
		.root = root,
		.plan = json_pack("{s:[{s:[s,s]}]}", "services", "backends", "10.1.0.11",
				  "10.1.0.12"),
	};

	(void)state;
	assert_int_equal(made(check_neighbour_table, &subject), RESULT_SKIPPED);
	put("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "3\n");
	assert_mends(check_neighbour_table, &subject, RESULT_WRONG, "gc_thresh3=4");
	put("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024\n");
	assert_well(check_neighbour_table, &subject);
	json_decref(subject.plan);
}

/* The greater of the interface's value and that of all is in force. */
static void settings(void **state)
{
	const struct subject subject = {
		.root = root,
		.instance = "server",
		.links = {{.name = "eth0", .index = 2}},
		.link_count = 1,
	};

	(void)state;
	put("/proc/sys/net/ipv4/conf/eth0/rp_filter", "0\n");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "0\n");
	assert_well(check_rp_filter, &subject);
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
	assert_mends(check_rp_filter, &subject, RESULT_WRONG, "conf.eth0.rp_filter=2");
	put("/proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n");
	assert_well(check_rp_filter, &subject);
	put("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "0\n");
	put("/proc/sys/net/ipv4/conf/all/arp_ignore", "1\n");
	assert_well(check_arp_ignore, &subject);
}

/* ------------------------------------------------------------------- interfaces */

static void offloads(void **state)
{
	struct subject subject = {
		.role = CONFIG_BALANCER,
		.links = {{.name = "eth0", .index = 2, .driver = "ixgbe", .gro = true}},
		.link_count = 1,
	};

	(void)state;
	assert_well(check_offloads, &subject);
	subject.links[0].gro_hw = true;
	assert_mends(check_offloads, &subject, RESULT_WRONG, "ethtool -K eth0 rx-gro-hw off");
	subject.links[0].lro = true;
	assert_mends(check_offloads, &subject, RESULT_WRONG, "ethtool -K eth0 lro off");
	subject.role = CONFIG_SERVER;
	assert_mends(check_offloads, &subject, RESULT_ADVICE, "lro off");
	subject.links[0].lro = false;
	subject.links[0].gro = false;
	assert_mends(check_offloads, &subject, RESULT_ADVICE, "ethtool -K eth0 gro on");
}

static void modes(void **state)
{
	struct subject subject = {
		.role = CONFIG_BALANCER,
		.links = {{.name = "eth0", .index = 2, .driver = "virtio_net", .xdp_program = 5}},
		.link_count = 1,
	};

	(void)state;
	assert_well(check_xdp_mode, &subject);
	subject.links[0].xdp_generic = true;
	assert_mends(check_xdp_mode, &subject, RESULT_ADVICE, "mtu 1500; plimsoll balancer");
	strcpy(subject.links[0].driver, "e1000");
	assert_mends(check_xdp_mode, &subject, RESULT_ADVICE, "ethtool -i eth0");
}

static void queues(void **state)
{
	struct subject subject = {
		.links = {{.name = "eth0",
			   .index = 2,
			   .queues = 1,
			   .queues_possible = 1,
			   .queues_combined = true}},
		.link_count = 1,
	};

	(void)state;
	assert_well(check_queues, &subject);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	subject.links[0].queues_possible = 2;
	assert_mends(check_queues, &subject, RESULT_ADVICE, "ethtool -L eth0 combined 2");
}

static void sizes(void **state)
{
	struct subject subject = {
		.links = {{.name = "eth0", .index = 2, .mtu = 1500},
			  {.name = "eth1", .index = 3, .mtu = 1500}},
		.link_count = 2,
	};

	(void)state;
	assert_well(check_mtu, &subject);
	subject.links[0].mtu = 9000;
	assert_mends(check_mtu, &subject, RESULT_WRONG, "ip link set dev eth1 mtu 9000");
	subject.before = json_pack("{s:[{s:[{s:s}]}]}", "services", "backends", "forward", "ipip");
	assert_mends(check_mtu, &subject, RESULT_ADVICE, "ip link set dev eth1 mtu 1520");
	json_decref(subject.before);
}

/* ------------------------------------------------------------------- the application */

#define TCP_HEAD                                                                                   \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"

static void listeners(void **state)
{
	struct subject subject = {
		.root = root,
		.plan = json_pack("{s:[{s:s,s:s,s:i,s:s}]}", "services", "address", "10.1.0.100:80",
				  "vip", "10.1.0.100", "port", 80, "protocol", "tcp"),
	};

	(void)state;
	put("/proc/net/tcp", TCP_HEAD "   0: 6400010A:0050 00000000:0000 01 0:0 0:0 0 0 0 1\n");
	assert_mends(check_listener, &subject, RESULT_WRONG, "sport = 80");
	put("/proc/net/tcp", TCP_HEAD "   0: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 1\n");
	assert_mends(check_listener, &subject, RESULT_WRONG, "sport = 80");
	put("/proc/net/tcp", TCP_HEAD "   0: 6400010A:0050 00000000:0000 0A 0:0 0:0 0 0 0 1\n");
	assert_well(check_listener, &subject);
	put("/proc/net/tcp", TCP_HEAD "   0: 00000000:0050 00000000:0000 0A 0:0 0:0 0 0 0 1\n");
	assert_well(check_listener, &subject);
	take("/proc/net/tcp");
	put("/proc/net/tcp6",
	    TCP_HEAD "   0: 00000000000000000000000000000000:0050 "
		     "00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1\n");
	assert_well(check_listener, &subject);
	json_decref(subject.plan);
}

/* ------------------------------------------------------------------- what is counted */

static struct subject watched(const char *before, const char *after)
{
	return (struct subject){
		.root = root,
		.instance = "edge",
		.before = json_loads(before, 0, NULL),
		.after = json_loads(after, 0, NULL),
		.seconds = 0.7,
	};
}

static void release(struct subject *subject)
{
	assert_non_null(subject->before);
	assert_non_null(subject->after);
	json_decref(subject->before);
	json_decref(subject->after);
}

/* By the check's verdict rising, and not by its having risen in the past. */
static void refusals(void **state)
{
	static const struct {
		check_function *check;
		const char *verdict;
	} cases[] = {
		{check_keys, "report-wrong-tag"},
		{check_keys, "report-unkeyed"},
		{check_unknown_servers, "report-unknown-server"},
		{check_report_source, "report-wrong-source"},
		{check_report_format, "report-malformed"},
		{check_return_route, "report-no-route"},
		{check_report_order, "report-old"},
		{check_drops, "no-backend"},
		{check_drops, "no-neighbour"},
		{check_drops, "fragment"},
		{check_drops, "malformed"},
	};
	char past[128], more[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct subject subject;

		snprintf(past, sizeof(past), "{\"counters\": {\"%s\": 7}}", cases[i].verdict);
		snprintf(more, sizeof(more), "{\"counters\": {\"%s\": 18}}", cases[i].verdict);
		subject = watched(past, past);
		assert_well(cases[i].check, &subject);
		release(&subject);
		subject = watched(past, more);
		assert_mends(cases[i].check, &subject, RESULT_WRONG, "--instance edge");
		release(&subject);
	}
}

static void order(void **state)
{
	struct subject subject =
		watched("{\"counters\": {\"report-old\": 0, \"report-taken\": 0}}",
			"{\"counters\": {\"report-old\": 30, \"report-taken\": 900}}");

	(void)state;
	assert_well(check_report_order, &subject); /* one overtakes another now and then */
	release(&subject);
}

static void flow_tables(void **state)
{
	struct subject subject = watched("{}", "{\"flows\": {\"capacity\": 100, \"used\": 81}}");

	(void)state;
	assert_mends(check_flow_table, &subject, RESULT_WRONG, "flow_table: {entries: 200}");
	json_object_set_new(json_object_get(subject.after, "flows"), "used", json_integer(80));
	assert_well(check_flow_table, &subject);
	release(&subject);
}

#define BACKEND(connections, reports, known)                                                       \
	"{\"services\": [{\"feedback\": \"in-band\", \"backends\": [{\"address\": "                \
	"\"10.1.0.11\", \"connections\": " #connections ", \"reports\": " #reports                 \
	", \"known\": " #known "}]}]}"

static void reporting(void **state)
{
	struct subject subject;

	(void)state;
	subject = watched(BACKEND(0, 0, false), BACKEND(0, 0, false));
	assert_well(check_reports, &subject); /* it had nothing to report on */
	release(&subject);
	subject = watched(BACKEND(9, 0, false), BACKEND(9, 0, false));
	assert_mends(check_reports, &subject, RESULT_WRONG, "on 10.1.0.11");
	release(&subject);
	subject = watched(BACKEND(9, 5, false), BACKEND(12, 5, false));
	assert_mends(check_reports, &subject, RESULT_WRONG, "on 10.1.0.11");
	release(&subject);
	subject = watched(BACKEND(9, 5, false), BACKEND(9, 5, false));
	assert_well(check_reports, &subject);
	release(&subject);
	subject = watched(BACKEND(9, 5, false), BACKEND(12, 6, true));
	assert_well(check_reports, &subject);
	release(&subject);
}

#define STATE(state, mac)                                                                               \
	"{\"services\": [{\"name\": \"web\", \"backends\": [{\"address\": \"10.1.0.11\", \"mac\": " mac \
	", \"state\": \"" state "\", \"cause\": \"fails its check\"}]}]}"

static enum result backend_in(const char *after)
{
	struct subject subject = watched(after, after);
	enum result result = made(check_backends, &subject);

	release(&subject);
	return result;
}

static void backends_out(void **state)
{
	(void)state;
	assert_int_equal(backend_in(STATE("healthy", "\"02:00:00:00:05:01\"")), RESULT_OK);
	assert_int_equal(backend_in(STATE("draining", "\"02:00:00:00:05:01\"")), RESULT_OK);
	assert_int_equal(backend_in(STATE("suspect", "\"02:00:00:00:05:01\"")), RESULT_WRONG);
	assert_int_equal(backend_in(STATE("down", "\"02:00:00:00:05:01\"")), RESULT_WRONG);
	/* That is told by the check of next hops. */
	assert_int_equal(backend_in(STATE("down", "null")), RESULT_OK);
}

static void at_a_server(void **state)
{
	struct subject subject =
		watched("{\"carriers\": {\"silent-balancer\": 4, \"stamped\": 1}}",
			"{\"carriers\": {\"silent-balancer\": 9, \"stamped\": 1}}");

	(void)state;
	assert_mends(check_balancer_heard, &subject, RESULT_WRONG, "on the balancer");
	json_object_set_new(json_object_get(subject.after, "carriers"), "stamped", json_integer(2));
	assert_well(check_balancer_heard, &subject);
	release(&subject);
	subject = watched("{\"load\": {\"evicted\": 1}}", "{\"load\": {\"evicted\": 2}}");
	assert_mends(check_meter_table, &subject, RESULT_WRONG, "meter_entries: ");
	release(&subject);
}

/* ------------------------------------------------------------------- file and daemon */

static json_t *plan_with(const char *backend)
{
	return json_pack("{s:[s],s:[],s:[{s:s,s:[s,s]}]}", "interfaces", "eth0", "balancers",
			 "services", "address", "10.1.0.100:80", "backends", "10.1.0.11", backend);
}

static void differences(void **state)
{
	json_t *file = plan_with("10.1.0.12"), *daemon = plan_with("10.1.0.13");
	char text[256];

	(void)state;
	assert_true(plan_difference(file, daemon, text, sizeof(text)));
	assert_string_equal(text, "backend 10.1.0.12 stands in the file and is not in force");
	assert_false(plan_difference(file, file, text, sizeof(text)));
	json_array_clear(json_object_get(daemon, "interfaces"));
	assert_true(plan_difference(file, daemon, text, sizeof(text)));
	assert_string_equal(text, "interface eth0 stands in the file and is not in force");
	json_decref(file);
	json_decref(daemon);
}

static void listening(void **state)
{
	static const struct {
		const char *endpoint;
		enum result result;
	} cases[] = {
		{"127.0.0.1:9570", RESULT_OK},	    {"10.1.0.2:9570", RESULT_OK},
		{"172.31.0.1:9570", RESULT_OK},	    {"192.168.7.1:9570", RESULT_OK},
		{"172.32.0.1:9570", RESULT_WRONG},  {"0.0.0.0:9570", RESULT_WRONG},
		{"203.0.113.4:9570", RESULT_WRONG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct subject subject = {.root = root, .config_path = "/etc/b.yaml"};

		strcpy(subject.listen, cases[i].endpoint);
		assert_int_equal(made(check_listen, &subject), cases[i].result);
	}
}

/* ------------------------------------------------------------------- the table */

static void silent(const char *name)
{
	(void)name;
}

/* With nothing to look at, no check fails for that, and each is named once. */
static void all_of_them(void **state)
{
	struct subject subject = {
		.root = root,
		.plan = json_pack("{s:[],s:[],s:[]}", "interfaces", "services", "balancers"),
	};
	json_t *answer, *checks, *check, *other;
	enum result worst;
	size_t i, j;

	(void)state;
	for (int role = CONFIG_BALANCER; role <= CONFIG_SERVER; role++) {
		subject.role = (enum config_role)role;
		answer = examine(&subject, silent, &worst);
		checks = json_object_get(answer, "checks");
		assert_true(json_array_size(checks) >= 20);
		json_array_foreach (checks, i, check) {
			if (!json_array_size(json_object_get(check, "findings")))
				fail_msg("%s says nothing",
					 json_string_value(json_object_get(check, "name")));
			json_array_foreach (checks, j, other)
				assert_true(i == j || !json_equal(json_object_get(check, "name"),
								  json_object_get(other, "name")));
		}
		json_decref(answer);
	}
	json_decref(subject.plan);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels),	   cmocka_unit_test(type_information),
		cmocka_unit_test(compiler),	   cmocka_unit_test(features),
		cmocka_unit_test(clocks),	   cmocka_unit_test(locked_memory),
		cmocka_unit_test(neighbour_table), cmocka_unit_test(settings),
		cmocka_unit_test(offloads),	   cmocka_unit_test(modes),
		cmocka_unit_test(queues),	   cmocka_unit_test(sizes),
		cmocka_unit_test(listeners),	   cmocka_unit_test(refusals),
		cmocka_unit_test(order),	   cmocka_unit_test(flow_tables),
		cmocka_unit_test(reporting),	   cmocka_unit_test(at_a_server),
		cmocka_unit_test(backends_out),	   cmocka_unit_test(differences),
		cmocka_unit_test(listening),	   cmocka_unit_test(all_of_them),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
