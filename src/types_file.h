/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The types of an instance's maps, kept in a file beside its pins. The kernel has them as well, but
 * shows them only to those who may do anything.
 */
#ifndef PLIMSOLL_TYPES_FILE_H
#define PLIMSOLL_TYPES_FILE_H

#include <bpf/libbpf.h>

#include "layout.h"

struct types;

/* *types is NULL if there is no such file, or none that could be understood. 0 or -errno. */
int types_read(const char *path, struct types **types);

/* Replaces the file. Says what failed; 0 or -errno. */
int types_write(const char *path, const struct bpf_object *object);

/* Of the map's keys and values; equal to none if it is not known. NULL has no map. */
struct layout types_key(const struct types *types, const char *map);
struct layout types_value(const struct types *types, const char *map);

void types_free(struct types *types);

#endif
