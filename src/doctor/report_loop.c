/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does a report reach the balancer? This server sends one as a response would bear it, from the VIP, but with its
 * own address for a client's. A balancer that takes it for ours cuts the option out and sends the packet on: back to
 * us. Nobody else sees it, and no connection has anything to do with it (it is a RST to a port that is not in use).
 *
 * What it says is true, and its number is that of the last report: a balancer that has had that one does not
 * believe it again, and one that has heard nothing for a while learns this server's load.
 *
 * If it does not come back, two echo requests tell why, with an IP option and without.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "doctor/checks.h"
#include "doctor/probe.h"
#include "runtime.h"
#include "server_load.h"
#include "shared.h"

#define DISCARD_PORT 9
#define ECHO_SIZE 64

struct loop_frame {
	struct ethhdr eth;
	struct iphdr ip;
	uint8_t rest[sizeof(struct load_report_option) + sizeof(struct tcphdr)];
} __attribute__((packed));

/* What the kernel's half of the agent knows. */
struct agent_state {
	struct server_settings settings;
	struct metrics metrics;
	struct application application;
	struct peer peer;
};

struct loop {
	const struct subject *subject;
	const struct link_facts *link;
	struct agent_state state;
	struct in_addr balancer, vip, own;
	unsigned int port;
	uint32_t mark; /* the TCP sequence number by which we know it again */
};

static int read_map(const struct subject *subject, const char *name, uint32_t key, void *value)
{
	char pins[PATH_MAX], path[PATH_MAX + 32];
	int map, err;

	runtime_pins(subject->instance, pins, sizeof(pins));
	snprintf(path, sizeof(path), "%s/%s", pins, name);
	map = bpf_obj_get(path);
	if (map < 0)
		return -errno;
	err = bpf_map_lookup_elem(map, &key, value) ? -errno : 0;
	close(map);
	return err;
}

/* By its address: after a reload the peers stand in another order than the balancers of the file. */
static int read_peer(const struct subject *subject, struct in_addr balancer, struct peer *peer)
{
	struct ip_address address = address_of_ipv4(balancer);
	int err = 0;

	for (uint32_t i = 0; i < BALANCERS_MAX && !err; i++) {
		err = read_map(subject, "peers", i, peer);
		if (!err && address_equal(peer->address, address))
			return 0;
	}
	return err ? err : -ENOENT;
}

static int read_state(const struct subject *subject, struct in_addr balancer,
		      struct agent_state *state)
{
	int err = read_map(subject, "settings", 0, &state->settings);

	if (!err)
		err = read_map(subject, "metrics", 0, &state->metrics);
	if (!err)
		err = read_map(subject, "application", 0, &state->application);
	if (!err)
		err = read_peer(subject, balancer, &state->peer);
	return err;
}

static void write_option(const struct loop *loop, struct load_report_option *option)
{
	const struct server_settings *settings = &loop->state.settings;
	struct load_report_key key = {{settings->report_key[0], settings->report_key[1]}};
	uint64_t now = now_ns();
	struct load_report report = {0};

	server_load_tell(&loop->state.metrics, &loop->state.application, now, &report);
	report.server_id = settings->server_id;
	report.sequence = loop->state.peer.sequence;
	report.connections_seen = loop->state.peer.connections_seen;
	report.flags |= settings->keyed ? LOAD_REPORT_KEYED : 0;
	load_report_encode(option, &report);
	if (settings->keyed)
		option->tag =
			load_report_tag_ipv4(option, &key, loop->vip.s_addr, settings->server_id);
}

static void write_tcp(const struct loop *loop, struct tcphdr *tcp)
{
	uint32_t addresses[2] = {loop->vip.s_addr, loop->own.s_addr};

	memset(tcp, 0, sizeof(*tcp));
	tcp->source = htons((uint16_t)loop->port);
	tcp->dest = htons(DISCARD_PORT);
	tcp->seq = htonl(loop->mark);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->rst = 1;
	tcp->check =
		probe_checksum(tcp, sizeof(*tcp),
			       probe_sum(addresses, sizeof(addresses), IPPROTO_TCP + sizeof(*tcp)));
}

static void write_ip(const struct loop *loop, struct loop_frame *frame, size_t length)
{
	frame->ip.version = 4;
	frame->ip.ihl = length / 4;
	frame->ip.tot_len = htons((uint16_t)(length + sizeof(struct tcphdr)));
	frame->ip.frag_off = htons(IP_DF);
	frame->ip.ttl = 64;
	frame->ip.protocol = IPPROTO_TCP;
	frame->ip.saddr = loop->vip.s_addr;
	frame->ip.daddr = loop->own.s_addr;
	frame->ip.check = probe_checksum((uint8_t *)frame + sizeof(frame->eth), length, 0);
}

/* Returns the length of the frame. */
static size_t write_frame(const struct loop *loop, struct loop_frame *frame)
{
	struct load_report_option option;
	struct tcphdr tcp;
	size_t header;

	memset(frame, 0, sizeof(*frame));
	write_option(loop, &option);
	write_tcp(loop, &tcp);
	header = sizeof(frame->ip) + option.length;
	memcpy(frame->eth.h_dest, loop->state.peer.mac, ETH_ALEN);
	memcpy(frame->eth.h_source, loop->link->mac, ETH_ALEN);
	frame->eth.h_proto = htons(ETH_P_IP);
	memcpy(frame->rest, &option, option.length);
	memcpy(frame->rest + option.length, &tcp, sizeof(tcp));
	write_ip(loop, frame, header);
	return sizeof(frame->eth) + header + sizeof(tcp);
}

/* Ours, and with nothing between its headers any more. */
static bool is_back(const struct loop *loop, const struct loop_frame *frame, ssize_t length)
{
	struct tcphdr tcp;

	if (length < (ssize_t)(sizeof(frame->eth) + sizeof(frame->ip) + sizeof(tcp)) ||
	    frame->ip.ihl != sizeof(frame->ip) / 4 || frame->ip.saddr != loop->vip.s_addr ||
	    frame->ip.daddr != loop->own.s_addr)
		return false;
	memcpy(&tcp, frame->rest, sizeof(tcp));
	return tcp.rst && tcp.dest == htons(DISCARD_PORT) && tcp.seq == htonl(loop->mark);
}

/* 1: it came back, after so many nanoseconds; 0: it did not; or -errno. */
static int run_loop(struct loop *loop, uint64_t *took_ns)
{
	int fd = probe_open(loop->link, ETH_P_IP), back = 0;
	uint64_t start = now_ns();
	struct loop_frame frame;
	ssize_t length;

	if (fd < 0)
		return fd;
	length = (ssize_t)write_frame(loop, &frame);
	if (send(fd, &frame, (size_t)length, 0) != length)
		back = -errno;
	while (!back && probe_wait(fd, start + PROBE_PATIENCE_MS * 1000000ULL)) {
		length = recv(fd, &frame, sizeof(frame), MSG_TRUNC);
		back = is_back(loop, &frame, length);
	}
	*took_ns = now_ns() - start;
	close(fd);
	return back;
}

static void tell_why_not(const struct loop *loop, const char *text, struct findings *findings)
{
	struct echo echoes[] = {
		{.to = loop->balancer, .size = ECHO_SIZE},
		{.to = loop->balancer, .size = ECHO_SIZE, .option = true},
	};

	if (echo_run(echoes, 2) || !echoes[0].answered) {
		saw(findings, RESULT_WRONG,
		    "a report to balancer %s does not come back, and neither does an echo request",
		    text);
		mend(findings, "plimsoll doctor # on %s: does it run, is it reached?", text);
	} else if (!echoes[1].answered) {
		saw(findings, RESULT_WRONG,
		    "something between here and balancer %s drops packets with IP options: an echo request "
		    "is answered, one with an option is not",
		    text);
		mend(findings,
		     "echo 'report: {in_band: no}' >>%s # and at the balancer, feedback: poll",
		     *loop->subject->config_path ? loop->subject->config_path : "server.yaml");
	} else {
		saw(findings, RESULT_WRONG,
		    "balancer %s is reached, with IP options too, but refuses our report: another key, "
		    "or this server is none of its backends",
		    text);
		mend(findings, "plimsoll doctor # on %s: keys, unknown-servers, report-source",
		     text);
	}
}

static void judge_loop(struct loop *loop, const char *text, struct findings *findings)
{
	uint64_t took_ns;
	int back;

	loop->own = address_ipv4(loop->state.peer.own);
	if (!loop->state.peer.mac_known) {
		saw(findings, RESULT_SKIPPED, "balancer %s does not answer ARP", text);
		return;
	}
	if (loop->state.peer.is_far) {
		saw(findings, RESULT_SKIPPED,
		    "balancer %s is behind a router: reports go there in an outer header", text);
		return;
	}
	back = run_loop(loop, &took_ns);
	if (back < 0) {
		saw(findings, RESULT_UNKNOWN, "no packet can be sent: %s", strerror(-back));
		mend(findings, "sudo plimsoll doctor");
	} else if (back) {
		saw(findings, RESULT_OK,
		    "a report to balancer %s came back without its option after %.1f ms", text,
		    (double)took_ns / 1e6);
	} else {
		tell_why_not(loop, text, findings);
	}
}

/* A service whose responses could bear it. */
static bool choose_service(struct loop *loop)
{
	json_t *service;
	size_t i;

	json_array_foreach (json_object_get(loop->subject->plan_in_force, "services"), i, service) {
		const char *vip = json_string_value(json_object_get(service, "vip"));
		const char *protocol = json_string_value(json_object_get(service, "protocol"));

		loop->port = (unsigned int)json_integer_value(json_object_get(service, "port"));
		if (!strcmp(protocol, "tcp") && inet_pton(AF_INET, vip, &loop->vip) == 1 &&
		    loop->port)
			return true;
	}
	return false;
}

/* False if no other needs to be tried. */
static bool check_balancer(struct loop *loop, const char *text, struct findings *findings)
{
	int err;

	if (inet_pton(AF_INET, text, &loop->balancer) != 1) {
		saw(findings, RESULT_SKIPPED, "balancer %s: this is tried over IPv4 only", text);
		return true;
	}
	err = read_state(loop->subject, loop->balancer, &loop->state);
	if (err) {
		saw(findings, RESULT_UNKNOWN, "the agent's maps cannot be read: %s",
		    strerror(-err));
		mend(findings, "sudo plimsoll doctor");
		return false;
	}
	if (loop->state.settings.only_polled) {
		saw(findings, RESULT_SKIPPED, "in_band: no; reports are for those who ask");
		return false;
	}
	(void)!getrandom(&loop->mark, sizeof(loop->mark), 0);
	judge_loop(loop, text, findings);
	return true;
}

void check_report_loop(const struct subject *subject, struct findings *findings)
{
	json_t *balancers = json_object_get(subject->plan_in_force, "balancers"), *balancer;
	struct loop loop = {.subject = subject, .link = &subject->links[0]};
	size_t i;

	if (!subject->before || !json_array_size(balancers) || !loop.link->index) {
		saw(findings, RESULT_SKIPPED, "no agent runs that would report to a balancer");
		return;
	}
	if (!choose_service(&loop)) {
		saw(findings, RESULT_SKIPPED, "no service of TCP over IPv4");
		return;
	}
	json_array_foreach (balancers, i, balancer)
		if (!check_balancer(&loop, json_string_value(balancer), findings))
			return;
}
