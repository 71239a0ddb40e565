/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where an instance keeps what outlives a function call: /run/plimsoll/NAME/ for its lock, socket
 * and journal, and a directory in a bpffs for its maps, programs and links.
 *
 * The bpffs is mounted on /run/plimsoll/bpf in a mount namespace that outlives ours (bpffs.h), and
 * shows at the same path in our own.
 */
#ifndef PLIMSOLL_RUNTIME_H
#define PLIMSOLL_RUNTIME_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct runtime {
	char name[64];
	char directory[PATH_MAX / 4]; /* /run/plimsoll/NAME */
	char pins[PATH_MAX / 4]; /* a directory in the bpffs */
	int lock;
	int holder; /* who has the lock until we succeed him, as a pidfd; -1: we have it */
	int successor; /* while we do not: the lock of those who wait */
	int keeper; /* the mount namespace that keeps the bpffs; -1 if it is our own */
};

/*
 * Makes the directories, mounts the bpffs if need be, takes the lock. Says what went wrong.
 * Returns 0; -EBUSY if an instance of that name runs; -EINVAL for a name with other characters
 * than letters, digits, '-', '_' and '.', or beginning with '.', or a reserved one; or another -errno.
 */
int runtime_open(struct runtime *runtime, const char *name);

/*
 * The same beside a daemon that runs, to take over from it: nothing that it has is touched. Where
 * none runs it is runtime_open(). -EBUSY also if somebody else is about to take over.
 */
int runtime_join(struct runtime *runtime, const char *name);

/*
 * Tells the one who runs to go and leave everything, and takes the lock; whoever does not go is
 * killed. The signal ends those who do not know it, which comes to the same. Nothing to do where the
 * lock is ours.
 */
#define RUNTIME_RETIRE SIGUSR2
int runtime_succeed(struct runtime *runtime);

/* Whether somebody else is about to take over from us. */
bool runtime_is_joined(const struct runtime *runtime);

/* Leaves everything in place, for a successor. */
void runtime_close(struct runtime *runtime);

/* Removes pins, directories and, if nobody else uses it, the mount. */
void runtime_remove(struct runtime *runtime);

/* "/run/plimsoll/NAME/FILE" into path[size]. */
void runtime_path(const char *name, const char *file, char *path, size_t size);

/* The directory of its pins. */
void runtime_pins(const char *name, char *path, size_t size);

/*
 * The instance that a client means: the name given, or the only one there is, or "balancer" among
 * several. Writes into name[size]; says what there is to choose from. Returns 0 or -errno.
 */
int runtime_find(const char *given, char *name, size_t size);

/* Calls it with the name of every instance that there is, in alphabetical order. */
void runtime_each(void (*call)(const char *name, void *context), void *context);

#endif
