/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Links that stay: what putting programs onto XDP and onto tcx has in common. */
#ifndef PLIMSOLL_ATTACH_LINK_H
#define PLIMSOLL_ATTACH_LINK_H

#include <bpf/libbpf.h>

#include "attach.h"

/* A predecessor's link, if it is still on that interface: an interface may have gone and come. */
struct bpf_link *link_reopen(const char *path, int ifindex);

/* The predecessor's program gives way to ours. Says what went wrong; 0 or -errno. */
int link_replace(struct bpf_link *link, struct program program, const char *interface);

/* What has become of the link that was pinned there and runs this program. */
enum attachment look_at_link(const char *path, const char *interface, int ifindex, int program);

/* The id of a program, 0 if nobody tells. */
uint32_t program_id(int program);

/* Gone from an interface, unless that is gone itself, and another one perhaps called so. */
enum attachment attachment_gone(const char *interface, int ifindex);

/* Pins a new link, and closes it. Says what went wrong; 0 or -errno. */
int link_keep(int link, const char *path);

#endif
