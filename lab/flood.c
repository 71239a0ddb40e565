/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends as many forged packets as this machine can, or --rate a second: each of another invented
 * client. The kernel makes and sends them by itself, as live frames of a test run; so the other end of the
 * interface's veth must have an XDP program. Prints a line of JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flood.h"
#include "flood.skel.h"
#include "values.h"

/* A call costs the kernel some 30 ms, however many frames it sends. */
#define BURST 262144
#define BURSTS_PER_SECOND 10
/* Ethernet, IPv4 with a report of 32 bytes, TCP: the longer of both kinds of frames. */
#define CARRIER_LENGTH (14 + 20 + 32 + 20)

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct options {
	const char *interface, *mac;
	const char *own_mac; /* NULL = the interface's */
	struct in_addr server;
	struct sockaddr_in target;
	uint64_t seconds, rate; /* 0 = all that goes */
	enum flood_kind kind;
};

static volatile sig_atomic_t ended;

static const char usage[] =
	"flood --interface eth0 --target 10.1.0.100:80 --mac MAC_OF_THE_BALANCER --seconds 10\n"
	"      [--rate FRAMES_A_SECOND] [--kind syn|ack|open]\n"
	"      [--kind report --server 10.1.0.11 --from MAC_OF_THE_SERVER]\n";

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static int parse_kind(const char *text, enum flood_kind *kind)
{
	static const char *const kinds[] = {"syn", "ack", "open", "report"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i], text) != 0)
			continue;
		*kind = (enum flood_kind)i;
		return 0;
	}
	return -EINVAL;
}

static int set_option(struct options *options, int option, const char *value)
{
	switch (option) {
	case 'i':
		options->interface = value;
		return if_nametoindex(value) ? 0 : -ENODEV;
	case 'm':
		options->mac = value;
		return 0;
	case 't':
		return parse_endpoint(value, &options->target);
	case 's':
		return parse_count(value, 1, 86400, &options->seconds);
	case 'r':
		return parse_count(value, 1, 100000000, &options->rate);
	case 'f':
		options->own_mac = value;
		return 0;
	case 'b':
		return inet_pton(AF_INET, value, &options->server) == 1 ? 0 : -EINVAL;
	case 'k':
		return parse_kind(value, &options->kind);
	default:
		return -EINVAL;
	}
}

static int parse_mac(const char *text, uint8_t mac[ETH_ALEN])
{
	int end_at = 0;

	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%n", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5], &end_at) == ETH_ALEN &&
			       !text[end_at] ?
		       0 :
		       -EINVAL;
}

static int own_mac(const char *interface, uint8_t mac[ETH_ALEN])
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), err;
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	err = fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	memcpy(mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	return err;
}

static int build_frame(const struct options *options, struct frame *frame)
{
	*frame = (struct frame){
		.eth.ether_type = htons(ETHERTYPE_IP),
		.ip = {.version = 4,
		       .ihl = 5,
		       .tot_len = htons(sizeof(frame->ip) + sizeof(frame->tcp)),
		       .frag_off = htons(IP_DF),
		       .ttl = 64,
		       .protocol = IPPROTO_TCP,
		       .daddr = options->target.sin_addr.s_addr},
		.tcp = {.dest = options->target.sin_port, .doff = 5, .window = htons(64240)},
	};
	if (options->own_mac ? parse_mac(options->own_mac, frame->eth.ether_shost) :
			       own_mac(options->interface, frame->eth.ether_shost))
		return -ENODEV;
	return parse_mac(options->mac, frame->eth.ether_dhost);
}

static uint32_t sum_words(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	return sum;
}

static int load(const struct options *options, const struct frame *frame, struct flood_bpf **flood)
{
	uint32_t pseudo_header = IPPROTO_TCP + sizeof(frame->tcp);

	*flood = flood_bpf__open();
	if (!*flood)
		return -errno;
	memcpy((void *)(*flood)->rodata->ethernet, &frame->eth, sizeof(frame->eth));
	(*flood)->rodata->kind = options->kind;
	(*flood)->rodata->seed = clock_ns();
	(*flood)->rodata->service = options->target.sin_addr.s_addr;
	(*flood)->rodata->service_port = options->target.sin_port;
	(*flood)->rodata->server = options->server.s_addr;
	(*flood)->rodata->ip_sum = sum_words(&frame->ip, sizeof(frame->ip));
	(*flood)->rodata->tcp_sum = sum_words(&frame->tcp, sizeof(frame->tcp)) + pseudo_header +
				    sum_words(&frame->ip.daddr, sizeof(frame->ip.daddr));
	return flood_bpf__load(*flood);
}

static int send_burst(int program, const uint8_t *frame, uint32_t length, uint32_t ifindex,
		      uint32_t count)
{
	struct xdp_md context = {.data_end = length, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = length,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = (int)count,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return bpf_prog_test_run_opts(program, &run) ? -errno : 0;
}

static int flood_for(const struct options *options, const struct flood_bpf *skeleton,
		     const struct frame *usual)
{
	/* What forges reports writes all of its frame, what forges others only what differs. */
	uint8_t frame[CARRIER_LENGTH] = {0};
	bool reports = options->kind == FLOOD_REPORT;
	int program =
		bpf_program__fd(reports ? skeleton->progs.flood_reports : skeleton->progs.flood);
	uint32_t length = reports ? CARRIER_LENGTH : sizeof(struct frame);
	uint32_t burst = options->rate ? (uint32_t)(options->rate / BURSTS_PER_SECOND + 1) : BURST;
	uint32_t ifindex = if_nametoindex(options->interface);
	uint64_t start = clock_ns(), passed, sent = 0;
	double seconds;
	int err = 0;

	memcpy(frame, usual, sizeof(*usual));
	do {
		passed = clock_ns() - start;
		if (options->rate && (double)sent > (double)passed * 1e-9 * (double)options->rate) {
			usleep(1000);
			continue;
		}
		err = send_burst(program, frame, length, ifindex, burst);
		sent += burst;
	} while (!err && !ended && passed < options->seconds * 1000000000);
	seconds = (double)(clock_ns() - start) * 1e-9;
	if (err)
		fprintf(stderr, "flood: cannot send: %s\n", strerror(-err));
	else
		printf("{\"sent\": %llu, \"seconds\": %.3f, \"per_second\": %.0f}\n",
		       (unsigned long long)sent, seconds, (double)sent / seconds);
	return err;
}

static int flood(const struct options *options)
{
	struct flood_bpf *skeleton = NULL;
	struct frame frame;
	int err;

	err = build_frame(options, &frame);
	if (err)
		fprintf(stderr, "flood: \"%s\" and \"%s\" are no interface and MAC address\n",
			options->interface, options->mac);
	if (!err) {
		err = load(options, &frame, &skeleton);
		if (err)
			fprintf(stderr, "flood: cannot load its program: %s\n", strerror(-err));
	}
	if (!err)
		err = flood_for(options, skeleton, &frame);
	flood_bpf__destroy(skeleton);
	return err;
}

int main(int argc, char **argv)
{
	static const struct option option_table[] = {
		{"interface", required_argument, NULL, 'i'},
		{"target", required_argument, NULL, 't'},
		{"mac", required_argument, NULL, 'm'},
		{"seconds", required_argument, NULL, 's'},
		{"rate", required_argument, NULL, 'r'},
		{"kind", required_argument, NULL, 'k'},
		{"server", required_argument, NULL, 'b'},
		{"from", required_argument, NULL, 'f'},
		{0},
	};
	struct options options = {0};
	int option;

	while ((option = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
		if (set_option(&options, option, optarg)) {
			if (option != '?')
				fprintf(stderr, "flood: \"%s\" is not possible\n", optarg);
			fputs(usage, stderr);
			return 2;
		}
	}
	if (!options.interface || !options.mac || !options.seconds || !options.target.sin_port ||
	    (options.kind == FLOOD_REPORT && !options.server.s_addr) || optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGTERM, end);
	signal(SIGINT, end);
	return flood(&options) ? 1 : 0;
}
