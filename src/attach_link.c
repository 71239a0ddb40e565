/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach_link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static int link_ifindex(struct bpf_link *link)
{
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &length))
		return -errno;
	return (int)info.xdp.ifindex; /* a link of tcx has it at the same place */
}

struct bpf_link *link_reopen(const char *path, int ifindex)
{
	struct bpf_link *link = bpf_link__open(path);

	if (libbpf_get_error(link))
		return NULL;
	if (link_ifindex(link) == ifindex)
		return link;
	bpf_link__destroy(link);
	unlink(path);
	return NULL;
}

static int update(struct bpf_link *link, int program, int before)
{
	LIBBPF_OPTS(bpf_link_update_opts, options);

	if (before >= 0) {
		options.flags = BPF_F_REPLACE;
		options.old_prog_fd = (__u32)before;
	}
	return bpf_link_update(bpf_link__fd(link), program, &options) ? -errno : 0;
}

int link_replace(struct bpf_link *link, struct program program, const char *interface)
{
	int err = update(link, program.now, program.before);

	/* The link is our instance's, and so is whatever runs by it. */
	if (err == -EPERM && program.before >= 0) {
		err = update(link, program.now, -1);
		if (!err)
			log_warning(
				"%s: the program there was not the predecessor's, but of one that "
				"was ended while it took over; it is replaced",
				interface);
	}
	if (err)
		log_error("%s: cannot replace the predecessor's program: %s", interface,
			  strerror(-err));
	return err;
}

uint32_t program_id(int program)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(program, &info, &length) ? 0 : info.id;
}

enum attachment attachment_gone(const char *interface, int ifindex)
{
	return (int)if_nametoindex(interface) == ifindex ? ATTACHMENT_GONE : ATTACHMENT_OURS;
}

enum attachment look_at_link(const char *path, const char *interface, int ifindex, int program)
{
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);
	uint32_t ours = program_id(program);
	int link = bpf_obj_get(path), err;

	if (link < 0)
		return errno == ENOENT ? attachment_gone(interface, ifindex) : ATTACHMENT_OURS;
	err = bpf_obj_get_info_by_fd(link, &info, &length);
	close(link);
	if (err || !ours)
		return ATTACHMENT_OURS;
	if (info.prog_id != ours)
		return ATTACHMENT_OTHERS;
	/* A link of tcx has the interface at the same place; whoever takes it off leaves the link. */
	return (int)info.xdp.ifindex == ifindex ? ATTACHMENT_OURS :
						  attachment_gone(interface, ifindex);
}

int link_keep(int link, const char *path)
{
	int err = bpf_obj_pin(link, path) ? -errno : 0;

	if (err)
		log_error("%s: cannot pin the program: %s", path, strerror(-err));
	close(link);
	return err;
}
