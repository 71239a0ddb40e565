/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the kernel keeps its books of idle time: see bpf/idle_books.h. */
#ifndef PLIMSOLL_IDLE_BOOKS_FINDER_H
#define PLIMSOLL_IDLE_BOOKS_FINDER_H

#include <stdint.h>

/* From a CPU's run queue to its books, in bytes; 0 if the kernel's BTF does not tell. */
int64_t idle_books_distance(void);

#endif
