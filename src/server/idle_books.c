/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/idle_books.h"

#include <bpf/btf.h>
#include <stdbool.h>
#include <string.h>

static bool find_variable(const struct btf *btf, const struct btf_type *section, const char *name,
			  int64_t *offset)
{
	const struct btf_var_secinfo *variables = btf_var_secinfos(section);

	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, variables[i].type);

		if (strcmp(btf__name_by_offset(btf, variable->name_off), name) != 0)
			continue;
		*offset = variables[i].offset;
		return true;
	}
	return false;
}

int64_t idle_books_distance(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int64_t run_queue, books, distance = 0;
	const struct btf_type *section;
	int id;

	if (!btf)
		return 0;
	id = btf__find_by_name_kind(btf, ".data..percpu", BTF_KIND_DATASEC);
	if (id < 0)
		goto out;
	section = btf__type_by_id(btf, id);
	if (find_variable(btf, section, "runqueues", &run_queue) &&
	    find_variable(btf, section, "tick_cpu_sched", &books))
		distance = books - run_queue;
out:
	btf__free(btf);
	return distance;
}
