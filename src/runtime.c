/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Three locks: NAME/lock is held as long as the instance runs, NAME/successor by who wants to have
 * that next, .lock ("the door") only while somebody
 * makes or removes directories and mounts, so that nobody enters what another is about to remove.
 */
#include "runtime.h"
#include "bpffs.h"
#include "log.h"
#include "runtime_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DOOR ROOT "/.lock"
#define RETIRE_STEPS 600 /* of 5 ms, that a predecessor has to go */

static int make_directory(const char *path, mode_t mode)
{
	int rc = mkdir(path, mode) ? -errno : 0;

	if (!rc || rc == -EEXIST)
		return 0;
	log_error("cannot make the directory %s: %s%s", path, strerror(-rc),
		  rc == -EACCES ? "; must be root" : "");
	return rc;
}

/* Whether the file that is open is still the one that has this name. */
static bool still_named(int file, const char *path)
{
	struct stat opened, named;

	return !fstat(file, &opened) && !stat(path, &named) && opened.st_dev == named.st_dev &&
	       opened.st_ino == named.st_ino;
}

/* Waits until nobody else is in the door. Returns its fd or -errno. */
static int door_enter(void)
{
	int door;
	int rc;

	for (;;) {
		rc = make_directory(ROOT, 0755);
		if (rc)
			return rc;
		door = open(DOOR, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (door < 0 && errno == ENOENT)
			continue; /* removed since we made it */
		if (door < 0)
			break;
		if (!flock(door, LOCK_EX) && still_named(door, DOOR))
			return door;
		close(door);
	}
	rc = -errno;
	log_error("cannot open %s: %s%s", DOOR, strerror(-rc),
		  rc == -EACCES ? "; must be root" : "");
	return rc;
}

static int is_other_file(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
	       strcmp(entry->d_name, strrchr(DOOR, '/') + 1);
}

/* The last one out removes the house. */
static void door_leave(int door)
{
	struct dirent **entries = NULL;
	int count = scandir(ROOT, &entries, is_other_file, NULL);

	if (!count) {
		unlink(DOOR);
		rmdir(ROOT);
	}
	runtime_free_list(entries, count);
	close(door);
}

static void lock_tell_holder(const struct runtime *runtime)
{
	char holder[16] = "";
	ssize_t length = pread(runtime->lock, holder, sizeof(holder) - 1, 0);

	holder[length > 0 ? strspn(holder, "0123456789") : 0] = '\0';
	log_error("instance \"%s\" runs already%s%s; stop it, or choose another name with "
		  "--instance",
		  runtime->name, *holder ? " as process " : "", holder);
}

static void close_one(int *file)
{
	if (*file >= 0)
		close(*file);
	*file = -1;
}

static int lock_sign(const struct runtime *runtime)
{
	return ftruncate(runtime->lock, 0) || dprintf(runtime->lock, "%d\n", getpid()) < 0 ?
		       -errno :
		       0;
}

/* Who listens on the instance's socket: by its number here, which in its own house may be another. */
static pid_t listener_of(const struct runtime *runtime)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = {0};
	socklen_t length = sizeof(peer);

	runtime_path(runtime->name, "api.sock", address.sun_path, sizeof(address.sun_path));
	if (fd < 0)
		return 0;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		peer.pid = 0;
	close(fd);
	return peer.pid;
}

/* Only one at a time may want to take over. */
static int successor_lock(struct runtime *runtime)
{
	char path[PATH_MAX];

	runtime_path(runtime->name, "successor", path, sizeof(path));
	runtime->successor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (runtime->successor >= 0 && !flock(runtime->successor, LOCK_EX | LOCK_NB))
		return 0;
	if (runtime->successor >= 0 && errno == EWOULDBLOCK) {
		log_error("instance \"%s\" is being taken over by another daemon already",
			  runtime->name);
		return -EBUSY;
	}
	log_error("cannot lock %s: %s", path, strerror(errno));
	return -errno;
}

static int holder_find(struct runtime *runtime)
{
	pid_t process = listener_of(runtime);
	int rc = successor_lock(runtime);

	if (rc)
		return rc;
	runtime->holder = process > 0 ? pidfd_open(process, 0) : -1;
	if (runtime->holder >= 0)
		return 0;
	log_error(
		"instance \"%s\" runs, but nobody listens on its socket: it cannot be told to go, "
		"so it is not taken over",
		runtime->name);
	return -EBUSY;
}

/* Takes the instance's lock, and writes into it who has it. */
static int lock_take(struct runtime *runtime, bool join)
{
	char path[PATH_MAX];
	int rc;

	runtime_path(runtime->name, "lock", path, sizeof(path));
	rc = make_directory(runtime->directory, 0755);
	if (rc)
		return rc;
	runtime->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (runtime->lock < 0 || flock(runtime->lock, LOCK_EX | LOCK_NB))
		rc = -errno;
	if (rc == -EWOULDBLOCK && join)
		return holder_find(runtime);
	if (rc == -EWOULDBLOCK) {
		lock_tell_holder(runtime);
		return -EBUSY;
	}
	if (rc) {
		log_error("cannot lock %s: %s", path, strerror(-rc));
		return rc;
	}
	rc = lock_sign(runtime);
	if (rc) {
		log_error("cannot write to %s: %s", path, strerror(-rc));
		unlink(path);
		rmdir(runtime->directory); /* unless a predecessor's files are there */
	}
	return rc;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	if (remove(path) && errno != ENOENT)
		log_warning("cannot remove %s: %s", path, strerror(errno));
	return 0;
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* What a failed start has made; a predecessor's files stay, and keep the directory. */
static void abandon(struct runtime *runtime)
{
	char path[PATH_MAX];

	runtime_path(runtime->name, "lock", path, sizeof(path));
	unlink(path);
	rmdir(runtime->directory);
	bpffs_unmount(runtime->keeper, BPFFS);
}

static int open_instance(struct runtime *runtime, const char *name, bool join)
{
	int door;
	int rc;

	memset(runtime, 0, sizeof(*runtime));
	runtime->lock = runtime->holder = runtime->successor = -1;
	runtime->keeper = BPFFS_KEEPER_SELF;
	rc = runtime_check_name(name);
	if (rc)
		return rc;
	snprintf(runtime->name, sizeof(runtime->name), "%s", name);
	snprintf(runtime->directory, sizeof(runtime->directory), "%s/%s", ROOT, name);
	runtime_pins(name, runtime->pins, sizeof(runtime->pins));
	door = door_enter();
	if (door < 0)
		return door;
	rc = lock_take(runtime, join);
	if (rc)
		goto out;
	runtime->keeper = bpffs_keeper();
	rc = bpffs_mount(runtime->keeper, BPFFS);
	if (!rc)
		rc = make_directory(runtime->pins, 0700);
	if (rc && runtime->holder < 0)
		abandon(runtime);
out:
	if (rc)
		runtime_close(runtime);
	door_leave(door);
	return rc;
}

int runtime_open(struct runtime *runtime, const char *name)
{
	return open_instance(runtime, name, false);
}

int runtime_join(struct runtime *runtime, const char *name)
{
	return open_instance(runtime, name, true);
}

static bool lock_comes(const struct runtime *runtime)
{
	const struct timespec step = {.tv_nsec = 5000000};

	for (int i = 0; i < RETIRE_STEPS; i++) {
		if (!flock(runtime->lock, LOCK_EX | LOCK_NB))
			return true;
		nanosleep(&step, NULL);
	}
	return false;
}

int runtime_succeed(struct runtime *runtime)
{
	int rc;

	if (runtime->holder < 0)
		return 0;
	(void)pidfd_send_signal(runtime->holder, RUNTIME_RETIRE, NULL, 0);
	if (!lock_comes(runtime)) {
		log_warning("the predecessor does not go; it is killed, which harms nothing");
		(void)pidfd_send_signal(runtime->holder, SIGKILL, NULL, 0);
		if (!lock_comes(runtime))
			return -EBUSY;
	}
	rc = lock_sign(runtime);
	close_one(&runtime->holder);
	close_one(&runtime->successor);
	return rc;
}

bool runtime_is_joined(const struct runtime *runtime)
{
	char path[PATH_MAX];
	bool joined;
	int file;

	runtime_path(runtime->name, "successor", path, sizeof(path));
	file = open(path, O_RDWR | O_CLOEXEC);
	joined = file >= 0 && flock(file, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close_one(&file);
	return joined;
}

void runtime_close(struct runtime *runtime)
{
	close_one(&runtime->lock);
	close_one(&runtime->holder);
	close_one(&runtime->successor);
	if (runtime->keeper >= 0)
		close(runtime->keeper);
	runtime->keeper = BPFFS_KEEPER_SELF;
}

void runtime_remove(struct runtime *runtime)
{
	int door;

	if (runtime->lock < 0 || runtime->holder >= 0)
		return;
	door = door_enter();
	remove_tree(runtime->pins);
	remove_tree(runtime->directory);
	bpffs_unmount(runtime->keeper, BPFFS);
	runtime_close(runtime);
	if (door >= 0)
		door_leave(door);
}
