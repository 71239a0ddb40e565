/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is carried over from one version's structures to another's, by their types. */
#include "layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A version of `struct load`: members in their order, and the names that number a map's entries. */
struct version {
	struct btf *btf;
	int u32, u64, pair, names;
	uint32_t offset; /* of the next member, in bytes */
};

static void begin(struct version *version)
{
	version->btf = btf__new_empty();
	assert_non_null(version->btf);
	version->u32 = btf__add_int(version->btf, "u32", 4, 0);
	version->u64 = btf__add_int(version->btf, "u64", 8, 0);
	version->pair = btf__add_array(version->btf, version->u32, version->u32, 2);
	version->offset = 0;
}

static struct layout structure(struct version *version, const char *name, uint32_t size)
{
	int id = btf__add_struct(version->btf, name, size);

	assert_true(id > 0);
	return (struct layout){version->btf, (uint32_t)id};
}

static void member(struct version *version, const char *name, int type, uint32_t size)
{
	assert_int_equal(btf__add_field(version->btf, name, type, version->offset * 8, 0), 0);
	version->offset += size;
}

static void free_versions(struct version *a, struct version *b)
{
	btf__free(a->btf);
	btf__free(b->btf);
}

static void test_equal(void **state)
{
	struct version a, b;
	struct layout one, other, renamed;

	(void)state;
	begin(&a);
	begin(&b);
	one = structure(&a, "load", 16);
	member(&a, "sent", a.u64, 8);
	member(&a, "pair", a.pair, 8);
	other = structure(&b, "burden", 16);
	member(&b, "sent", b.u64, 8);
	member(&b, "pair", b.pair, 8);
	b.offset = 0;
	renamed = structure(&b, "load", 16);
	member(&b, "seen", b.u64, 8);
	member(&b, "pair", b.pair, 8);
	assert_true(layout_equal(one, other));
	assert_false(layout_equal(one, renamed));
	assert_false(layout_equal(one, (struct layout){b.btf, (uint32_t)b.u64}));
	assert_false(layout_equal(one, (struct layout){0}));
	assert_true(layout_shares_member(one, renamed, "pair"));
	assert_false(layout_shares_member(one, renamed, "sent"));
	free_versions(&a, &b);
}

/* Moved, gone, new, and another kind of thing of the same name. */
static void test_carry(void **state)
{
	struct {
		uint64_t sent;
		uint32_t pair[2];
		uint32_t gone, changed;
		uint32_t pad;
	} __attribute__((packed)) old = {7, {8, 9}, 10, 11, 12};
	struct {
		uint32_t pad, new;
		uint32_t pair[2];
		uint64_t changed;
		uint64_t sent;
	} __attribute__((packed)) now = {0};
	struct version a, b;
	struct layout from, to;

	(void)state;
	begin(&a);
	begin(&b);
	from = structure(&a, "load", sizeof(old));
	member(&a, "sent", a.u64, 8);
	member(&a, "pair", a.pair, 8);
	member(&a, "gone", a.u32, 4);
	member(&a, "changed", a.u32, 4);
	member(&a, "pad", a.u32, 4);
	to = structure(&b, "load", sizeof(now));
	member(&b, "pad", b.u32, 4);
	member(&b, "new", b.u32, 4);
	member(&b, "pair", b.pair, 8);
	member(&b, "changed", b.u64, 8);
	member(&b, "sent", b.u64, 8);
	layout_carry(from, &old, to, &now);
	assert_int_equal(now.sent, 7);
	assert_int_equal(now.pair[0], 8);
	assert_int_equal(now.pair[1], 9);
	assert_int_equal(now.new, 0);
	assert_int_equal(now.changed, 0);
	assert_int_equal(now.pad, 0);
	free_versions(&a, &b);
}

static struct layout counts(struct version *version, const char *const *names)
{
	struct layout layout;
	int list;

	list = btf__add_enum(version->btf, "reason", 4);
	for (int i = 0; names[i]; i++)
		assert_int_equal(btf__add_enum_value(version->btf, names[i], i), 0);
	list = btf__add_array(version->btf, version->u32, list, 0);
	layout = structure(version, "count", 8);
	member(version, "packets", version->u64, 8);
	member(version, "names", list, 0);
	return layout;
}

static void test_renumber(void **state)
{
	static const char *const before[] = {"NONE", "SENT", "DROPPED", "GONE", NULL};
	static const char *const after[] = {"NONE", "NEW", "SENT", "DROPPED", NULL};
	struct version a, b, c;
	struct layout from, to, same;

	(void)state;
	begin(&a);
	begin(&b);
	begin(&c);
	from = counts(&a, before);
	to = counts(&b, after);
	same = counts(&c, before);
	assert_true(layout_equal(from, same));
	assert_false(layout_equal(from, to));
	assert_int_equal(layout_renumber(from, to, 0), 0);
	assert_int_equal(layout_renumber(from, to, 1), 2);
	assert_int_equal(layout_renumber(from, to, 2), 3);
	assert_int_equal(layout_renumber(from, to, 3), -ENOENT);
	/* Where nothing has names, numbers stay. */
	assert_int_equal(layout_renumber((struct layout){a.btf, (uint32_t)a.u64}, to, 5), 5);
	free_versions(&a, &b);
	btf__free(c.btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_carry),
		cmocka_unit_test(test_renumber),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
