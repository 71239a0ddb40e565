/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "inherit.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "layout.h"
#include "log.h"
#include "types_file.h"

#define PER_CPU_ALIGNMENT 8
#define TYPES_FILE "types"

static const struct inherit_rule share = {.how = INHERIT_SHARE};

static const struct inherit_rule *find_rule(const struct inherit_rule *rules, const char *map)
{
	for (; rules->map; rules++)
		if (!strcmp(rules->map, map))
			return rules;
	return &share;
}

static int map_info(int map, struct bpf_map_info *info)
{
	__u32 length = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(map, info, &length) ? -errno : 0;
}

/* A map's two sides: how the predecessor has it, and how it would look now. */
struct sides {
	struct bpf_map_info old;
	struct layout old_key, old_value, key, value;
	bool same_key, same_value, same_kind, same_size;
};

static int look(const struct inheritance *inheritance, const struct inherited_map *entry,
		struct sides *sides)
{
	const struct bpf_map *map = entry->map;
	int err = map_info(entry->old, &sides->old);

	if (err)
		return err;
	sides->old_key = types_key(inheritance->old_types, bpf_map__name(map));
	sides->old_value = types_value(inheritance->old_types, bpf_map__name(map));
	sides->key = (struct layout){inheritance->new_types, bpf_map__btf_key_type_id(map)};
	sides->value = (struct layout){inheritance->new_types, bpf_map__btf_value_type_id(map)};
	sides->same_kind = sides->old.type == bpf_map__type(map) &&
			   sides->old.map_flags == bpf_map__map_flags(map) &&
			   sides->old.key_size == bpf_map__key_size(map) &&
			   sides->old.value_size == bpf_map__value_size(map);
	sides->same_size = sides->old.max_entries == bpf_map__max_entries(map);
	sides->same_key = layout_equal(sides->old_key, sides->key);
	sides->same_value = layout_equal(sides->old_value, sides->value);
	return 0;
}

static bool looks_the_same(const struct sides *sides)
{
	return sides->same_kind && sides->same_key && sides->same_value;
}

static int refuse(const struct inheritance *inheritance, const struct inherited_map *entry,
		  const char *what)
{
	log_error("instance \"%s\" cannot be taken over: in the map %s, %s is another one than in "
		  "the predecessor's data path, which goes on as it is. Start the version and the "
		  "configuration that were there; or end those in good order, which forgets the "
		  "connections, and then start these",
		  inheritance->runtime->name, bpf_map__name(entry->map), what);
	return -EPROTO;
}

/* What tells what is what must not have changed. */
static int check(const struct inheritance *inheritance, const struct inherited_map *entry,
		 const struct sides *sides)
{
	const struct inherit_rule *rule = entry->rule;

	if (rule->how == INHERIT_SAME && !looks_the_same(sides))
		return refuse(inheritance, entry, "an entry");
	if (rule->how == INHERIT_SAME && !sides->same_size)
		return refuse(inheritance, entry, "the number of entries, as configured,");
	if (!rule->needs[0])
		return 0;
	if (!sides->same_key)
		return refuse(inheritance, entry, "the key");
	for (int i = 0; i < INHERIT_NEEDS_MAX && rule->needs[i]; i++)
		if (!layout_shares_member(sides->old_value, sides->value, rule->needs[i]))
			return refuse(inheritance, entry, rule->needs[i]);
	return 0;
}

static int decide(struct inheritance *inheritance, struct inherited_map *entry, bool *together)
{
	struct sides sides;
	int err = look(inheritance, entry, &sides);

	if (!err)
		err = check(inheritance, entry, &sides);
	if (err)
		return err;
	entry->shared = looks_the_same(&sides) && sides.same_size &&
			entry->rule->how != INHERIT_COPY && entry->rule->how != INHERIT_NOTHING;
	if (entry->rule->how == INHERIT_TOGETHER && !entry->shared)
		*together = false;
	return 0;
}

static void add_map(struct inheritance *inheritance, struct bpf_map *map,
		    const struct inherit_rule *rules)
{
	struct inherited_map *entry = &inheritance->maps[inheritance->count++];
	char path[PATH_MAX];

	pin_path(inheritance->runtime, bpf_map__name(map), path);
	entry->map = map;
	entry->rule = find_rule(rules, bpf_map__name(map));
	entry->old = bpf_obj_get(path);
	inheritance->found |= entry->old >= 0;
}

int inherit_open(struct inheritance *inheritance, struct bpf_object *object,
		 const struct runtime *runtime, const struct inherit_rule *rules)
{
	bool together = true;
	char path[PATH_MAX];
	struct bpf_map *map;
	int err;

	memset(inheritance, 0, sizeof(*inheritance));
	inheritance->runtime = runtime;
	inheritance->object = object;
	inheritance->new_types = bpf_object__btf(object);
	runtime_path(runtime->name, TYPES_FILE, path, sizeof(path));
	err = types_read(path, &inheritance->old_types);
	if (err)
		return err;
	bpf_object__for_each_map(map, object)
	{
		/* Constants are part of the program, not of its state. */
		if (bpf_map__is_internal(map))
			continue;
		if (inheritance->count == INHERIT_MAPS_MAX)
			return -E2BIG;
		add_map(inheritance, map, rules);
	}
	for (size_t i = 0; !err && i < inheritance->count; i++)
		if (inheritance->maps[i].old >= 0)
			err = decide(inheritance, &inheritance->maps[i], &together);
	for (size_t i = 0; !err && i < inheritance->count; i++) {
		struct inherited_map *entry = &inheritance->maps[i];

		if (entry->rule->how == INHERIT_TOGETHER && !together)
			entry->shared = false;
		if (entry->shared)
			err = bpf_map__reuse_fd(entry->map, entry->old);
	}
	return err;
}

static bool is_zero(const char *bytes, size_t size)
{
	while (size && !*bytes)
		bytes++, size--;
	return !size;
}

struct copy {
	const struct sides *sides;
	int from, to;
	size_t cpus; /* values of an entry */
	size_t from_size, to_size; /* of each */
	char *old, *new;
};

static int copy_entry(const struct copy *copy, const void *from_key, const void *to_key)
{
	if (bpf_map_lookup_elem(copy->from, from_key, copy->old))
		return 0; /* gone meanwhile */
	if (is_zero(copy->old, copy->cpus * copy->from_size))
		return 0;
	memset(copy->new, 0, copy->cpus * copy->to_size);
	for (size_t i = 0; i < copy->cpus; i++)
		layout_carry(copy->sides->old_value, copy->old + i * copy->from_size,
			     copy->sides->value, copy->new + i * copy->to_size);
	return bpf_map_update_elem(copy->to, to_key, copy->new, BPF_ANY) ? -errno : 0;
}

/* By number, or by name where the entries have names. */
static int copy_array(const struct copy *copy, uint32_t to_entries)
{
	const struct sides *sides = copy->sides;
	int err = 0;

	for (uint32_t i = 0; !err && i < sides->old.max_entries; i++) {
		int64_t index = layout_renumber(sides->old_value, sides->value, i);
		uint32_t key = (uint32_t)index;

		if (index >= 0 && index < to_entries)
			err = copy_entry(copy, &i, &key);
	}
	return err;
}

static int copy_hash(const struct copy *copy)
{
	char keys[2][256], *key = NULL, *next = keys[0];
	int err = 0;

	if (copy->sides->old.key_size > sizeof(keys[0]) || !copy->sides->same_key)
		return 0;
	while (!err && !bpf_map_get_next_key(copy->from, key, next)) {
		err = copy_entry(copy, next, next);
		key = next;
		next = key == keys[0] ? keys[1] : keys[0];
	}
	return err;
}

/* The kernel waits for all CPUs after each update of a map of maps, some 20 ms: so many are one. */
#define INNER_BATCH 64

struct inner_batch {
	uint32_t keys[INNER_BATCH], maps[INNER_BATCH], count;
};

/* One of another kind is refused by the kernel, and made anew by us. */
static void put_inner(const struct copy *copy, struct inner_batch *batch)
{
	uint32_t done = batch->count;

	/* Kernels before 5.19 take only one at a time. */
	if (bpf_map_update_batch(copy->to, batch->keys, batch->maps, &done, NULL))
		for (uint32_t i = 0; i < batch->count; i++)
			(void)bpf_map_update_elem(copy->to, &batch->keys[i], &batch->maps[i],
						  BPF_ANY);
	for (uint32_t i = 0; i < batch->count; i++)
		close((int)batch->maps[i]);
	batch->count = 0;
}

/* Inner maps are replaced whole and never written to, so that both can have them. */
static int copy_inner(const struct copy *copy)
{
	struct inner_batch batch = {.count = 0};
	uint32_t id;

	for (uint32_t i = 0; i < copy->sides->old.max_entries; i++) {
		int map = bpf_map_lookup_elem(copy->from, &i, &id) ? -1 : bpf_map_get_fd_by_id(id);

		if (map < 0)
			continue;
		batch.keys[batch.count] = i;
		batch.maps[batch.count++] = (uint32_t)map;
		if (batch.count == INNER_BATCH)
			put_inner(copy, &batch);
	}
	if (batch.count)
		put_inner(copy, &batch);
	return 0;
}

static size_t aligned(size_t size)
{
	return (size + PER_CPU_ALIGNMENT - 1) / PER_CPU_ALIGNMENT * PER_CPU_ALIGNMENT;
}

static int copy_by_kind(struct copy *copy, const struct bpf_map *map)
{
	switch (copy->sides->old.type) {
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
		return copy_inner(copy);
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_ARRAY:
		return copy_array(copy, bpf_map__max_entries(map));
	case BPF_MAP_TYPE_HASH:
		return copy_hash(copy);
	default:
		return 0; /* what is on its way through a ring buffer is lost */
	}
}

static int copy_map(struct inheritance *inheritance, const struct inherited_map *entry)
{
	struct sides sides;
	struct copy copy = {
		.sides = &sides,
		.from = entry->old,
		.to = bpf_map__fd(entry->map),
		.cpus = 1,
	};
	int err = look(inheritance, entry, &sides);

	if (err || sides.old.type != bpf_map__type(entry->map))
		return err;
	copy.from_size = sides.old.value_size;
	copy.to_size = bpf_map__value_size(entry->map);
	if (sides.old.type == BPF_MAP_TYPE_PERCPU_ARRAY) {
		copy.cpus = (size_t)libbpf_num_possible_cpus();
		copy.from_size = aligned(copy.from_size);
		copy.to_size = aligned(copy.to_size);
	}
	copy.old = calloc(copy.cpus, copy.from_size);
	copy.new = calloc(copy.cpus, copy.to_size);
	err = copy.old && copy.new ? copy_by_kind(&copy, entry->map) : -ENOMEM;
	free(copy.old);
	free(copy.new);
	if (err)
		log_error("the predecessor's map %s cannot be copied: %s",
			  bpf_map__name(entry->map), strerror(-err));
	return err;
}

int inherit_copy(struct inheritance *inheritance)
{
	int err = 0;

	for (size_t i = 0; !err && i < inheritance->count; i++) {
		const struct inherited_map *entry = &inheritance->maps[i];

		if (entry->old >= 0 && !entry->shared &&
		    (entry->rule->how == INHERIT_COPY || entry->rule->how == INHERIT_SHARE))
			err = copy_map(inheritance, entry);
	}
	return err;
}

static bool is_ours(const struct inheritance *inheritance, const char *name)
{
	for (size_t i = 0; i < inheritance->count; i++)
		if (!strcmp(bpf_map__name(inheritance->maps[i].map), name))
			return true;
	return false;
}

/* Maps that this build no longer has. Links have a '-' in their names, which no map has. */
static void remove_others(const struct inheritance *inheritance)
{
	DIR *directory = opendir(inheritance->runtime->pins);
	struct dirent *entry;
	char path[PATH_MAX];

	while (directory && (entry = readdir(directory))) {
		if (entry->d_type != DT_REG || strchr(entry->d_name, '-') ||
		    is_ours(inheritance, entry->d_name))
			continue;
		pin_path(inheritance->runtime, entry->d_name, path);
		(void)unlink(path);
	}
	if (directory)
		closedir(directory);
}

int inherit_keep(struct inheritance *inheritance)
{
	char path[PATH_MAX];
	int err = 0;

	for (size_t i = 0; !err && i < inheritance->count; i++) {
		const struct bpf_map *map = inheritance->maps[i].map;

		if (!inheritance->maps[i].shared)
			err = pin_replace(inheritance->runtime, bpf_map__fd(map),
					  bpf_map__name(map));
	}
	runtime_path(inheritance->runtime->name, TYPES_FILE, path, sizeof(path));
	if (!err)
		err = types_write(path, inheritance->object);
	if (!err)
		remove_others(inheritance);
	return err;
}

void inherit_close(struct inheritance *inheritance)
{
	for (size_t i = 0; i < inheritance->count; i++)
		if (inheritance->maps[i].old >= 0)
			close(inheritance->maps[i].old);
	types_free(inheritance->old_types);
	memset(inheritance, 0, sizeof(*inheritance));
}
