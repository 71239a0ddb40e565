/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What instances are called, where each has its things, and which one is meant. */
#include "log.h"
#include "runtime.h"
#include "runtime_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

int runtime_check_name(const char *name)
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

void runtime_free_list(struct dirent **entries, int count)
{
	while (count > 0)
		free(entries[--count]);
	free(entries);
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

	if (given && runtime_check_name(given))
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
	runtime_free_list(entries, count);
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
		runtime_free_list(entries, count);
}
