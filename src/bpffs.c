/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bpffs.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static int namespace_open(pid_t process)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)process);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* 0 where there is none, as for process 1. */
static pid_t parent_of(pid_t process)
{
	char path[64], line[128];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	}
	fclose(file);
	return parent;
}

static bool same_file(int a, int b)
{
	struct stat a_status, b_status;

	return !fstat(a, &a_status) && !fstat(b, &b_status) && a_status.st_dev == b_status.st_dev &&
	       a_status.st_ino == b_status.st_ino;
}

/* The latter of the two, if it could be opened. */
static int elder(int keeper, int candidate)
{
	if (candidate < 0)
		return keeper;
	if (keeper >= 0)
		close(keeper);
	return candidate;
}

int bpffs_keeper(void)
{
	int keeper = BPFFS_KEEPER_NONE;
	int own = namespace_open(getpid());
	pid_t process;

	for (process = getppid(); process > 1; process = parent_of(process))
		keeper = elder(keeper, namespace_open(process));
	keeper = elder(keeper, namespace_open(1));
	if (keeper >= 0 && own >= 0 && same_file(keeper, own)) {
		close(keeper);
		keeper = BPFFS_KEEPER_SELF;
	}
	if (own >= 0)
		close(own);
	return keeper;
}

static bool is_bpffs(const char *directory)
{
	struct statfs status;

	return !statfs(directory, &status) && status.f_type == BPF_FS_MAGIC;
}

static int make_directories(const char *directory)
{
	char parent[PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", directory);
	if (mkdir(dirname(parent), 0755) && errno != EEXIST)
		return -errno;
	if (mkdir(directory, 0700) && errno != EEXIST)
		return -errno;
	return 0;
}

static int mount_here(const char *directory)
{
	int rc;

	if (is_bpffs(directory))
		return 0;
	rc = make_directories(directory);
	if (rc)
		return rc;
	if (mount("bpf", directory, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return -errno;
	return 0;
}

/* What has been mounted in the keeper's namespace comes to ours by itself only if it is shared. */
static int place_here(int tree, const char *directory)
{
	int rc;

	if (is_bpffs(directory))
		return 0;
	rc = make_directories(directory);
	if (rc)
		return rc;
	if (move_mount(tree, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH))
		return -errno;
	return 0;
}

/* The caller ends afterwards, which closes what is open. */
static int mount_there(int keeper, const char *directory)
{
	int home = namespace_open(getpid());
	int tree;
	int rc;

	if (home < 0 || setns(keeper, CLONE_NEWNS))
		return -errno;
	rc = mount_here(directory);
	if (rc)
		return rc;
	tree = open_tree(AT_FDCWD, directory, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || setns(home, CLONE_NEWNS))
		return -errno;
	return place_here(tree, directory);
}

/* Whether anything is pinned in a directory or below it. Links are none of ours. */
static bool holds_pins(const char *path)
{
	DIR *directory = opendir(path);
	char below[PATH_MAX];
	struct dirent *entry;
	bool found = false;

	if (!directory)
		return false;
	while (!found && (entry = readdir(directory))) {
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			found = holds_pins(below);
		else
			found = entry->d_type == DT_REG;
	}
	closedir(directory);
	return found;
}

/*
 * Whether this is somebody's: an instance's directory even if it is still empty, and what others
 * have pinned. Names with a '.' are the kernel's own (maps.debug, progs.debug). iproute2 makes a
 * directory tc, with links ip and xdp to it, in any bpffs it finds, and leaves them there.
 */
static bool is_used_by(const char *path, const struct dirent *entry)
{
	char below[PATH_MAX];

	if (strchr(entry->d_name, '.') || entry->d_type == DT_LNK)
		return false;
	snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
	return strcmp(entry->d_name, "tc") != 0 || holds_pins(below);
}

static bool unused(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool found = false;

	if (!directory)
		return false;
	while (!found && (entry = readdir(directory)))
		found = is_used_by(path, entry);
	closedir(directory);
	return !found;
}

static int unmount_here(const char *directory)
{
	char parent[PATH_MAX];

	if (is_bpffs(directory) && (!unused(directory) || umount2(directory, UMOUNT_NOFOLLOW)))
		return 0;
	(void)rmdir(directory);
	/* Where the keeper has another /run, nobody else would remove this one. */
	snprintf(parent, sizeof(parent), "%s", directory);
	(void)rmdir(dirname(parent));
	return 0;
}

static int unmount_there(int keeper, const char *directory)
{
	if (setns(keeper, CLONE_NEWNS))
		return -errno;
	return unmount_here(directory);
}

/* Runs a function in a child, so that we need not come back from another namespace ourselves. */
static int in_child(int (*function)(int keeper, const char *directory), int keeper,
		    const char *directory)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (!child)
		_exit(-function(keeper, directory));
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int bpffs_mount(int keeper, const char *directory)
{
	int rc;

	if (is_bpffs(directory))
		return 0;
	if (keeper >= 0)
		rc = in_child(mount_there, keeper, directory);
	else
		rc = mount_here(directory);
	if (rc == -EPERM || rc == -EACCES)
		log_error("cannot mount a bpffs on %s: %s; must be root or have CAP_SYS_ADMIN for "
			  "that, or mount it yourself: mount -t bpf bpf %s",
			  directory, strerror(-rc), directory);
	else if (rc)
		log_error("cannot mount a bpffs on %s: %s; mount it yourself: mount -t bpf bpf %s",
			  directory, strerror(-rc), directory);
	else if (keeper == BPFFS_KEEPER_NONE)
		log_notice(
			"no parent process lets us see its mounts: what is pinned below %s lasts "
			"only as long as this mount namespace",
			directory);
	return rc;
}

void bpffs_unmount(int keeper, const char *directory)
{
	/* A failure means that somebody is in it, and then it has to stay. */
	if (keeper >= 0)
		(void)in_child(unmount_there, keeper, directory);
	(void)unmount_here(directory);
}
