/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interfaces: are they there, and do they serve as they could. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor/checks.h"

/* A packet of the usual 1500 bytes, in an outer IPv4 header. */
#define MTU_USUAL 1500
#define MTU_WITH_OUTER 1520

static void for_each_link(const struct subject *subject, struct findings *findings,
			  void (*judge)(const struct subject *subject,
					const struct link_facts *link, struct findings *findings))
{
	for (size_t i = 0; i < subject->link_count; i++)
		if (subject->links[i].index)
			judge(subject, &subject->links[i], findings);
	if (!json_array_size(findings->list))
		saw(findings, RESULT_SKIPPED, "there is no interface to look at");
}

void check_interfaces(const struct subject *subject, struct findings *findings)
{
	for (size_t i = 0; i < subject->link_count; i++) {
		const struct link_facts *link = &subject->links[i];

		if (!link->index) {
			saw(findings, RESULT_WRONG, "there is no interface %s", link->name);
			mend(findings, "ip link show");
		} else if (!link->up) {
			saw(findings, RESULT_WRONG, "%s is down", link->name);
			mend(findings, "ip link set dev %s up", link->name);
		} else if (!link->carrier) {
			saw(findings, RESULT_WRONG,
			    "%s has no carrier: no cable, or the other end is down", link->name);
			mend(findings, "ethtool %s", link->name);
		} else {
			saw(findings, RESULT_OK, "%s is up", link->name);
		}
	}
	if (!subject->link_count)
		saw(findings, RESULT_SKIPPED, "no interface is configured");
}

/* Drivers of whose native XDP Linux 6.x speaks; what they want besides is theirs. */
static bool has_native_xdp(const char *driver)
{
	static const char *const drivers[] = {
		"atlantic",  "bnxt_en",	     "cpsw",  "dpaa2-eth", "ena",  "enetc",
		"fec",	     "funeth",	     "gve",   "hv_netvsc", "i40e", "ice",
		"igb",	     "igc",	     "ixgbe", "ixgbevf",   "mana", "mlx4_en",
		"mlx5_core", "mvneta",	     "mvpp2", "netsec",	   "nfp",  "qede",
		"sfc",	     "stmmac",	     "tsnep", "tun",	   "veth", "virtio_net",
		"vmxnet3",   "xen-netfront",
	};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(driver, drivers[i]))
			return true;
	return false;
}

static void judge_mode(const struct subject *subject, const struct link_facts *link,
		       struct findings *findings)
{
	char command[PATH_MAX + 256];

	if (!link->xdp_program) {
		saw(findings, RESULT_SKIPPED, "%s has no XDP program", link->name);
	} else if (!link->xdp_generic) {
		saw(findings, RESULT_OK, "%s: native, by driver %s", link->name, link->driver);
	} else if (!strcmp(link->driver, "veth")) {
		saw(findings, RESULT_OK, "%s: generic, which on a veth is the faster one",
		    link->name);
	} else if (!has_native_xdp(link->driver)) {
		saw(findings, RESULT_ADVICE, "%s: generic, because driver \"%s\" has no native XDP",
		    link->name, link->driver);
		mend(findings, "ethtool -i %s", link->name);
	} else {
		saw(findings, RESULT_ADVICE,
		    "%s: generic, although driver %s has native XDP: by `xdp_mode`, or because it refused, "
		    "for the MTU (%u), LRO, or too few queues; `dmesg` may say",
		    link->name, link->driver, link->mtu);
		write_begin_anew(subject, command, sizeof(command));
		mend(findings, "ip link set dev %s mtu %d; %s # which ends open connections",
		     link->name, MTU_USUAL, command);
	}
}

void check_xdp_mode(const struct subject *subject, struct findings *findings)
{
	for_each_link(subject, findings, judge_mode);
}

static void judge_offloads(const struct subject *subject, const struct link_facts *link,
			   struct findings *findings)
{
	bool forwards = subject->role == CONFIG_BALANCER;
	bool virtual = !strcmp(link->driver, "veth") || !strcmp(link->driver, "tun");

	if (link->lro) {
		saw(findings, forwards ? RESULT_WRONG : RESULT_ADVICE, "%s: LRO is on", link->name);
		mend(findings, "ethtool -K %s lro off", link->name);
	} else if (forwards && link->gro_hw) {
		saw(findings, RESULT_WRONG, "%s: the NIC itself merges packets (rx-gro-hw)",
		    link->name);
		mend(findings, "ethtool -K %s rx-gro-hw off", link->name);
	} else if (!forwards && !link->gro && !virtual) {
		saw(findings, RESULT_ADVICE, "%s: GRO is off: what clients upload costs more CPU",
		    link->name);
		mend(findings, "ethtool -K %s gro on", link->name);
	} else {
		saw(findings, RESULT_OK, "%s: LRO is off, GRO is %s", link->name,
		    link->gro ? "on" : "off");
	}
}

void check_offloads(const struct subject *subject, struct findings *findings)
{
	for_each_link(subject, findings, judge_offloads);
}

static void judge_checksums(const struct subject *subject, const struct link_facts *link,
			    struct findings *findings)
{
	(void)subject;
	if (strcmp(link->driver, "veth")) {
		saw(findings, RESULT_OK, "%s: driver \"%s\" finishes them", link->name,
		    link->driver);
	} else if (link->tx_checksum) {
		saw(findings, RESULT_WRONG, "%s is a veth and leaves checksums to a NIC",
		    link->name);
		mend(findings, "ethtool -K %s tx off", link->name);
	} else {
		saw(findings, RESULT_OK, "%s is a veth, and the host finishes them", link->name);
	}
}

void check_checksums(const struct subject *subject, struct findings *findings)
{
	for_each_link(subject, findings, judge_checksums);
}

static void judge_queues(const struct subject *subject, const struct link_facts *link,
			 struct findings *findings)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int useful = cpus > 1 ? (unsigned int)cpus : 1;

	(void)subject;
	if (link->queues_possible < useful)
		useful = link->queues_possible;
	if (link->queues >= useful) {
		saw(findings, RESULT_OK, "%s: %u receive queues, %ld CPUs%s", link->name,
		    link->queues, cpus,
		    link->queues < (unsigned int)cpus ? "; the NIC has no more" : "");
		return;
	}
	saw(findings, RESULT_ADVICE, "%s: %u receive queues of %u that are possible, for %ld CPUs",
	    link->name, link->queues, link->queues_possible, cpus);
	if (link->queues_combined)
		mend(findings, "ethtool -L %s combined %u", link->name, useful);
	else
		mend(findings, "ethtool -L %s rx %u", link->name, useful);
}

void check_queues(const struct subject *subject, struct findings *findings)
{
	for_each_link(subject, findings, judge_queues);
}

static bool has_tunnels(const struct subject *subject)
{
	json_t *service, *backend;
	size_t i, j;

	json_array_foreach (json_object_get(subject->before, "services"), i, service)
		json_array_foreach (json_object_get(service, "backends"), j, backend) {
			const char *forward =
				json_string_value(json_object_get(backend, "forward"));

			if (forward && strcmp(forward, "l2"))
				return true;
		}
	return false;
}

/* All interfaces the same, and room for the outer header where there is one. */
void check_mtu(const struct subject *subject, struct findings *findings)
{
	uint32_t wanted = has_tunnels(subject) ? MTU_WITH_OUTER : 0;

	for (size_t i = 0; i < subject->link_count; i++)
		if (!wanted || (wanted != MTU_WITH_OUTER && subject->links[i].mtu > wanted))
			wanted = subject->links[i].mtu;
	for (size_t i = 0; i < subject->link_count; i++) {
		const struct link_facts *link = &subject->links[i];

		if (!link->index)
			continue;
		if (link->mtu >= wanted) {
			saw(findings, RESULT_OK, "%s: %u", link->name, link->mtu);
			continue;
		}
		if (wanted == MTU_WITH_OUTER)
			saw(findings, RESULT_ADVICE,
			    "%s: %u has no room for %d bytes and an outer header: TCP is told to "
			    "send less, other packets of full size do not fit",
			    link->name, link->mtu, MTU_USUAL);
		else
			saw(findings, RESULT_WRONG, "%s: %u, and %u on another interface",
			    link->name, link->mtu, wanted);
		mend(findings, "ip link set dev %s mtu %u", link->name, wanted);
	}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_SKIPPED, "there is no interface to look at");
}
