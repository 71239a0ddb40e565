/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two locks: NAME/lock is held as long as the instance runs, .lock ("the door") only while somebody
 * makes or removes directories and mounts, so that nobody enters what another is about to remove.
 */
#include "runtime.h"
#include "bpffs.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/run/plimsoll"
#define DOOR ROOT "/.lock"
#define BPFFS ROOT "/bpf"
#define DEFAULT_NAME "balancer"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define NAME_CHARACTERS LETTERS "0123456789-_."

/* "bpf" is the mount, the others are what iproute2 makes in it. */
static const char *const reserved[] = {"bpf", "ip", "tc", "xdp", NULL};

static bool name_valid(const char *name)
{
	for (int i = 0; reserved[i]; i++)
		if (!strcmp(name, reserved[i]))
			return false;
	return *name && *name != '.' && strlen(name) < sizeof(((struct runtime *)0)->name) &&
	       !name[strspn(name, NAME_CHARACTERS)];
}

static int name_check(const char *name)
{
	if (name_valid(name))
		return 0;
	log_error("\"%s\" cannot be the name of an instance: up to %zu letters, digits, '-', '_' "
		  "and '.', not beginning with '.', and none of bpf, ip, tc, xdp",
		  name, sizeof(((struct runtime *)0)->name) - 1);
	return -EINVAL;
}

void runtime_path(const char *name, const char *file, char *path, size_t size)
{
	snprintf(path, size, "%s/%s/%s", ROOT, name, file);
}

/* A bpffs takes no '.' in names; no instance has a '+' in its own. */
void runtime_pins(const char *name, char *path, size_t size)
{
	char *dot;

	snprintf(path, size, "%s/%s", BPFFS, name);
	while ((dot = strchr(path, '.')))
		*dot = '+';
}

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

static void list_free(struct dirent **entries, int count)
{
	while (count > 0)
		free(entries[--count]);
	free(entries);
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
	list_free(entries, count);
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

/* Takes the instance's lock, and writes into it who has it. */
static int lock_take(struct runtime *runtime)
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
	if (rc == -EWOULDBLOCK) {
		lock_tell_holder(runtime);
		return -EBUSY;
	}
	if (rc || ftruncate(runtime->lock, 0) || dprintf(runtime->lock, "%d\n", getpid()) < 0) {
		rc = rc ?: -errno;
		log_error("cannot lock %s: %s", path, strerror(-rc));
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

int runtime_open(struct runtime *runtime, const char *name)
{
	int door;
	int rc;

	memset(runtime, 0, sizeof(*runtime));
	runtime->lock = -1;
	runtime->keeper = BPFFS_KEEPER_SELF;
	rc = name_check(name);
	if (rc)
		return rc;
	snprintf(runtime->name, sizeof(runtime->name), "%s", name);
	snprintf(runtime->directory, sizeof(runtime->directory), "%s/%s", ROOT, name);
	runtime_pins(name, runtime->pins, sizeof(runtime->pins));
	door = door_enter();
	if (door < 0)
		return door;
	rc = lock_take(runtime);
	if (rc)
		goto out;
	runtime->keeper = bpffs_keeper();
	rc = bpffs_mount(runtime->keeper, BPFFS);
	if (!rc)
		rc = make_directory(runtime->pins, 0700);
	if (rc)
		abandon(runtime);
out:
	if (rc)
		runtime_close(runtime);
	door_leave(door);
	return rc;
}

void runtime_close(struct runtime *runtime)
{
	if (runtime->lock >= 0)
		close(runtime->lock);
	if (runtime->keeper >= 0)
		close(runtime->keeper);
	runtime->lock = -1;
	runtime->keeper = BPFFS_KEEPER_SELF;
}

void runtime_remove(struct runtime *runtime)
{
	int door;

	if (runtime->lock < 0)
		return;
	door = door_enter();
	remove_tree(runtime->pins);
	remove_tree(runtime->directory);
	bpffs_unmount(runtime->keeper, BPFFS);
	runtime_close(runtime);
	if (door >= 0)
		door_leave(door);
}

static int is_instance(const struct dirent *entry)
{
	struct stat status;
	char path[PATH_MAX];

	if (!name_valid(entry->d_name))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", ROOT, entry->d_name);
	return !stat(path, &status) && S_ISDIR(status.st_mode);
}

static bool listed(struct dirent **entries, int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++) {
		if (!strcmp(entries[i]->d_name, name))
			return true;
	}
	return false;
}

/* Says what there is to choose from. */
static void tell_choice(const char *given, struct dirent **entries, int count)
{
	char names[1024] = "";
	size_t length = 0;
	int i;

	for (i = 0; i < count && length < sizeof(names); i++)
		length += snprintf(names + length, sizeof(names) - length, "%s%s", i ? ", " : "",
				   entries[i]->d_name);
	if (!count)
		log_error("no instance runs here; start one: plimsoll balancer --config FILE (or "
			  "plimsoll server)");
	else if (given)
		log_error("there is no instance \"%s\"; choose with --instance among: %s", given,
			  names);
	else
		log_error("there are several instances; choose with --instance among: %s", names);
}

int runtime_find(const char *given, char *name, size_t size)
{
	struct dirent **entries = NULL;
	const char *found = NULL;
	int count;

	if (given && name_check(given))
		return -EINVAL;
	count = scandir(ROOT, &entries, is_instance, alphasort);
	if (count < 0)
		count = 0;
	if (given)
		found = listed(entries, count, given) ? given : NULL;
	else if (count == 1)
		found = entries[0]->d_name;
	else if (listed(entries, count, DEFAULT_NAME))
		found = DEFAULT_NAME;
	if (found)
		snprintf(name, size, "%s", found);
	else
		tell_choice(given, entries, count);
	list_free(entries, count);
	return found ? 0 : -ENOENT;
}

void runtime_each(void (*call)(const char *name, void *context), void *context)
{
	struct dirent **entries = NULL;
	int i, count;

	count = scandir(ROOT, &entries, is_instance, alphasort);
	for (i = 0; i < count; i++)
		call(entries[i]->d_name, context);
	if (count >= 0)
		list_free(entries, count);
}
