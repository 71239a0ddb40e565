/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "doctor/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#include "load_report.h"

#define ECHO_SIZE_MAX 9216
/* An option of the experiments' type without the magic that makes it a report. */
#define PLAIN_OPTION_LENGTH 24

int probe_open(const struct link_facts *link, uint16_t protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = link->index,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

bool probe_wait(int fd, uint64_t until_ns)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint64_t now = now_ns();

	return now < until_ns && poll(&poll_fd, 1, (int)((until_ns - now) / 1000000) + 1) > 0;
}

uint32_t probe_sum(const void *data, size_t length, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (length % 2)
		sum += (uint32_t)bytes[length - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

uint16_t probe_checksum(const void *data, size_t length, uint32_t sum)
{
	return htons((uint16_t)~probe_sum(data, length, sum));
}

static int set_option(int fd, bool wanted)
{
	uint8_t option[PLAIN_OPTION_LENGTH] = {LOAD_REPORT_OPTION_IPV4, PLAIN_OPTION_LENGTH};

	return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, option, wanted ? sizeof(option) : 0);
}

static void echo_send(int fd, const struct echo *echo, uint16_t id, uint16_t sequence)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = echo->to};
	uint8_t packet[ECHO_SIZE_MAX] = {0};
	struct icmphdr *header = (struct icmphdr *)packet;
	size_t length = echo->size - sizeof(struct iphdr);

	if (echo->option)
		length -= PLAIN_OPTION_LENGTH;
	if (length > sizeof(packet) || set_option(fd, echo->option))
		return;
	header->type = ICMP_ECHO;
	header->un.echo.id = id;
	header->un.echo.sequence = htons(sequence);
	header->checksum = probe_checksum(packet, length, 0);
	(void)!sendto(fd, packet, length, 0, (struct sockaddr *)&to, sizeof(to));
}

/* The place of the echo that a packet answers; `count` for any other packet. */
static size_t echo_answered(const uint8_t *packet, ssize_t length, uint16_t id, size_t count)
{
	const struct iphdr *ip = (const struct iphdr *)packet;
	struct icmphdr icmp;

	if (length < (ssize_t)sizeof(*ip) || length < ip->ihl * 4 + (ssize_t)sizeof(icmp))
		return count;
	memcpy(&icmp, packet + ip->ihl * 4, sizeof(icmp));
	if (icmp.type != ICMP_ECHOREPLY || icmp.un.echo.id != id)
		return count;
	return ntohs(icmp.un.echo.sequence) < count ? ntohs(icmp.un.echo.sequence) : count;
}

static void echo_receive(int fd, struct echo *echoes, size_t count, uint16_t id)
{
	uint64_t until = now_ns() + PROBE_PATIENCE_MS * 1000000ULL;
	size_t missing = count, place;
	uint8_t packet[ECHO_SIZE_MAX];

	while (missing && probe_wait(fd, until)) {
		place = echo_answered(packet, recv(fd, packet, sizeof(packet), 0), id, count);
		if (place == count || echoes[place].answered)
			continue;
		echoes[place].answered = true;
		missing--;
	}
}

int echo_run(struct echo *echoes, size_t count)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
	int whole = IP_PMTUDISC_PROBE; /* never in fragments, whatever is known of the way */
	uint16_t id = (uint16_t)getpid();

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	for (size_t i = 0; i < count; i++)
		echo_send(fd, &echoes[i], id, (uint16_t)i);
	echo_receive(fd, echoes, count, id);
	close(fd);
	return 0;
}
