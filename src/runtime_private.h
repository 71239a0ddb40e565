/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of runtime.h have in common. */
#ifndef PLIMSOLL_RUNTIME_PRIVATE_H
#define PLIMSOLL_RUNTIME_PRIVATE_H

#include <dirent.h>

#define ROOT "/run/plimsoll"
#define BPFFS ROOT "/bpf"

/* 0, or -EINVAL having said what a name is made of. */
int runtime_check_name(const char *name);

/* What scandir() has allocated. */
void runtime_free_list(struct dirent **entries, int count);

#endif
