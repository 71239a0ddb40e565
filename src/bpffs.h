/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bpffs that outlives the process that mounts it.
 *
 * `ip netns exec` gives its child a mount namespace of its own. What is mounted there dies with the
 * child, and takes along what was pinned. So the bpffs is mounted in a namespace that stays: that
 * of process 1, or where we may not enter that one (in a container, say), that of our eldest
 * ancestor that lets us in. A clone of the mount is then put at the same path in our own.
 */
#ifndef PLIMSOLL_BPFFS_H
#define PLIMSOLL_BPFFS_H

#define BPFFS_KEEPER_SELF (-1) /* our own namespace stays */
#define BPFFS_KEEPER_NONE (-2) /* nobody lets us in: our own has to do */

/* Opens the mount namespace that stays. Returns its fd, or one of the above. */
int bpffs_keeper(void);

/*
 * Mounts a bpffs on the directory in the keeper's namespace, if there is none, and in ours. Makes
 * the directory, and the one that it is in. Returns 0 or -errno, having said why.
 */
int bpffs_mount(int keeper, const char *directory);

/* Unmounts it in both and removes the directory, unless something is in it. */
void bpffs_unmount(int keeper, const char *directory);

#endif
