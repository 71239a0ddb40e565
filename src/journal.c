/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "journal.h"
#include "address.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 128

struct journal {
	char *path;
	int file;
	struct change *last;
};

static bool change_parse(const char *line, struct change *change)
{
	char address[ADDRESS_TEXT_MAX];
	int end = 0;

	memset(change, 0, sizeof(*change));
	if (sscanf(line, "sysctl %15s %31s %d %d%n", change->interface, change->key,
		   &change->before, &change->after, &end) == 4) {
		change->kind = CHANGE_SYSCTL;
		return !line[end];
	}
	if (sscanf(line, "address %15s %45s%n", change->interface, address, &end) == 2) {
		change->kind = CHANGE_ADDRESS;
		return !line[end] && !address_parse(address, &change->address);
	}
	return false;
}

static int change_format(const struct change *change, char *line, size_t size)
{
	char address[ADDRESS_TEXT_MAX];

	if (change->kind == CHANGE_SYSCTL)
		return snprintf(line, size, "sysctl %s %s %d %d\n", change->interface, change->key,
				change->before, change->after);
	return snprintf(line, size, "address %s %s\n", change->interface,
			address_format(change->address, address));
}

static int journal_push(struct journal *journal, const struct change *change)
{
	struct change *copy = malloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *change;
	copy->earlier = journal->last;
	journal->last = copy;
	return 0;
}

static void journal_pop(struct journal *journal)
{
	struct change *last = journal->last;

	journal->last = last->earlier;
	free(last);
}

static int journal_line(struct journal *journal, char *line, ssize_t length, int number)
{
	bool whole = line[length - 1] == '\n';
	struct change change;

	line[strcspn(line, "\n")] = '\0';
	if (whole && change_parse(line, &change))
		return journal_push(journal, &change);
	log_warning("%s:%d: \"%.80s\" is damaged and skipped; a change by an earlier run may "
		    "remain on this host",
		    journal->path, number, line);
	/* What is added next begins on a line of its own. */
	if (!whole && write(journal->file, "\n", 1) != 1)
		return -errno;
	return 0;
}

static int journal_read(struct journal *journal)
{
	FILE *stream = fopen(journal->path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	int number = 0;
	int rc = 0;

	if (!stream)
		return -errno;
	while (!rc && (length = getline(&line, &size, stream)) > 0)
		rc = journal_line(journal, line, length, ++number);
	free(line);
	fclose(stream);
	return rc;
}

int journal_open(const char *path, struct journal **result)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int rc = -ENOMEM;

	if (!journal)
		return rc;
	journal->file = -1;
	journal->path = strdup(path);
	if (!journal->path)
		goto out;
	journal->file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	rc = journal->file < 0 ? -errno : journal_read(journal);
	if (rc)
		log_error("cannot open the journal %s: %s", path, strerror(-rc));
out:
	if (rc)
		journal_close(journal);
	else
		*result = journal;
	return rc;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	while (journal->last)
		journal_pop(journal);
	if (journal->file >= 0)
		close(journal->file);
	free(journal->path);
	free(journal);
}

/*
 * The whole line or nothing of it. Not waited for until it is on the disk: when the machine stops, what
 * was changed is gone with it, and thousands of VIPs would wait for the disk thousands of times.
 */
static int journal_write(struct journal *journal, const char *line, size_t length)
{
	off_t end = lseek(journal->file, 0, SEEK_END);
	ssize_t written;
	int rc;

	if (end < 0)
		return -errno;
	written = write(journal->file, line, length);
	if (written == (ssize_t)length)
		return 0;
	rc = written >= 0 && written < (ssize_t)length ? -ENOSPC : -errno;
	return ftruncate(journal->file, end) ? -errno : rc;
}

int journal_add(struct journal *journal, const struct change *change)
{
	char line[LINE_MAX_BYTES];
	int rc;

	rc = journal_push(journal, change);
	if (rc)
		goto out;
	rc = journal_write(journal, line, change_format(change, line, sizeof(line)));
	if (rc)
		journal_pop(journal);
out:
	if (rc)
		log_error("cannot write to the journal %s: %s; nothing was changed", journal->path,
			  strerror(-rc));
	return rc;
}

void journal_drop_last(struct journal *journal)
{
	char line[LINE_MAX_BYTES];
	off_t end = lseek(journal->file, 0, SEEK_END);

	end -= change_format(journal->last, line, sizeof(line));
	if (ftruncate(journal->file, end))
		log_warning("cannot shorten the journal %s: %s", journal->path, strerror(errno));
	journal_pop(journal);
}

/* From the earliest on, which is the last of the list. */
static int write_changes(FILE *stream, const struct change *change, const struct change *without)
{
	char line[LINE_MAX_BYTES];
	int rc;

	if (!change)
		return 0;
	rc = write_changes(stream, change->earlier, without);
	if (rc || change == without)
		return rc;
	change_format(change, line, sizeof(line));
	return fputs(line, stream) < 0 ? -errno : 0;
}

/* A new file in place of the old one: whoever reads it finds all of one of the two. */
static int write_anew(struct journal *journal, const struct change *without)
{
	char path[PATH_MAX];
	int file, rc;
	FILE *stream;

	snprintf(path, sizeof(path), "%s.new", journal->path);
	file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	stream = fdopen(dup(file), "w");
	rc = stream ? write_changes(stream, journal->last, without) : -errno;
	if (stream && fclose(stream) && !rc)
		rc = -errno;
	if (!rc && rename(path, journal->path))
		rc = -errno;
	if (rc) {
		unlink(path);
		close(file);
		return rc;
	}
	close(journal->file);
	journal->file = file;
	return 0;
}

int journal_drop(struct journal *journal, const struct change *change)
{
	struct change **place = &journal->last;
	int rc = write_anew(journal, change);

	if (rc) {
		log_error("cannot write the journal %s anew: %s", journal->path, strerror(-rc));
		return rc;
	}
	while (*place && *place != change)
		place = &(*place)->earlier;
	if (*place) {
		*place = change->earlier;
		free((void *)change);
	}
	return 0;
}

const struct change *journal_last(const struct journal *journal)
{
	return journal->last;
}

int journal_remove(struct journal *journal)
{
	int rc = unlink(journal->path) && errno != ENOENT ? -errno : 0;

	if (rc)
		log_error("cannot remove the journal %s: %s", journal->path, strerror(-rc));
	while (journal->last)
		journal_pop(journal);
	return rc;
}
