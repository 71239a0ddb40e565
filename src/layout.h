/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keys and values of a map look like, by the type information (BTF) that the compiler
 * leaves. So nobody has to number layouts, or can forget to: what a predecessor left is
 * compared with what this build would make, member by member, and is carried over by the names of
 * the members where they differ.
 */
#ifndef PLIMSOLL_LAYOUT_H
#define PLIMSOLL_LAYOUT_H

#include <bpf/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct layout {
	const struct btf *btf;
	uint32_t type;
};

/* Whether both say the same of every byte, names included. The name of the type itself is free. */
bool layout_equal(struct layout a, struct layout b);

/* Whether both are structures with that member, and it is the same kind of thing in both. */
bool layout_shares_member(struct layout a, struct layout b, const char *name);

/*
 * Writes what has the same name and is the same kind of thing in both from one value into another,
 * which holds zeros. What only the old one had is lost, and so is what is called "pad".
 */
void layout_carry(struct layout from, const void *old, struct layout to, void *new);

/*
 * A structure's member `names`, an array of no entries, says which enumeration numbers the map's
 * entries: what there the old number is called, it is by that name in the new one. Returns the new
 * number; the old one where they are not named, and -ENOENT where nothing has that name any more.
 */
int64_t layout_renumber(struct layout from, struct layout to, uint32_t number);

#endif
