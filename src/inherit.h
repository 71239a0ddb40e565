/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a daemon takes over from the maps of its predecessor, whose programs go on meanwhile, and
 * whose daemon may. Until inherit_keep() nothing that these use is changed, but for what is shared.
 *
 * What the configuration decides is copied, to be made into what the new one says. What the data
 * path remembers is shared, so that nothing is lost between copying and replacing the program; where
 * this build would have it look otherwise, it is copied by the names of what is in it.
 */
#ifndef PLIMSOLL_INHERIT_H
#define PLIMSOLL_INHERIT_H

#include <bpf/libbpf.h>
#include <stdbool.h>

#include "runtime.h"

#define INHERIT_MAPS_MAX 48
#define INHERIT_NEEDS_MAX 4

enum inherit_how {
	INHERIT_SHARE, /* the map itself, or a copy where it would look otherwise */
	INHERIT_COPY,
	INHERIT_NOTHING,
	INHERIT_TOGETHER, /* the maps themselves, if all of these look the same; otherwise nothing */
	INHERIT_SAME, /* the map itself; where it looks otherwise, nothing can be inherited at all */
};

struct types;

/* Maps that no rule names are shared. */
struct inherit_rule {
	const char *map;
	enum inherit_how how;
	/* Members that tell what is what: without them, or with another key, nothing can be inherited. */
	const char *needs[INHERIT_NEEDS_MAX];
};

struct inherited_map {
	struct bpf_map *map;
	const struct inherit_rule *rule;
	int old; /* the predecessor's; -1: there is none */
	bool shared;
};

struct inheritance {
	const struct runtime *runtime;
	struct bpf_object *object;
	const struct btf *new_types;
	struct types *old_types;
	bool found; /* there is a predecessor */
	struct inherited_map maps[INHERIT_MAPS_MAX];
	size_t count;
};

/*
 * Before the object is loaded: decides what is shared. rules end with one without a name. Says what
 * cannot be taken over. 0, -EPROTO for a predecessor of which nothing can be inherited, or -errno.
 */
int inherit_open(struct inheritance *inheritance, struct bpf_object *object,
		 const struct runtime *runtime, const struct inherit_rule *rules);

/* After it is loaded: copies what is not shared. */
int inherit_copy(struct inheritance *inheritance);

/* Pins the new maps, in the place of the predecessor's. */
int inherit_keep(struct inheritance *inheritance);

/* The predecessor's maps are no longer held. As often as one likes. */
void inherit_close(struct inheritance *inheritance);

#endif
