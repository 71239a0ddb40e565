/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP programs on interfaces, by links that are pinned; and in which mode. */
#include "attach.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach_link.h"
#include "log.h"

static void tell_xdp_occupied(const char *interface, int ifindex)
{
	__u32 id = 0;

	bpf_xdp_query_id(ifindex, 0, &id);
	log_error(
		"%s: another XDP program (id %u) is attached; `bpftool net` shows it. If it is a Plimsoll "
		"instance, stop that; otherwise take the program off with "
		"`ip link set %s xdp off`",
		interface, id, interface);
}

static int create(int program, int ifindex, bool native)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);

	return bpf_link_create(program, ifindex, BPF_XDP, &options);
}

/* It has no native XDP, or not with that MTU, or not with so few queues. */
static bool driver_refuses(int err)
{
	return err == -EOPNOTSUPP || err == -EINVAL || err == -ERANGE || err == -ENOSPC;
}

static void tell_failure(const char *interface, int ifindex, bool native, int err)
{
	if (err == -EBUSY || err == -EEXIST)
		tell_xdp_occupied(interface, ifindex);
	else if (native && driver_refuses(err))
		log_error(
			"%s: native XDP is refused (%s): the driver has none, or not with this MTU or "
			"so few queues; `xdp_mode: generic` does without",
			interface, strerror(-err));
	else
		log_error("%s: cannot attach the XDP program: %s", interface, strerror(-err));
}

/* A new link, pinned at path. */
static int attach_anew(int program, const char *interface, int ifindex, struct xdp_wish wish,
		       const char *path, bool *native)
{
	int fd;

	*native = wish.native;
	fd = create(program, ifindex, wish.native);
	if (driver_refuses(fd) && wish.native && !wish.firm) {
		*native = false;
		fd = create(program, ifindex, false);
		if (fd >= 0)
			log_warning("%s: the driver has no native XDP; generic XDP is used, at a "
				    "fraction of the speed",
				    interface);
	}
	if (fd < 0) {
		tell_failure(interface, ifindex, *native, fd);
		return fd;
	}
	return link_keep(fd, path);
}

static bool xdp_is_native(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, options);

	return bpf_xdp_query(ifindex, 0, &options) || options.attach_mode != XDP_ATTACHED_SKB;
}

/* No interface has both modes at once: for a moment there is none. If the other cannot be, all is as before. */
static int change_mode(struct bpf_link *link, int program, const char *interface, int ifindex,
		       const char *path, bool *native)
{
	struct xdp_wish before = {*native, true}, now = {!*native, true};
	int err;

	if (bpf_link__detach(link))
		return -errno;
	unlink(path);
	err = attach_anew(program, interface, ifindex, now, path, native);
	if (err)
		(void)attach_anew(program, interface, ifindex, before, path, native);
	else
		log_notice("%s: XDP is %s from now on", interface, *native ? "native" : "generic");
	return err;
}

int attach_xdp(const struct runtime *runtime, struct program program, const char *interface,
	       int ifindex, struct xdp_wish wish, bool *native)
{
	char path[PATH_MAX], name[64];
	struct bpf_link *link;
	int err;

	snprintf(name, sizeof(name), ATTACH_XDP_PIN "%s", interface);
	pin_path(runtime, name, path);
	link = link_reopen(path, ifindex);
	if (!link)
		return attach_anew(program.now, interface, ifindex, wish, path, native);

	*native = xdp_is_native(ifindex);
	if (!wish.firm || wish.native == *native)
		err = link_replace(link, program, interface);
	else
		err = change_mode(link, program.now, interface, ifindex, path, native);
	bpf_link__destroy(link); /* what is pinned stays */
	return err;
}

void detach_xdp(const struct runtime *runtime, const char *interface)
{
	char path[PATH_MAX], name[64];

	/* The pin is all that holds the link. */
	snprintf(name, sizeof(name), ATTACH_XDP_PIN "%s", interface);
	pin_path(runtime, name, path);
	if (unlink(path) && errno != ENOENT)
		log_warning("%s: cannot take the XDP program off: %s", interface, strerror(errno));
}

enum attachment look_at_xdp(const struct runtime *runtime, const char *interface, int ifindex,
			    int program)
{
	char path[PATH_MAX], name[64];

	snprintf(name, sizeof(name), ATTACH_XDP_PIN "%s", interface);
	pin_path(runtime, name, path);
	return look_at_link(path, interface, ifindex, program);
}
