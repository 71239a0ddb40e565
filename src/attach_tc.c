/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs on tc, in front of and behind the host's stack: links of tcx, which cost a packet the least, or
 * filters of a clsact qdisc where the kernel has no tcx, or where those are wanted. A predecessor's give
 * way to the other kind: for a moment both programs see each packet, which is harmless, since the second
 * finds metered what the first has metered, and an option where a report would be.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "attach_link.h"
#include "log.h"

/* Where other people's filters of clsact must see packets before our programs do. */
#define CHOICE "PLIMSOLL_TC"

static const char *direction_name(enum bpf_tc_attach_point direction)
{
	return direction == BPF_TC_INGRESS ? "ingress" : "egress";
}

/* ------------------------------------------------------------------- filters */

/* "is ours" as a file that survives us. what: "clsact", "ingress" or "egress". */
static void marker_path(const struct runtime *runtime, const char *interface, const char *what,
			char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/tc-%s-%s", runtime->directory, interface, what);
}

static int marker_set(const struct runtime *runtime, const char *interface, const char *what)
{
	char path[PATH_MAX];
	int fd;

	marker_path(runtime, interface, what, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static bool marker_exists(const struct runtime *runtime, const char *interface, const char *what)
{
	char path[PATH_MAX];

	marker_path(runtime, interface, what, path);
	return access(path, F_OK) == 0;
}

static int qdisc_create(const struct runtime *runtime, const char *interface,
			struct bpf_tc_hook *hook)
{
	int err = bpf_tc_hook_create(hook);

	if (err == -EEXIST)
		return 0;
	if (!err)
		err = marker_set(runtime, interface, "clsact");
	if (err)
		log_error("%s: cannot add a clsact qdisc: %s", interface, strerror(-err));
	return err;
}

/* If no filter of ours is left that it was there for. */
static void qdisc_remove(const struct runtime *runtime, const char *interface, int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char path[PATH_MAX];

	if (!marker_exists(runtime, interface, "clsact") ||
	    marker_exists(runtime, interface, "ingress") ||
	    marker_exists(runtime, interface, "egress"))
		return;
	bpf_tc_hook_destroy(&hook);
	marker_path(runtime, interface, "clsact", path);
	unlink(path);
}

static int filter_attach(const struct runtime *runtime, struct program program,
			 const char *interface, int ifindex, enum bpf_tc_attach_point direction)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY, .prog_fd = program.now,
		    .flags = BPF_TC_F_REPLACE);
	int err;

	err = qdisc_create(runtime, interface, &hook);
	if (err)
		return err;
	hook.attach_point = direction;
	err = bpf_tc_attach(&hook, &options);
	if (!err)
		err = marker_set(runtime, interface, direction_name(direction));
	if (err)
		log_error("%s: cannot attach to tc %s: %s", interface, direction_name(direction),
			  strerror(-err));
	return err;
}

static void filter_detach(const struct runtime *runtime, const char *interface, int ifindex,
			  enum bpf_tc_attach_point direction)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY);
	char path[PATH_MAX];
	int err;

	if (!marker_exists(runtime, interface, direction_name(direction)))
		return;
	err = bpf_tc_detach(&hook, &options);
	if (err && err != -ENOENT && err != -ENODEV && err != -EINVAL)
		log_warning("%s: cannot take the program off tc %s: %s", interface,
			    direction_name(direction), strerror(-err));
	marker_path(runtime, interface, direction_name(direction), path);
	unlink(path);
}

/* ------------------------------------------------------------------- links */

void attach_tcx_path(const char *pins, const char *interface, enum bpf_tc_attach_point direction,
		     char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/tcx-%s-%s", pins, interface, direction_name(direction));
}

static enum bpf_attach_type tcx_type(enum bpf_tc_attach_point direction)
{
	return direction == BPF_TC_INGRESS ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
}

static bool tcx_is_wanted(void)
{
	const char *choice = getenv(CHOICE);

	return !choice || strcmp(choice, "clsact") != 0;
}

/* -EOPNOTSUPP where the kernel has no tcx. */
static int tcx_attach(const struct runtime *runtime, struct program program, const char *interface,
		      int ifindex, enum bpf_tc_attach_point direction)
{
	char path[PATH_MAX];
	struct bpf_link *link;
	int fd, err;

	attach_tcx_path(runtime->pins, interface, direction, path);
	link = link_reopen(path, ifindex);
	if (link) {
		err = link_replace(link, program, interface);
		bpf_link__destroy(link); /* it stays: it is pinned */
		return err;
	}
	fd = bpf_link_create(program.now, ifindex, tcx_type(direction), NULL);
	if (fd == -EINVAL)
		return -EOPNOTSUPP;
	if (fd < 0) {
		log_error("%s: cannot attach to tcx %s: %s", interface, direction_name(direction),
			  strerror(-fd));
		return fd;
	}
	return link_keep(fd, path);
}

static void tcx_detach(const struct runtime *runtime, const char *interface,
		       enum bpf_tc_attach_point direction)
{
	char path[PATH_MAX];
	int link;

	attach_tcx_path(runtime->pins, interface, direction, path);
	link = bpf_obj_get(path);
	if (link < 0)
		return;
	/* At once: what only loses its last holder stays for a while, in the way of the next. */
	if (bpf_link_detach(link) && errno != ENOLINK)
		log_warning("%s: cannot take the program off tcx %s: %s", interface,
			    direction_name(direction), strerror(errno));
	close(link);
	unlink(path);
}

/* ------------------------------------------------------------------- whichever it is */

static void program_name(int fd, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	*name = '\0';
	if (!bpf_obj_get_info_by_fd(fd, &info, &length))
		snprintf(name, BPF_OBJ_NAME_LEN, "%s", info.name);
}

/* The id of a program on tcx that is called like ours, or 0. */
static uint32_t find_namesake(int ifindex, enum bpf_tc_attach_point direction, int program)
{
	__u32 programs[ATTACH_TCX_MAX], count = ATTACH_TCX_MAX, flags = 0;
	char ours[BPF_OBJ_NAME_LEN], theirs[BPF_OBJ_NAME_LEN];
	int fd;

	if (bpf_prog_query(ifindex, tcx_type(direction), 0, &flags, programs, &count))
		return 0;
	program_name(program, ours);
	for (__u32 i = 0; i < count; i++) {
		fd = bpf_prog_get_fd_by_id(programs[i]);
		if (fd < 0)
			continue;
		program_name(fd, theirs);
		close(fd);
		if (!strcmp(ours, theirs))
			return programs[i];
	}
	return 0;
}

static bool is_ours(const struct runtime *runtime, const char *interface,
		    enum bpf_tc_attach_point direction)
{
	char path[PATH_MAX];

	attach_tcx_path(runtime->pins, interface, direction, path);
	return !access(path, F_OK) || marker_exists(runtime, interface, direction_name(direction));
}

/* What is in our place, and we did not put it there, is another instance's. */
static int refuse_occupied(const struct runtime *runtime, const char *interface, int ifindex,
			   enum bpf_tc_attach_point direction, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY);
	const char *name = direction_name(direction);
	uint32_t other;

	if (is_ours(runtime, interface, direction))
		return 0;
	other = find_namesake(ifindex, direction, program);
	if (other) {
		log_error("%s: another instance's program (id %u) is attached to tcx %s; stop that "
			  "instance",
			  interface, other, name);
		return -EBUSY;
	}
	if (bpf_tc_query(&hook, &options))
		return 0;
	log_error(
		"%s: another instance's program (id %u) is attached to tc %s; stop that instance, or "
		"remove a dead one's with `tc filter del dev %s %s pref %d`",
		interface, options.prog_id, name, interface, name, ATTACH_TC_PRIORITY);
	return -EBUSY;
}

int attach_tc(const struct runtime *runtime, struct program program, const char *interface,
	      int ifindex, enum bpf_tc_attach_point direction)
{
	int err = refuse_occupied(runtime, interface, ifindex, direction, program.now);

	if (err)
		return err;
	err = tcx_is_wanted() ? tcx_attach(runtime, program, interface, ifindex, direction) :
				-EOPNOTSUPP;
	if (!err) {
		/* A predecessor's. */
		filter_detach(runtime, interface, ifindex, direction);
		qdisc_remove(runtime, interface, ifindex);
	} else if (err == -EOPNOTSUPP) {
		err = filter_attach(runtime, program, interface, ifindex, direction);
		if (!err)
			tcx_detach(runtime, interface, direction); /* likewise */
	}
	return err;
}

void detach_tc(const struct runtime *runtime, const char *interface, int ifindex)
{
	tcx_detach(runtime, interface, BPF_TC_INGRESS);
	tcx_detach(runtime, interface, BPF_TC_EGRESS);
	filter_detach(runtime, interface, ifindex, BPF_TC_INGRESS);
	filter_detach(runtime, interface, ifindex, BPF_TC_EGRESS);
	qdisc_remove(runtime, interface, ifindex);
}

static enum attachment look_at_filter(const char *interface, int ifindex,
				      enum bpf_tc_attach_point direction, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY);
	uint32_t ours = program_id(program);
	int err = bpf_tc_query(&hook, &options);

	/* No filter, or no qdisc either. */
	if (err == -ENOENT || err == -EINVAL)
		return attachment_gone(interface, ifindex);
	return err || !ours || options.prog_id == ours ? ATTACHMENT_OURS : ATTACHMENT_OTHERS;
}

enum attachment look_at_tc(const struct runtime *runtime, const char *interface, int ifindex,
			   enum bpf_tc_attach_point direction, int program)
{
	char path[PATH_MAX];

	if (marker_exists(runtime, interface, direction_name(direction)))
		return look_at_filter(interface, ifindex, direction, program);
	attach_tcx_path(runtime->pins, interface, direction, path);
	return look_at_link(path, interface, ifindex, program);
}
