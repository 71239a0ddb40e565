/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The services' addresses on this host, and the settings that keep the others from seeing them. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "doctor/checks.h"
#include "doctor/plan.h"

/* The device that has the address; false if none has. */
static bool find_device(const char *address, char device[IF_NAMESIZE])
{
	struct ifaddrs *list, *entry;
	char text[INET6_ADDRSTRLEN];
	bool found = false;

	if (getifaddrs(&list))
		return false;
	for (entry = list; entry && !found; entry = entry->ifa_next) {
		const void *binary;

		if (!entry->ifa_addr)
			continue;
		if (entry->ifa_addr->sa_family == AF_INET)
			binary = &((struct sockaddr_in *)entry->ifa_addr)->sin_addr;
		else if (entry->ifa_addr->sa_family == AF_INET6)
			binary = &((struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr;
		else
			continue;
		inet_ntop(entry->ifa_addr->sa_family, binary, text, sizeof(text));
		found = !strcmp(text, address);
		if (found)
			snprintf(device, IF_NAMESIZE, "%s", entry->ifa_name);
	}
	freeifaddrs(list);
	return found;
}

static int prefix_of(const char *address)
{
	return strchr(address, ':') ? 128 : 32;
}

static bool is_link(const struct subject *subject, const char *device)
{
	for (size_t i = 0; i < subject->link_count; i++)
		if (!strcmp(subject->links[i].name, device))
			return true;
	return false;
}

static void judge_vip(const struct subject *subject, const char *vip, struct findings *findings)
{
	char device[IF_NAMESIZE];
	int prefix = prefix_of(vip);

	if (!find_device(vip, device)) {
		saw(findings, *subject->instance ? RESULT_WRONG : RESULT_SKIPPED,
		    "%s is on no interface%s", vip,
		    *subject->instance ? "" : "; the daemon will put it on lo");
		mend(findings, "ip address add %s/%d dev lo", vip, prefix);
	} else if (subject->role == CONFIG_SERVER && is_link(subject, device)) {
		saw(findings, RESULT_WRONG, "%s is on %s, which answers for it, instead of on lo",
		    vip, device);
		mend(findings, "ip address del %s/%d dev %s; ip address add %s/%d dev lo", vip,
		     prefix, device, vip, prefix);
	} else {
		saw(findings, RESULT_OK, "%s is on %s", vip, device);
	}
}

void check_vip(const struct subject *subject, struct findings *findings)
{
	json_t *vips = plan_vips(subject->plan), *vip;
	size_t i;

	json_array_foreach (vips, i, vip)
		judge_vip(subject, json_string_value(vip), findings);
	if (!json_array_size(vips))
		saw(findings, RESULT_SKIPPED, "there is no service");
	json_decref(vips);
}

/* What is in force for an interface: of most settings, the greater of its own and that of all. */
static bool look_setting(const struct subject *subject, const char *interface, const char *key,
			 long *value)
{
	long all;

	if (!look_number(subject, value, "/proc/sys/net/ipv4/conf/%s/%s", interface, key))
		return false;
	if (look_number(subject, &all, "/proc/sys/net/ipv4/conf/all/%s", key) && all > *value)
		*value = all;
	return true;
}

/* right: the values that do, as bits. */
static void judge_setting(const struct subject *subject, const char *key, unsigned int right,
			  int better, struct findings *findings)
{
	enum result bad = *subject->instance ? RESULT_WRONG : RESULT_SKIPPED;
	const char *later = *subject->instance ? "" : "; the daemon will set it";

	for (size_t i = 0; i < subject->link_count; i++) {
		const char *name = subject->links[i].name;
		long value;

		if (!look_setting(subject, name, key, &value)) {
			saw(findings, RESULT_SKIPPED, "%s: there is no net.ipv4.conf.%s.%s", name,
			    name, key);
		} else if (value >= 0 && value < 32 && right >> value & 1) {
			saw(findings, RESULT_OK, "%s: %s is %ld", name, key, value);
		} else {
			saw(findings, bad, "%s: %s is %ld%s", name, key, value, later);
			mend(findings, "sysctl -w net.ipv4.conf.%s.%s=%d", name, key, better);
		}
	}
	if (!subject->link_count)
		saw(findings, RESULT_SKIPPED, "no interface is configured");
}

void check_arp_ignore(const struct subject *subject, struct findings *findings)
{
	/* 1 and 2: only for addresses of the interface; 8: for none. */
	judge_setting(subject, "arp_ignore", 1 << 1 | 1 << 2 | 1 << 8, 1, findings);
}

void check_arp_announce(const struct subject *subject, struct findings *findings)
{
	judge_setting(subject, "arp_announce", 1 << 2, 2, findings);
}

void check_rp_filter(const struct subject *subject, struct findings *findings)
{
	judge_setting(subject, "rp_filter", 1 << 0 | 1 << 2, 2, findings);
}

/* Of this one, that of all is what is handed on to interfaces to come, and means nothing for ours. */
void check_forwarding(const struct subject *subject, struct findings *findings)
{
	enum result bad = *subject->instance ? RESULT_WRONG : RESULT_SKIPPED;

	for (size_t i = 0; i < subject->link_count; i++) {
		const char *name = subject->links[i].name;
		long value;

		if (!look_number(subject, &value, "/proc/sys/net/ipv4/conf/%s/forwarding", name)) {
			saw(findings, RESULT_SKIPPED, "%s: there is no such setting", name);
		} else if (value) {
			saw(findings, RESULT_OK, "%s forwards", name);
		} else {
			saw(findings, bad, "%s does not forward%s", name,
			    *subject->instance ? "" : "; the daemon will have it do so");
			mend(findings, "sysctl -w net.ipv4.conf.%s.forwarding=1", name);
		}
	}
	if (!subject->link_count)
		saw(findings, RESULT_SKIPPED, "no interface is configured");
}
