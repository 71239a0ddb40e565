/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who answers ARP for a VIP? It is asked with a sender address of 0 (RFC 5227): nobody learns from that. This
 * host's own kernel does not hear it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "doctor/checks.h"
#include "doctor/plan.h"
#include "doctor/probe.h"
#include "next_hop.h"

#define ANSWERS_MAX 32
/* Neighbours on a segment answer within a millisecond or few. */
#define ARP_PATIENCE_NS 200000000ULL

struct arp_frame {
	struct ethhdr eth;
	struct ether_arp arp;
} __attribute__((packed));

struct answer {
	char vip[INET_ADDRSTRLEN];
	uint8_t mac[ETH_ALEN];
};

struct answers {
	struct answer answer[ANSWERS_MAX];
	size_t count;
};

static void arp_ask(int fd, const struct link_facts *link, struct in_addr vip)
{
	struct arp_frame frame = {
		.eth = {.h_proto = htons(ETH_P_ARP)},
		.arp.ea_hdr =
			{
				.ar_hrd = htons(ARPHRD_ETHER),
				.ar_pro = htons(ETH_P_IP),
				.ar_hln = ETH_ALEN,
				.ar_pln = sizeof(vip),
				.ar_op = htons(ARPOP_REQUEST),
			},
	};

	memset(frame.eth.h_dest, 0xFF, ETH_ALEN);
	memcpy(frame.eth.h_source, link->mac, ETH_ALEN);
	memcpy(frame.arp.arp_sha, link->mac, ETH_ALEN);
	memcpy(frame.arp.arp_tpa, &vip, sizeof(vip));
	(void)!send(fd, &frame, sizeof(frame), 0);
}

static void answer_note(struct answers *answers, const struct arp_frame *frame, const json_t *vips)
{
	struct answer *answer = &answers->answer[answers->count];
	struct in_addr sender;
	json_t *vip;
	size_t i;

	if (answers->count == ANSWERS_MAX)
		return;
	memcpy(&sender, frame->arp.arp_spa, sizeof(sender));
	inet_ntop(AF_INET, &sender, answer->vip, sizeof(answer->vip));
	for (i = 0; i < answers->count; i++)
		if (!memcmp(answers->answer[i].mac, frame->arp.arp_sha, ETH_ALEN) &&
		    !strcmp(answers->answer[i].vip, answer->vip))
			return;
	json_array_foreach ((json_t *)vips, i, vip) {
		if (strcmp(json_string_value(vip), answer->vip))
			continue;
		memcpy(answer->mac, frame->arp.arp_sha, ETH_ALEN);
		answers->count++;
		return;
	}
}

static int arp_probe(const struct link_facts *link, const json_t *vips, struct answers *answers)
{
	int fd = probe_open(link, ETH_P_ARP);
	uint64_t until = now_ns() + ARP_PATIENCE_NS;
	struct arp_frame frame;
	struct in_addr address;
	json_t *vip;
	size_t i;

	if (fd < 0)
		return fd;
	json_array_foreach ((json_t *)vips, i, vip)
		if (inet_pton(AF_INET, json_string_value(vip), &address) == 1)
			arp_ask(fd, link, address);
	while (probe_wait(fd, until))
		if (recv(fd, &frame, sizeof(frame), 0) >= (ssize_t)sizeof(frame) &&
		    frame.arp.ea_hdr.ar_op == htons(ARPOP_REPLY))
			answer_note(answers, &frame, vips);
	close(fd);
	return 0;
}

struct search {
	struct mnl_socket *socket;
	json_t *partners; /* backends, or balancers */
};

/* The address of the partner that has the MAC, by the kernel's neighbour table; NULL if none has. */
static const char *whose(const struct search *search, const uint8_t mac[ETH_ALEN])
{
	struct next_hop_entry entry;
	struct ip_address address;
	struct next_hop hop;
	json_t *partner;
	size_t i;

	json_array_foreach (search->partners, i, partner)
		if (!address_parse(json_string_value(partner), &address) &&
		    !next_hop_look_up(search->socket, address, &hop) && hop.ifindex &&
		    !next_hop_entry(search->socket, &hop, &entry) && entry.has_mac &&
		    !memcmp(entry.mac, mac, ETH_ALEN))
			return json_string_value(partner);
	return NULL;
}

static void judge_at_balancer(const struct search *search, const struct answer *answer,
			      struct findings *findings)
{
	const char *backend = whose(search, answer->mac);
	char mac[MAC_TEXT_MAX];

	mac_format(answer->mac, mac);
	if (backend) {
		saw(findings, RESULT_WRONG, "backend %s (%s) answers for %s, too", backend, mac,
		    answer->vip);
		mend(findings, "sysctl -w net.ipv4.conf.all.arp_ignore=1 # on %s", backend);
	} else {
		saw(findings, RESULT_WRONG,
		    "another machine (%s) answers for %s, too: a second balancer, or a server", mac,
		    answer->vip);
		mend(findings, "ip address del %s/32 dev lo # on the machine with %s", answer->vip,
		     mac);
	}
}

/* Another balancer among the earlier answers for the same VIP. */
static const char *rival(const struct search *search, const struct answers *answers, size_t place)
{
	const char *found = NULL;

	for (size_t i = 0; i < place && !found; i++)
		if (!strcmp(answers->answer[i].vip, answers->answer[place].vip))
			found = whose(search, answers->answer[i].mac);
	return found;
}

static void judge_at_server(const struct search *search, const struct answers *answers,
			    struct findings *findings)
{
	char mac[MAC_TEXT_MAX];

	for (size_t i = 0; i < answers->count; i++) {
		const struct answer *answer = &answers->answer[i];
		const char *balancer = whose(search, answer->mac);
		const char *other = rival(search, answers, i);

		mac_format(answer->mac, mac);
		if (!balancer) {
			saw(findings, RESULT_WRONG,
			    "%s answers for %s, and is none of `balancers` in the configuration",
			    mac, answer->vip);
			mend(findings,
			     "sysctl -w net.ipv4.conf.all.arp_ignore=1 # on the machine with %s; if that "
			     "is the balancer, put its address among `balancers`",
			     mac);
		} else if (other) {
			saw(findings, RESULT_WRONG, "balancers %s and %s both answer for %s", other,
			    balancer, answer->vip);
			mend(findings, "systemctl stop plimsoll-balancer # on one of them");
		}
	}
}

static void judge_answers(const struct subject *subject, const struct answers *answers,
			  struct findings *findings)
{
	struct search search = {.partners = plan_partners(subject->plan)};

	if (netlink_open(&search.socket)) {
		saw(findings, RESULT_UNKNOWN, "the kernel cannot be asked: %m");
	} else {
		/* A server that reports to nobody does not know the balancers. */
		if (subject->role == CONFIG_SERVER && json_array_size(search.partners))
			judge_at_server(&search, answers, findings);
		for (size_t i = 0; subject->role == CONFIG_BALANCER && i < answers->count; i++)
			judge_at_balancer(&search, &answers->answer[i], findings);
		mnl_socket_close(search.socket);
	}
	json_decref(search.partners);
}

void check_vip_arp(const struct subject *subject, struct findings *findings)
{
	json_t *vips = plan_vips(subject->plan);
	struct answers answers = {.count = 0};
	int err = 0;

	for (size_t i = 0; i < subject->link_count && !err; i++)
		if (subject->links[i].index && subject->links[i].carrier)
			err = arp_probe(&subject->links[i], vips, &answers);
	json_decref(vips);
	if (err) {
		saw(findings, RESULT_UNKNOWN, "ARP cannot be sent: %s", strerror(-err));
		mend(findings, "sudo plimsoll doctor");
		return;
	}
	judge_answers(subject, &answers, findings);
	if (json_array_size(findings->list))
		return;
	if (subject->role == CONFIG_BALANCER)
		saw(findings, RESULT_OK, "no other machine answers for the VIPs");
	else if (answers.count)
		saw(findings, RESULT_OK, "one machine answers for each VIP, as it should");
	else
		saw(findings, RESULT_OK, "nobody answers for the VIPs on this segment");
}
