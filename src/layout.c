/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "layout.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The type behind its typedefs and qualifiers. */
static const struct btf_type *type_of(struct layout layout)
{
	int id = layout.btf ? btf__resolve_type(layout.btf, layout.type) : -ENOENT;

	return id < 0 ? NULL : btf__type_by_id(layout.btf, (uint32_t)id);
}

static const char *name_of(struct layout layout, uint32_t offset)
{
	const char *name = btf__name_by_offset(layout.btf, offset);

	return name ?: "";
}

static struct layout inner(struct layout layout, uint32_t type)
{
	return (struct layout){layout.btf, type};
}

static size_t size_of(struct layout layout)
{
	int64_t size = btf__resolve_size(layout.btf, layout.type);

	return size < 0 ? 0 : (size_t)size;
}

static bool enums_equal(struct layout a, const struct btf_type *a_type, struct layout b,
			const struct btf_type *b_type)
{
	const struct btf_enum *a_value = btf_enum(a_type), *b_value = btf_enum(b_type);

	if (a_type->size != b_type->size || btf_vlen(a_type) != btf_vlen(b_type))
		return false;
	for (int i = 0; i < btf_vlen(a_type); i++)
		if (a_value[i].val != b_value[i].val ||
		    strcmp(name_of(a, a_value[i].name_off), name_of(b, b_value[i].name_off)) != 0)
			return false;
	return true;
}

static bool structs_equal(struct layout a, const struct btf_type *a_type, struct layout b,
			  const struct btf_type *b_type)
{
	const struct btf_member *a_member = btf_members(a_type), *b_member = btf_members(b_type);

	if (a_type->size != b_type->size || btf_vlen(a_type) != btf_vlen(b_type))
		return false;
	for (int i = 0; i < btf_vlen(a_type); i++)
		if (a_member[i].offset != b_member[i].offset ||
		    strcmp(name_of(a, a_member[i].name_off), name_of(b, b_member[i].name_off)) !=
			    0 ||
		    !layout_equal(inner(a, a_member[i].type), inner(b, b_member[i].type)))
			return false;
	return true;
}

bool layout_equal(struct layout a, struct layout b)
{
	const struct btf_type *a_type = type_of(a), *b_type = type_of(b);

	if (!a_type || !b_type || btf_kind(a_type) != btf_kind(b_type))
		return false;
	switch (btf_kind(a_type)) {
	case BTF_KIND_UNKN: /* void */
		return true;
	case BTF_KIND_INT:
		return a_type->size == b_type->size &&
		       btf_int_encoding(a_type) == btf_int_encoding(b_type) &&
		       btf_int_bits(a_type) == btf_int_bits(b_type);
	case BTF_KIND_ENUM:
		return enums_equal(a, a_type, b, b_type);
	case BTF_KIND_ARRAY:
		return btf_array(a_type)->nelems == btf_array(b_type)->nelems &&
		       layout_equal(inner(a, btf_array(a_type)->type),
				    inner(b, btf_array(b_type)->type));
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return structs_equal(a, a_type, b, b_type);
	default:
		return false;
	}
}

static const struct btf_member *find_member(struct layout layout, const struct btf_type *type,
					    const char *name)
{
	const struct btf_member *member = btf_members(type);

	for (int i = 0; i < btf_vlen(type); i++)
		if (!strcmp(name_of(layout, member[i].name_off), name))
			return &member[i];
	return NULL;
}

bool layout_shares_member(struct layout a, struct layout b, const char *name)
{
	const struct btf_type *a_type = type_of(a), *b_type = type_of(b);
	const struct btf_member *a_member, *b_member;

	if (!a_type || !b_type || !btf_is_struct(a_type) || !btf_is_struct(b_type))
		return false;
	a_member = find_member(a, a_type, name);
	b_member = find_member(b, b_type, name);
	return a_member && b_member &&
	       layout_equal(inner(a, a_member->type), inner(b, b_member->type));
}

static void carry_struct(struct layout from, const struct btf_type *from_type, const char *old,
			 struct layout to, const struct btf_type *to_type, char *new)
{
	const struct btf_member *to_member = btf_members(to_type), *from_member;

	for (int i = 0; i < btf_vlen(to_type); i++) {
		const char *name = name_of(to, to_member[i].name_off);

		from_member = *name ? find_member(from, from_type, name) : NULL;
		/* Bit fields have more than an offset in there; there are none. */
		if (!from_member || !strcmp(name, "pad") || from_member->offset % 8 ||
		    to_member[i].offset % 8)
			continue;
		layout_carry(inner(from, from_member->type), old + from_member->offset / 8,
			     inner(to, to_member[i].type), new + to_member[i].offset / 8);
	}
}

/* An array may have become longer, or shorter. */
static void carry_array(struct layout from, const struct btf_array *from_array, const char *old,
			struct layout to, const struct btf_array *to_array, char *new)
{
	size_t from_size = size_of(inner(from, from_array->type));
	size_t to_size = size_of(inner(to, to_array->type));

	for (size_t i = 0; i < from_array->nelems && i < to_array->nelems; i++)
		layout_carry(inner(from, from_array->type), old + i * from_size,
			     inner(to, to_array->type), new + i *to_size);
}

void layout_carry(struct layout from, const void *old, struct layout to, void *new)
{
	const struct btf_type *from_type = type_of(from), *to_type = type_of(to);

	if (layout_equal(from, to)) {
		memcpy(new, old, size_of(to));
		return;
	}
	if (!from_type || !to_type || btf_kind(from_type) != btf_kind(to_type))
		return;
	if (btf_is_struct(to_type))
		carry_struct(from, from_type, old, to, to_type, new);
	else if (btf_is_array(to_type))
		carry_array(from, btf_array(from_type), old, to, btf_array(to_type), new);
}

/* The enumeration that numbers the entries of a map of such structures, or NULL. */
static const struct btf_type *entry_names(struct layout layout)
{
	const struct btf_type *type = type_of(layout);
	const struct btf_member *member = NULL;

	if (type && btf_is_struct(type))
		member = find_member(layout, type, "names");
	type = member ? type_of(inner(layout, member->type)) : NULL;
	if (!type || !btf_is_array(type))
		return NULL;
	type = type_of(inner(layout, btf_array(type)->type));
	return type && btf_is_enum(type) ? type : NULL;
}

static const char *number_to_name(struct layout layout, const struct btf_type *names,
				  uint32_t number)
{
	for (int i = 0; i < btf_vlen(names); i++)
		if ((uint32_t)btf_enum(names)[i].val == number)
			return name_of(layout, btf_enum(names)[i].name_off);
	return NULL;
}

int64_t layout_renumber(struct layout from, struct layout to, uint32_t number)
{
	const struct btf_type *old = entry_names(from), *new = entry_names(to);
	const char *name;

	if (!old || !new)
		return number;
	name = number_to_name(from, old, number);
	for (int i = 0; name && i < btf_vlen(new); i++)
		if (!strcmp(name_of(to, btf_enum(new)[i].name_off), name))
			return btf_enum(new)[i].val;
	return -ENOENT;
}
