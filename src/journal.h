/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The journal of what was changed on the host: one line for each change, in the order in which
 * they were made.
 *
 *	sysctl INTERFACE KEY BEFORE AFTER
 *	address INTERFACE ADDRESS
 */
#ifndef PLIMSOLL_JOURNAL_H
#define PLIMSOLL_JOURNAL_H

#include <net/if.h>
#include <stdbool.h>

#include "address.h"

struct change {
	enum change_kind {
		CHANGE_SYSCTL,
		CHANGE_ADDRESS,
	} kind;
	char interface[IFNAMSIZ];
	char key[32]; /* of the sysctl */
	int before;
	int after;
	struct ip_address address;
	struct change *earlier;
};

struct journal;

/* Reads a predecessor's file, or makes one. Tells of damaged lines, and skips them. */
int journal_open(const char *path, struct journal **journal);
void journal_close(struct journal *journal);

/* Makes the change known on disk. To be called before it is made. Says what failed. */
int journal_add(struct journal *journal, const struct change *change);

/* The change that was added last could not be made. */
void journal_drop_last(struct journal *journal);

/* A change has been taken back: it is forgotten, on disk too. Says what failed. */
int journal_drop(struct journal *journal, const struct change *change);

/* The latest change; the ones before it by `earlier`. NULL if there is none. */
const struct change *journal_last(const struct journal *journal);

/* Removes the file. */
int journal_remove(struct journal *journal);

#endif
