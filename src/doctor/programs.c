/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose programs are on the interfaces: ours, and who else's. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "doctor/attached.h"
#include "doctor/checks.h"
#include "netlink.h"
#include "runtime.h"

#define FILTERS_MAX 16
#define KIND_MAX 16

static bool is_jited(uint32_t program)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(program);
	bool jited;

	if (fd < 0)
		return false;
	jited = !bpf_obj_get_info_by_fd(fd, &info, &length) && info.jited_prog_len;
	close(fd);
	return jited;
}

/* By its link, if that is pinned there and still on the interface. */
static bool attached_by(const char *path, const struct link_facts *link, struct attached *attached)
{
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);
	int fd, err;

	fd = bpf_obj_get(path);
	if (fd < 0)
		return false;
	err = bpf_obj_get_info_by_fd(fd, &info, &length);
	close(fd);
	/* A link of tcx has the interface at the same place. */
	if (err || (int)info.xdp.ifindex != link->index)
		return false;
	*attached = (struct attached){info.prog_id, is_jited(info.prog_id)};
	return true;
}

/* The instance's XDP program for an interface, by its pinned link. */
static bool attached_xdp(const struct subject *subject, const struct link_facts *link,
			 struct attached *attached)
{
	char pins[PATH_MAX], path[PATH_MAX + 32];

	runtime_pins(subject->instance, pins, sizeof(pins));
	snprintf(path, sizeof(path), "%s/xdp-%s", pins, link->name);
	return attached_by(path, link, attached);
}

static bool attached_tcx(const struct subject *subject, const struct link_facts *link,
			 enum bpf_tc_attach_point direction, struct attached *attached)
{
	char pins[PATH_MAX], path[PATH_MAX];

	if (!*subject->instance)
		return false;
	runtime_pins(subject->instance, pins, sizeof(pins));
	attach_tcx_path(pins, link->name, direction, path);
	return attached_by(path, link, attached);
}

/* Its tc program on an interface. */
static bool attached_tc(const struct subject *subject, const struct link_facts *link,
			enum bpf_tc_attach_point direction, struct attached *attached)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->index, .attach_point = direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY);

	if (attached_tcx(subject, link, direction, attached))
		return true;
	if (bpf_tc_query(&hook, &options))
		return false;
	*attached = (struct attached){options.prog_id, is_jited(options.prog_id)};
	return true;
}

bool attached_first(const struct subject *subject, struct attached *attached)
{
	if (!*subject->instance || !subject->link_count)
		return false;
	return subject->role == CONFIG_BALANCER ?
		       attached_xdp(subject, &subject->links[0], attached) :
		       attached_tc(subject, &subject->links[0], BPF_TC_INGRESS, attached);
}

/* ------------------------------------------------------------------- ours */

static void tell_missing(const struct subject *subject, const struct link_facts *link,
			 const char *what, struct findings *findings)
{
	char command[PATH_MAX + 256];

	saw(findings, RESULT_WRONG, "%s: %s is not there", link->name, what);
	write_restart(subject, command, sizeof(command));
	mend(findings, "%s", command);
}

static void check_balancer_programs(const struct subject *subject, const struct link_facts *link,
				    struct findings *findings)
{
	struct attached xdp, tc;

	if (!attached_xdp(subject, link, &xdp) || xdp.program != link->xdp_program)
		tell_missing(subject, link, "our XDP program", findings);
	else if (!attached_tc(subject, link, BPF_TC_INGRESS, &tc))
		tell_missing(subject, link, "our program on tc ingress", findings);
	else
		saw(findings, RESULT_OK, "%s: XDP program %u, tc program %u", link->name,
		    xdp.program, tc.program);
}

static void check_server_programs(const struct subject *subject, const struct link_facts *link,
				  struct findings *findings)
{
	struct attached ingress, egress;

	if (!attached_tc(subject, link, BPF_TC_INGRESS, &ingress))
		tell_missing(subject, link, "our program on tc ingress", findings);
	else if (!attached_tc(subject, link, BPF_TC_EGRESS, &egress))
		tell_missing(subject, link, "our program on tc egress", findings);
	else
		saw(findings, RESULT_OK, "%s: tc programs %u and %u", link->name, ingress.program,
		    egress.program);
}

void check_programs(const struct subject *subject, struct findings *findings)
{
	if (!*subject->instance) {
		saw(findings, RESULT_SKIPPED, "no instance runs this configuration");
		return;
	}
	for (size_t i = 0; i < subject->link_count; i++) {
		const struct link_facts *link = &subject->links[i];

		if (!link->index)
			continue;
		if (subject->role == CONFIG_BALANCER)
			check_balancer_programs(subject, link, findings);
		else
			check_server_programs(subject, link, findings);
	}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_SKIPPED, "there is no interface to look at");
}

/* ------------------------------------------------------------------- others' */

void check_xdp_others(const struct subject *subject, struct findings *findings)
{
	bool balances = subject->role == CONFIG_BALANCER;

	for (size_t i = 0; i < subject->link_count; i++) {
		const struct link_facts *link = &subject->links[i];
		struct attached ours;

		if (!link->xdp_program ||
		    (*subject->instance && attached_xdp(subject, link, &ours) &&
		     ours.program == link->xdp_program))
			continue;
		saw(findings, balances ? RESULT_WRONG : RESULT_ADVICE,
		    "%s: XDP program %u is somebody else's; `bpftool prog show id %u` tells more",
		    link->name, link->xdp_program, link->xdp_program);
		mend(findings, "ip link set dev %s xdp off", link->name);
	}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_OK, "no other XDP program");
}

struct filter {
	uint32_t priority;
	char kind[KIND_MAX];
};

struct filters {
	struct filter filter[FILTERS_MAX];
	size_t count;
};

/* Each filter is told twice, the first time without a handle: as its place in the order. */
static int note_filter(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *header = netlink_header(message, sizeof(*header));
	const struct nlattr *attribute;
	struct filters *filters = context;
	struct filter *filter = &filters->filter[filters->count];

	if (!header || !header->tcm_handle || filters->count == FILTERS_MAX)
		return MNL_CB_OK;
	*filter = (struct filter){.priority = TC_H_MAJ(header->tcm_info) >> 16};
	netlink_for_each (attribute, message, sizeof(*header))
		if (mnl_attr_get_type(attribute) == TCA_KIND)
			snprintf(filter->kind, sizeof(filter->kind), "%.*s",
				 mnl_attr_get_payload_len(attribute),
				 (const char *)mnl_attr_get_payload(attribute));
	filters->count++;
	return MNL_CB_OK;
}

static void list_filters(int ifindex, uint32_t parent, struct filters *filters)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETTFILTER, NLM_F_DUMP);
	struct tcmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	filters->count = 0;
	header->tcm_family = AF_UNSPEC;
	header->tcm_ifindex = ifindex;
	header->tcm_parent = parent;
	netlink_ask_once(request, note_filter, filters); /* without a qdisc there are none */
}

/* Programs of tcx in front of that one, or all if it is none of them; -1 where the kernel has no tcx. */
static int count_tcx_before(int ifindex, bool ingress, uint32_t program)
{
	__u32 programs[ATTACH_TCX_MAX], count = ATTACH_TCX_MAX, flags = 0, before = 0;

	if (bpf_prog_query(ifindex, ingress ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS, 0, &flags,
			   programs, &count))
		return -1;
	while (before < count && programs[before] != program)
		before++;
	return (int)before;
}

static void judge_filters(const struct link_facts *link, bool ingress, struct findings *findings)
{
	const char *direction = ingress ? "ingress" : "egress";
	struct filters filters;

	list_filters(link->index,
		     TC_H_MAKE(TC_H_CLSACT, ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS),
		     &filters);
	for (size_t i = 0; i < filters.count; i++) {
		const struct filter *filter = &filters.filter[i];

		if (filter->priority >= ATTACH_TC_PRIORITY)
			continue;
		saw(findings, RESULT_WRONG,
		    "%s: a filter on tc %s (%s, pref %u) stands before ours (pref %d)", link->name,
		    direction, filter->kind, filter->priority, ATTACH_TC_PRIORITY);
		mend(findings, "tc filter del dev %s %s pref %u", link->name, direction,
		     filter->priority);
	}
}

/* Programs of tcx run before all filters. */
static void judge_before(const struct subject *subject, const struct link_facts *link, bool ingress,
			 struct findings *findings)
{
	enum bpf_tc_attach_point direction = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
	struct attached ours = {0};
	bool is_tcx = attached_tcx(subject, link, direction, &ours);
	int before = count_tcx_before(link->index, ingress, ours.program);

	/* Without an instance it is tcx that ours will be on, if there is one. */
	if (!is_tcx && (*subject->instance || before < 0))
		judge_filters(link, ingress, findings);
	if (before <= 0)
		return;
	saw(findings, RESULT_ADVICE, "%s: %d tcx program%s on %s run%s before ours", link->name,
	    before, before == 1 ? "" : "s", ingress ? "ingress" : "egress", before == 1 ? "s" : "");
	mend(findings, "bpftool net show dev %s", link->name);
}

void check_tc_others(const struct subject *subject, struct findings *findings)
{
	for (size_t i = 0; i < subject->link_count; i++) {
		if (!subject->links[i].index)
			continue;
		judge_before(subject, &subject->links[i], true, findings);
		if (subject->role == CONFIG_SERVER)
			judge_before(subject, &subject->links[i], false, findings);
	}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_OK, "nobody's program runs before ours");
}
