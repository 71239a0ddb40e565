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

/* Whether the link that is pinned there runs another program than this one. */
bool link_runs_other(const char *path, int program);

/* Pins a new link, and closes it. Says what went wrong; 0 or -errno. */
int link_keep(int link, const char *path);

#endif
