/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file: a head, an entry for each map, and then the BTF that the entries' numbers are of. */
#include "types_file.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define MAGIC 0x53594d50 /* "PMYS" */
#define MAPS_MAX 256
#define FILE_MAX (16 << 20)

struct head {
	uint32_t magic;
	uint32_t maps;
};

struct entry {
	char map[16];
	uint32_t key, value;
};

struct types {
	struct btf *btf;
	uint32_t count;
	struct entry entries[MAPS_MAX];
};

static int understand(const char *bytes, size_t size, struct types *types)
{
	const struct head *head = (const void *)bytes;
	size_t entries;

	if (size < sizeof(*head) || head->magic != MAGIC || head->maps > MAPS_MAX)
		return -EINVAL;
	entries = head->maps * sizeof(struct entry);
	if (size - sizeof(*head) < entries)
		return -EINVAL;
	types->count = head->maps;
	memcpy(types->entries, head + 1, entries);
	types->btf = btf__new(bytes + sizeof(*head) + entries,
			      (uint32_t)(size - sizeof(*head) - entries));
	return types->btf ? 0 : -errno;
}

int types_read(const char *path, struct types **types)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	char *bytes = NULL;

	*types = NULL;
	if (file < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!fstat(file, &status) && status.st_size > 0 && status.st_size < FILE_MAX)
		bytes = malloc((size_t)status.st_size);
	if (bytes && read(file, bytes, (size_t)status.st_size) == status.st_size)
		*types = calloc(1, sizeof(**types));
	if (*types && understand(bytes, (size_t)status.st_size, *types)) {
		free(*types);
		*types = NULL;
	}
	free(bytes);
	close(file);
	return 0;
}

static int write_all(FILE *file, const struct bpf_object *object)
{
	struct head head = {.magic = MAGIC};
	const struct bpf_map *map;
	const void *raw;
	uint32_t size;

	bpf_object__for_each_map(map, object) head.maps++;
	fwrite(&head, sizeof(head), 1, file);
	bpf_object__for_each_map(map, object)
	{
		struct entry entry = {
			.key = bpf_map__btf_key_type_id(map),
			.value = bpf_map__btf_value_type_id(map),
		};

		snprintf(entry.map, sizeof(entry.map), "%s", bpf_map__name(map));
		fwrite(&entry, sizeof(entry), 1, file);
	}
	raw = btf__raw_data(bpf_object__btf(object), &size);
	if (!raw)
		return -ENOMEM;
	fwrite(raw, size, 1, file);
	return 0;
}

int types_write(const char *path, const struct bpf_object *object)
{
	char beside[PATH_MAX];
	FILE *file;
	int err;

	snprintf(beside, sizeof(beside), "%s.new", path);
	file = fopen(beside, "we");
	if (!file)
		err = -errno;
	else
		err = write_all(file, object);
	if (!err && (fflush(file) || ferror(file)))
		err = errno ? -errno : -EIO;
	if (file && fclose(file) && !err)
		err = -errno;
	if (!err && rename(beside, path))
		err = -errno;
	if (err)
		log_error("%s: cannot be written: %s", path, strerror(-err));
	return err;
}

static const struct entry *find(const struct types *types, const char *map)
{
	for (uint32_t i = 0; types && i < types->count; i++)
		if (!strncmp(types->entries[i].map, map, sizeof(types->entries[i].map) - 1))
			return &types->entries[i];
	return NULL;
}

struct layout types_key(const struct types *types, const char *map)
{
	const struct entry *entry = find(types, map);

	return entry ? (struct layout){types->btf, entry->key} : (struct layout){0};
}

struct layout types_value(const struct types *types, const char *map)
{
	const struct entry *entry = find(types, map);

	return entry ? (struct layout){types->btf, entry->value} : (struct layout){0};
}

void types_free(struct types *types)
{
	if (types)
		btf__free(types->btf);
	free(types);
}
