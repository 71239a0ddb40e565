/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF programs want of a kernel, for those that refuse them. */
#ifndef PLIMSOLL_KERNEL_NEEDS_H
#define PLIMSOLL_KERNEL_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes what a kernel of that release (as uname has it) lacks, and what would do, as a sentence.
 * has_types: it describes its types (BTF). False if it lacks nothing that is known.
 */
bool kernel_lacks(const char *release, bool has_types, char *text, size_t size);

/* The same of the kernel we run on. */
bool this_kernel_lacks(char *text, size_t size);

#endif
