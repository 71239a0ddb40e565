/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "table.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "values.h"

#define BOTH (FOR(CONFIG_BALANCER) | FOR(CONFIG_SERVER))
#define BALANCER FOR(CONFIG_BALANCER)
#define SERVER FOR(CONFIG_SERVER)

#define TEXT_OF_(number) #number
#define TEXT_OF(number) TEXT_OF_(number)
#define KEPT_IN(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define LIST_IN(type, member, counter)                                                             \
	.list = true, .offset = offsetof(type, member), .size = sizeof(*((type *)0)->member),      \
	.count_offset = offsetof(type, counter)

#define US 1000ULL
#define MS (1000 * US)
#define SECOND (1000 * MS)

#define CHOICE_OF_POLICY(symbol, name, ...) {name, POLICY_##symbol, false},
const struct choice policies[] = {POLICIES(CHOICE_OF_POLICY){0}};
#undef CHOICE_OF_POLICY

#define CHOICE_OF_SIGNAL(symbol, name, ...) {name, SIGNAL_##symbol, false},
const struct choice signals[] = {SIGNALS(CHOICE_OF_SIGNAL){0}};
#undef CHOICE_OF_SIGNAL

const struct choice feedbacks[] = {
	{"in-band", FEEDBACK_IN_BAND, false},
	{"poll", FEEDBACK_POLL, false},
	{"none", FEEDBACK_NONE, false},
	{0},
};

static const struct choice weightings[] = {
	{"auto", true, false},
	{"configured", false, false},
	{0},
};

static const struct choice yes_or_no[] = {
	{"yes", true, false},
	{"no", false, false},
	{0},
};

const struct choice checks[] = {
	{"tcp", CHECK_TCP, false},
	{"http", CHECK_HTTP, false},
	{"none", CHECK_NONE, false},
	{0},
};

static const struct choice all_downs[] = {
	{"try-all", ALL_DOWN_TRY_ALL, false},
	{"reset", ALL_DOWN_RESET, false},
	{"drop", ALL_DOWN_DROP, false},
	{0},
};

static const struct choice dead_flow_fates[] = {
	{"leave", DEAD_FLOWS_LEAVE, false},
	{"reset", DEAD_FLOWS_RESET, false},
	{0},
};

static const struct choice echoes[] = {
	{"answer", true, false},
	{"pass", false, false},
	{0},
};

static const struct choice xdp_modes[] = {
	{"auto", XDP_MODE_AUTO, false},
	{"native", XDP_MODE_NATIVE, false},
	{"generic", XDP_MODE_GENERIC, false},
	{0},
};

static const struct choice poll_protocols[] = {
	{"report", POLL_REPORT, false},
	{"agent-check", POLL_AGENT_CHECK, false},
	{0},
};

const struct choice protocols[] = {
	{"tcp", IPPROTO_TCP, false},
	{"udp", IPPROTO_UDP, false},
	{0},
};

const struct choice forwards[] = {
	{"l2", FORWARD_L2, false},
	{"ipip", FORWARD_IPIP, false},
	{0},
};

static const struct choice outer_sources[] = {
	{"varied", true, false},
	{"fixed", false, false},
	{0},
};

static const struct field backend_fields[] = {
	{
		.key = "address",
		.roles = BALANCER,
		.required = true,
		.sentence = "The server's own IP address, not the service's; with forward: ipip it "
			    "may be of the other family.",
		.expected = "an IP address of the server's own, such as 10.1.0.3 or 2001:db8::3",
		.parse = parse_unicast,
		KEPT_IN(struct backend_config, address),
	},
	{
		.key = "weight",
		.roles = BALANCER,
		.sentence = "The server's capacity, relative to the other backends.",
		.expected = "a whole number from 1 to " TEXT_OF(WEIGHT_MAX),
		.fallback = "1",
		.parse = parse_number,
		.min = 1,
		.max = WEIGHT_MAX,
		KEPT_IN(struct backend_config, weight),
	},
	{
		.key = "forward",
		.roles = BALANCER,
		.sentence = "How packets reach it: l2 writes its MAC address into them, ipip puts "
			    "them into packets to its own address, which routers may forward.",
		.fallback = "l2",
		.parse = parse_choice,
		.choices = forwards,
		KEPT_IN(struct backend_config, forward),
	},
	{
		.key = "draining",
		.roles = BALANCER,
		.sentence = "Whether it gets no new connections, and keeps those it has.",
		.fallback = "no",
		.parse = parse_choice,
		.choices = yes_or_no,
		KEPT_IN(struct backend_config, draining),
	},
	{0},
};
_Static_assert(sizeof(backend_fields) / sizeof(backend_fields[0]) <= FIELDS_MAX,
	       "FIELDS_MAX is too small");

static const struct mapping backend_mapping = {"a backend", backend_fields};

static const struct field health_fields[] = {
	{
		.key = "check",
		.roles = BALANCER,
		.required = true,
		.sentence =
			"tcp opens a connection, http asks for a path; to the service's address, but "
			"sent to that very server, as clients' packets are.",
		.fallback = "none",
		.parse = parse_choice,
		.choices = checks,
		KEPT_IN(struct health_config, check),
	},
	{
		.key = "path",
		.roles = BALANCER,
		.sentence = "With check: http, what is asked for.",
		.expected = "a path of up to 127 characters, such as /health?deep=1",
		.fallback = "/",
		.parse = parse_check_path,
		KEPT_IN(struct health_config, path),
	},
	{
		.key = "expect",
		.roles = BALANCER,
		.sentence = "With check: http, the status that is right.",
		.expected = "an HTTP status from 100 to 599",
		.fallback = "200",
		.parse = parse_number,
		.min = 100,
		.max = 599,
		KEPT_IN(struct health_config, expect),
	},
	{
		.key = "interval",
		.roles = BALANCER,
		.sentence =
			"How often each server is checked, once for all services that want the same.",
		.expected = "a duration with its unit from 10ms to 3600s, such as 1s",
		.fallback = "1s",
		.parse = parse_duration,
		.min = 10 * MS,
		.max = 3600 * SECOND,
		KEPT_IN(struct health_config, interval_ns),
	},
	{
		.key = "timeout",
		.roles = BALANCER,
		.sentence = "How long an answer may take.",
		.expected =
			"a duration with its unit from 1ms to 60s, not above the interval, such as "
			"500ms",
		.fallback = "500ms",
		.parse = parse_duration,
		.min = MS,
		.max = 60 * SECOND,
		KEPT_IN(struct health_config, timeout_ns),
	},
	{
		.key = "rise",
		.roles = BALANCER,
		.sentence =
			"So many checks in a row must pass before a server that is down is up again.",
		.expected = "a whole number from 1 to 100",
		.fallback = "2",
		.parse = parse_number,
		.min = 1,
		.max = 100,
		KEPT_IN(struct health_config, rise),
	},
	{
		.key = "fall",
		.roles = BALANCER,
		.sentence = "So many checks in a row must fail before a server is down.",
		.expected = "a whole number from 1 to 100",
		.fallback = "3",
		.parse = parse_number,
		.min = 1,
		.max = 100,
		KEPT_IN(struct health_config, fall),
	},
	{
		.key = "port",
		.roles = BALANCER,
		.sentence = "The port of the service's address that is checked; "
			    "a service of every port must name one.",
		.expected = "a port up to 65535; 0 is the service's",
		.fallback = "0",
		.parse = parse_number,
		.max = 65535,
		KEPT_IN(struct health_config, port),
	},
	{0},
};
_Static_assert(sizeof(health_fields) / sizeof(health_fields[0]) <= FIELDS_MAX,
	       "FIELDS_MAX is too small");

static const struct mapping health_mapping = {"the health check", health_fields};

static const struct field service_fields[] = {
	{
		.key = "name",
		.roles = BOTH,
		.sentence = "What the service is called; if absent, its address.",
		.expected = "up to 63 letters, digits and . _ - :",
		.parse = parse_name,
		KEPT_IN(struct service_config, name),
	},
	{
		.key = "address",
		.roles = BOTH,
		.required = true,
		.sentence =
			"The virtual IP address and port that clients connect to; port * is every "
			"port that no other service of the address has.",
		.expected = "an IP address and a port, such as 10.1.0.100:80, [2001:db8::64]:80 or "
			    "10.1.0.100:*",
		.parse = parse_service_address,
		KEPT_IN(struct service_config, address),
	},
	{
		.key = "protocol",
		.roles = BOTH,
		.sentence = "The transport protocol.",
		.fallback = "tcp",
		.parse = parse_choice,
		.choices = protocols,
		KEPT_IN(struct service_config, protocol),
	},
	{
		.key = "policy",
		.roles = BALANCER,
		.sentence =
			"How a backend is chosen: power-of-choices takes the least loaded of a few candidates, "
			"least-loaded that of all; maglev goes by the flow's hash alone.",
		.fallback = "power-of-choices",
		.parse = parse_choice,
		.choices = policies,
		KEPT_IN(struct service_config, policy),
	},
	{
		.key = "choices",
		.roles = BALANCER,
		.sentence = "How many candidates power-of-choices and prequal compare.",
		.expected = "a whole number from 1 to " TEXT_OF(CHOICES_MAX),
		.fallback = "4",
		.parse = parse_number,
		.min = 1,
		.max = CHOICES_MAX,
		KEPT_IN(struct service_config, choices),
	},
	{
		.key = "signal",
		.roles = BALANCER,
		.sentence = "Which load is compared: in-flight counts unanswered requests, worst "
			    "takes the most used resource.",
		.fallback = "in-flight",
		.parse = parse_choice,
		.choices = signals,
		KEPT_IN(struct service_config, signal),
	},
	{
		.key = "feedback",
		.roles = BALANCER,
		.sentence = "How the load becomes known: in-band reads it off the servers' "
			    "own packets, poll asks their agents, none does without.",
		.fallback = "in-band",
		.parse = parse_choice,
		.choices = feedbacks,
		KEPT_IN(struct service_config, feedback),
	},
	{
		.key = "poll_interval",
		.roles = BALANCER,
		.sentence = "With feedback: poll, how often each agent is asked.",
		.expected = "a duration with its unit from 1ms to 60s, such as 1s",
		.fallback = "1s",
		.parse = parse_duration,
		.min = MS,
		.max = 60 * SECOND,
		KEPT_IN(struct service_config, poll_interval_ns),
	},
	{
		.key = "poll_protocol",
		.roles = BALANCER,
		.sentence = "How agents are asked: report is one UDP datagram each way, "
			    "agent-check is HAProxy's, over TCP.",
		.fallback = "report",
		.parse = parse_choice,
		.choices = poll_protocols,
		KEPT_IN(struct service_config, poll_protocol),
	},
	{
		.key = "poll_port",
		.roles = BALANCER,
		.sentence = "The port on which the servers' agents answer.",
		.expected = "a port from 1 to 65535",
		.fallback = "9571",
		.parse = parse_number,
		.min = 1,
		.max = 65535,
		KEPT_IN(struct service_config, poll_port),
	},
	{
		.key = "weights",
		.roles = BALANCER,
		.sentence = "auto corrects the weights by what the servers turn out to be "
			    "capable of; configured takes them as they are.",
		.fallback = "auto",
		.parse = parse_choice,
		.choices = weightings,
		KEPT_IN(struct service_config, auto_weights),
	},
	{
		.key = "pending",
		.roles = BALANCER,
		.sentence = "Whether connections that a server has not reported yet count "
			    "as load.",
		.fallback = "yes",
		.parse = parse_choice,
		.choices = yes_or_no,
		KEPT_IN(struct service_config, with_pending),
	},
	{
		.key = "stale_after",
		.roles = BALANCER,
		.sentence = "A report older than this no longer counts; if absent, with feedback: "
			    "poll at least three poll_intervals.",
		.expected = "a duration with its unit from 1ms to 3600s, such as 1s",
		.fallback = "1s",
		.parse = parse_duration,
		.min = MS,
		.max = 3600 * SECOND,
		KEPT_IN(struct service_config, stale_after_ns),
	},
	{
		.key = "ring_size",
		.roles = BALANCER,
		.sentence = "Slots of the service's Maglev ring; a hundred per backend "
			    "or more make the shares exact.",
		.expected = "a prime up to " TEXT_OF(
			RING_SIZE_MAX) ", not below the number of backends; such as 16381",
		.fallback = "16381",
		.parse = parse_prime,
		.min = 2,
		.max = RING_SIZE_MAX,
		KEPT_IN(struct service_config, ring_size),
	},
	{
		.key = "health",
		.roles = BALANCER,
		.sentence =
			"How servers are checked that clients' connections tell nothing of, as the "
			"idle ones; if absent, clients' connections are all that is gone by.",
		.expected = "a mapping, such as {check: http, path: /, expect: 200}",
		.mapping = &health_mapping,
		KEPT_IN(struct service_config, health),
	},
	{
		.key = "all_down",
		.roles = BALANCER,
		.sentence =
			"What becomes of new connections when no backend is up: try-all sends them to "
			"the backends all the same, reset refuses them, and tells the clients of "
			"datagrams that nobody listens.",
		.fallback = "try-all",
		.parse = parse_choice,
		.choices = all_downs,
		KEPT_IN(struct service_config, all_down),
	},
	{
		.key = "dead_flows",
		.roles = BALANCER,
		.sentence =
			"What becomes of the connections of a backend that is down: leave goes on "
			"sending them there, reset ends them at the client's next packet.",
		.fallback = "leave",
		.parse = parse_choice,
		.choices = dead_flow_fates,
		KEPT_IN(struct service_config, dead_flows),
	},
	{
		.key = "slow_start",
		.roles = BALANCER,
		.sentence =
			"For so long the weight of a backend that was down rises, from a tenth to all "
			"of it; 0s is at once.",
		.expected = "a duration with its unit up to 3600s, such as 10s",
		.fallback = "10s",
		.parse = parse_duration,
		.max = 3600 * SECOND,
		KEPT_IN(struct service_config, slow_start_ns),
	},
	{
		.key = "backends",
		.roles = BALANCER,
		.required = true,
		.sentence = "The servers that answer for the service.",
		.expected = "a list of backends, such as - {address: 10.1.0.3, weight: 1}",
		.mapping = &backend_mapping,
		.max = BACKENDS_MAX - 1,
		LIST_IN(struct service_config, backends, backend_count),
		.line_offset = offsetof(struct backend_config, line),
	},
	{0},
};
_Static_assert(sizeof(service_fields) / sizeof(service_fields[0]) <= FIELDS_MAX,
	       "FIELDS_MAX is too small");

const struct mapping service_mapping = {"a service", service_fields};

static const struct field report_fields[] = {
	{
		.key = "min_interval",
		.roles = SERVER,
		.sentence = "Two reports to a balancer are never closer than this.",
		.expected = "a duration with its unit from 10us to 10s, such as 1ms",
		.fallback = "1ms",
		.parse = parse_duration,
		.min = 10 * US,
		.max = 10 * SECOND,
		KEPT_IN(struct report_config, min_interval_ns),
	},
	{
		.key = "max_interval",
		.roles = SERVER,
		.sentence = "After this long a report is due even if nothing has changed.",
		.expected = "a duration with its unit from 10us to 60s, such as 100ms",
		.fallback = "100ms",
		.parse = parse_duration,
		.min = 10 * US,
		.max = 60 * SECOND,
		KEPT_IN(struct report_config, max_interval_ns),
	},
	{
		.key = "max_share",
		.roles = SERVER,
		.sentence = "At most this share of the response packets bears a report.",
		.expected = "a percentage above 0% and up to 10%, such as 2%",
		.fallback = "2%",
		.parse = parse_share,
		KEPT_IN(struct report_config, max_share),
	},
	{
		.key = "in_band",
		.roles = SERVER,
		.sentence = "Whether response packets bear reports at all; with no, the load "
			    "is only told to those who ask the agent.",
		.fallback = "yes",
		.parse = parse_choice,
		.choices = yes_or_no,
		KEPT_IN(struct report_config, in_band),
	},
	{0},
};
_Static_assert(sizeof(report_fields) / sizeof(report_fields[0]) <= FIELDS_MAX,
	       "FIELDS_MAX is too small");

static const struct mapping report_mapping = {"the report settings", report_fields};

static const struct field flow_table_fields[] = {
	{
		.key = "entries",
		.roles = BALANCER,
		.sentence = "How many flows are remembered at once (8 bytes each).",
		.expected = "a whole number from 64 to 67108864",
		.fallback = "1000000",
		.parse = parse_number,
		.min = 64,
		.max = 67108864,
		KEPT_IN(struct flow_table_config, entries),
		.fixed = "the flows are remembered in a table of that size",
	},
	{
		.key = "udp_timeout",
		.roles = BALANCER,
		.sentence = "A flow of UDP without a packet for this long is forgotten.",
		.expected = "a duration with its unit from 1s to 300s, such as 30s",
		.fallback = "30s",
		.parse = parse_duration,
		.min = SECOND,
		.max = 300 * SECOND,
		KEPT_IN(struct flow_table_config, udp_timeout_ns),
	},
	{0},
};
_Static_assert(sizeof(flow_table_fields) / sizeof(flow_table_fields[0]) <= FIELDS_MAX,
	       "FIELDS_MAX is too small");

static const struct mapping flow_table_mapping = {"the flow table", flow_table_fields};

static const struct field config_fields[] = {
	{
		.key = "interfaces",
		.roles = BOTH,
		.required = true,
		.sentence = "The network interfaces that clients' packets arrive on.",
		.expected = "a list of 1 to " TEXT_OF(INTERFACES_MAX) " interfaces, such as [eth0]",
		.parse = parse_interface,
		.max = INTERFACES_MAX,
		LIST_IN(struct config, interfaces, interface_count),
	},
	{
		.key = "listen",
		.roles = BOTH,
		.sentence =
			"Where status page, metrics and API are answered in HTTP, read-only; if "
			"absent, a balancer's are on 127.0.0.1:9570 and a server's nowhere.",
		.expected =
			"an IP address and a port, such as 127.0.0.1:9570 or [::1]:9570, or none",
		/* Sets `listening` and `listen_given` too. */
		.parse = parse_listen,
	},
	{
		.key = "agent_listen",
		.roles = SERVER,
		.sentence = "Where the agent answers polls, in UDP with a report and in TCP "
			    "as HAProxy's agent-check; if absent, nowhere.",
		.expected = "an IPv4 address and a port, such as 0.0.0.0:9571",
		/* Sets `agent_listening` too. */
		.parse = parse_agent_listen,
	},
	{
		.key = "balancers",
		.roles = SERVER,
		.required = true,
		.sentence = "The balancers that this server reports its load to; with [] it "
			    "only meters.",
		.expected = "a list of up to " TEXT_OF(
			BALANCERS_MAX) " IP addresses of balancers' own, such as [10.1.0.2]",
		.may_be_empty = true,
		.parse = parse_unicast,
		.max = BALANCERS_MAX,
		LIST_IN(struct config, balancers, balancer_count),
	},
	{
		.key = "tunnel_sources",
		.roles = SERVER,
		.sentence =
			"From where packets in an outer header (forward: ipip) are taken, beside the "
			"addresses that the balancers use for it.",
		.expected = "a list of up to " TEXT_OF(
			TUNNEL_SOURCES_MAX) " addresses or prefixes, such as [10.1.0.2, 10.9.0.0/16]",
		.may_be_empty = true,
		.parse = parse_prefix,
		.max = TUNNEL_SOURCES_MAX,
		LIST_IN(struct config, tunnel_sources, tunnel_source_count),
	},
	{
		.key = "report_key",
		.roles = BOTH,
		.sentence = "The file with the key that proves reports genuine; if absent, "
			    "they bear no proof.",
		.expected = "the absolute path of a file of mode 0600 with 32 hex digits",
		/* Sets `keyed` too. */
		.parse = parse_key_file,
	},
	{
		.key = "old_report_key",
		.roles = BALANCER,
		.sentence = "The key before report_key, valid beside it until every server has the "
			    "new one.",
		.expected = "the absolute path of a file of mode 0600 with 32 hex digits",
		/* Sets `old_keyed` too. */
		.parse = parse_old_key_file,
	},
	{
		.key = "echo",
		.roles = BALANCER,
		.sentence =
			"Who answers a ping of a service's address: answer does it here at once, pass "
			"leaves it to this host and its settings.",
		.fallback = "answer",
		.parse = parse_choice,
		.choices = echoes,
		KEPT_IN(struct config, answers_echo),
	},
	{
		.key = "xdp_mode",
		.roles = BALANCER,
		.sentence =
			"Where packets are taken: native in the interface's driver, generic behind it. "
			"auto is native where the driver can, except on a veth whose backends are all "
			"l2: there generic is faster, and asks nothing of the other end.",
		.fallback = "auto",
		.parse = parse_choice,
		.choices = xdp_modes,
		KEPT_IN(struct config, xdp_mode),
	},
	{
		.key = "flow_table",
		.roles = BALANCER,
		.sentence = "The memory of which backend a connection has.",
		.expected = "a mapping, such as {entries: 1000000, udp_timeout: 30s}",
		.mapping = &flow_table_mapping,
		KEPT_IN(struct config, flow_table),
	},
	{
		.key = "meter_entries",
		.roles = SERVER,
		.sentence = "How many requests and handshakes are metered at once (8 bytes each).",
		.expected = "a whole number from 64 to 67108864",
		.fallback = TEXT_OF(METER_ENTRIES),
		.parse = parse_number,
		.min = 64,
		.max = 67108864,
		KEPT_IN(struct config, meter_entries),
		.fixed = "the requests are metered in a table of that size",
	},
	{
		.key = "outer_source",
		.roles = BALANCER,
		.sentence = "The source of the packets that forward: ipip makes: varied depends on "
			    "the flow, so that a server spreads them over its queues; fixed is the "
			    "balancer's own address, for networks that drop others.",
		.fallback = "varied",
		.parse = parse_choice,
		.choices = outer_sources,
		KEPT_IN(struct config, outer_source_varied),
	},
	{
		.key = "hash_seed",
		.roles = BALANCER,
		.sentence = "Seed of the flows' hash, the same on balancers that share "
			    "their flows; 0 draws a random one.",
		.expected = "a whole number of 64 bits, such as 0x5eed",
		.fallback = "0",
		.parse = parse_seed,
		.max = UINT64_MAX,
		KEPT_IN(struct config, hash_seed),
		.fixed = "the connections are found by hashes of that seed",
	},
	{
		.key = "report",
		.roles = SERVER,
		.sentence = "How often this server may report its load.",
		.expected = "a mapping, such as {min_interval: 1ms, max_share: 2%}",
		.mapping = &report_mapping,
		KEPT_IN(struct config, report),
	},
	{
		.key = "services",
		.roles = BOTH,
		.required = true,
		.sentence = "The services, each a virtual IP address and port.",
		.expected = "a list of services, such as - address: 10.1.0.100:80",
		.mapping = &service_mapping,
		.max = SERVICES_MAX,
		LIST_IN(struct config, services, service_count),
		.line_offset = offsetof(struct service_config, line),
	},
	{0},
};
_Static_assert(sizeof(config_fields) / sizeof(config_fields[0]) <= FIELDS_MAX,
	       "FIELDS_MAX is too small");

const struct mapping config_mapping = {"the configuration", config_fields};

const struct field *field_find(const struct mapping *mapping, const char *key)
{
	const struct field *field;

	for (field = mapping->fields; field->key; field++) {
		if (!strcmp(field->key, key))
			return field;
	}
	return NULL;
}

static bool is_last(const struct choice *choice)
{
	for (choice++; choice->name; choice++) {
		if (!choice->planned)
			return false;
	}
	return true;
}

const char *field_expected(const struct field *field, char text[EXPECTED_MAX])
{
	const struct choice *choice;
	size_t used = 0;

	if (field->expected)
		return field->expected;
	text[0] = '\0';
	for (choice = field->choices; choice->name && used < EXPECTED_MAX; choice++) {
		if (!choice->planned)
			used += (size_t)snprintf(text + used, EXPECTED_MAX - used, "%s%s",
						 !used		 ? "" :
						 is_last(choice) ? " or " :
								   ", ",
						 choice->name);
	}
	return text;
}
