/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The machines around: are they reached, with packets of full size, and who answers for the VIP. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "doctor/checks.h"
#include "doctor/plan.h"
#include "doctor/probe.h"
#include "neighbour.h"
#include "next_hop.h"

#define ECHOES_MAX 64
#define ECHO_SMALL 64

static const char *partner_name(const struct subject *subject)
{
	return subject->role == CONFIG_BALANCER ? "backend" : "balancer";
}

static void judge_entry(const struct subject *subject, const char *text, const struct next_hop *hop,
			const struct next_hop_entry *entry, struct findings *findings)
{
	char via[INET6_ADDRSTRLEN];

	address_format(hop->address, via);
	if (entry->has_mac && !(entry->state & (NUD_FAILED | NUD_INCOMPLETE)))
		return;
	if (entry->state == NUD_NONE && !subject->daemon) {
		saw(findings, RESULT_SKIPPED, "nobody has asked for %s yet", via);
		return;
	}
	saw(findings, RESULT_WRONG, "%s %s: %s does not answer ARP", partner_name(subject), text,
	    via);
	mend(findings, "ip link set dev INTERFACE up; ip address show # on %s itself", via);
}

/* XDP sends by what it is on itself: many drivers, and VLAN devices, take nothing from it otherwise. */
static bool goes_out_here(const struct subject *subject, int ifindex)
{
	for (size_t i = 0; i < subject->link_count; i++)
		if (subject->links[i].index == ifindex)
			return true;
	return false;
}

static void tell_other_way(const struct subject *subject, const char *text,
			   const struct next_hop *hop, struct findings *findings)
{
	char other[IF_NAMESIZE] = "?";

	if_indextoname((unsigned int)hop->ifindex, other);
	saw(findings, RESULT_WRONG,
	    "%s %s is reached by %s, which is none of the interfaces here, and so by nothing that we send",
	    partner_name(subject), text, other);
	mend(findings, "ip route replace %s/%d dev %s # or name %s among the interfaces", text,
	     address_is_ipv4(hop->address) ? 32 : 128, subject->links[0].name, other);
}

static void judge_next_hop(const struct subject *subject, struct mnl_socket *socket,
			   const char *text, struct findings *findings)
{
	struct next_hop_entry entry;
	struct next_hop hop;
	struct ip_address address;

	if (address_parse(text, &address))
		return;
	if (is_own_address(address)) {
		saw(findings, RESULT_WRONG, "%s %s is this host's own address",
		    partner_name(subject), text);
		mend(findings, "plimsoll check-config --explain %s # name another machine's",
		     role_name(subject));
	} else if (next_hop_look_up(socket, address, &hop)) {
		saw(findings, RESULT_UNKNOWN, "the kernel does not say how %s is reached", text);
	} else if (!hop.ifindex) {
		saw(findings, RESULT_WRONG, "%s %s: there is no route to it", partner_name(subject),
		    text);
		mend(findings, "ip route add %s/32 dev %s", text,
		     subject->link_count ? subject->links[0].name : "INTERFACE");
	} else if (subject->link_count && !goes_out_here(subject, hop.ifindex)) {
		tell_other_way(subject, text, &hop, findings);
	} else if (next_hop_entry(socket, &hop, &entry)) {
		saw(findings, RESULT_UNKNOWN, "the neighbour table cannot be read");
	} else {
		judge_entry(subject, text, &hop, &entry, findings);
	}
}

void check_next_hops(const struct subject *subject, struct findings *findings)
{
	json_t *partners = plan_partners(subject->plan), *partner;
	struct mnl_socket *socket;
	size_t i;

	if (netlink_open(&socket)) {
		saw(findings, RESULT_UNKNOWN, "the kernel cannot be asked: %m");
		json_decref(partners);
		return;
	}
	json_array_foreach (partners, i, partner)
		judge_next_hop(subject, socket, json_string_value(partner), findings);
	if (!json_array_size(findings->list))
		saw(findings, RESULT_OK, "%zu %ss are reached", json_array_size(partners),
		    partner_name(subject));
	mnl_socket_close(socket);
	json_decref(partners);
}

void check_neighbour_table(const struct subject *subject, struct findings *findings)
{
	json_t *partners = plan_partners(subject->plan);
	size_t count = json_array_size(partners);
	long most;

	json_decref(partners);
	if (!look_number(subject, &most, "/proc/sys/net/ipv4/neigh/default/gc_thresh3"))
		saw(findings, RESULT_SKIPPED,
		    "the setting belongs to the host's own network namespace");
	else if (most >= 2 * (long)count) {
		saw(findings, RESULT_OK, "%ld entries for %zu %ss", most, count,
		    partner_name(subject));
	} else {
		saw(findings, RESULT_WRONG, "%ld entries for %zu %ss", most, count,
		    partner_name(subject));
		mend(findings,
		     "sysctl -w net.ipv4.neigh.default.gc_thresh3=%zu "
		     "net.ipv4.neigh.default.gc_thresh1=%zu",
		     2 * count, count);
	}
}

/* ------------------------------------------------------------------- full size */

static void judge_echoes(const struct subject *subject, const struct echo *echoes, size_t count,
			 uint32_t mtu, struct findings *findings)
{
	char text[INET6_ADDRSTRLEN];
	size_t passed = 0;

	for (size_t i = 0; i < count; i += 2) {
		passed += echoes[i + 1].answered;
		if (!echoes[i].answered || echoes[i + 1].answered)
			continue;
		address_format(address_of_ipv4(echoes[i].to), text);
		saw(findings, RESULT_WRONG,
		    "%s %s: %d bytes reach it and come back, %u do not, and no fragments were made",
		    partner_name(subject), text, ECHO_SMALL, mtu);
		mend(findings, "ip link set dev INTERFACE mtu %u # on %s and the switches between",
		     mtu, text);
	}
	if (passed)
		saw(findings, RESULT_OK, "%u bytes reach %zu of %zu %ss and come back", mtu, passed,
		    count / 2, partner_name(subject));
	else if (!json_array_size(findings->list))
		saw(findings, RESULT_SKIPPED, "nobody answers to echo requests");
}

void check_way_mtu(const struct subject *subject, struct findings *findings)
{
	json_t *partners = plan_partners(subject->plan), *partner;
	uint32_t mtu = subject->link_count ? subject->links[0].mtu : 0;
	struct echo echoes[2 * ECHOES_MAX] = {0};
	size_t count = 0, i;
	int err;

	json_array_foreach (partners, i, partner) {
		struct in_addr to;

		if (count == 2 * ECHOES_MAX ||
		    inet_pton(AF_INET, json_string_value(partner), &to) != 1)
			continue;
		echoes[count++] = (struct echo){.to = to, .size = ECHO_SMALL};
		echoes[count++] = (struct echo){.to = to, .size = mtu};
	}
	json_decref(partners);
	if (!count || !mtu) {
		saw(findings, RESULT_SKIPPED, "there is nobody to ask");
		return;
	}
	err = echo_run(echoes, count);
	if (err) {
		saw(findings, RESULT_UNKNOWN, "echo requests cannot be sent: %s", strerror(-err));
		mend(findings, "sudo plimsoll doctor");
		return;
	}
	judge_echoes(subject, echoes, count, mtu, findings);
}
