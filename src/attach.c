/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel_needs.h"
#include "log.h"

static int print_debug(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[512];
	size_t length;

	(void)level;
	vsnprintf(text, sizeof(text), format, arguments);
	length = strlen(text);
	if (length && text[length - 1] == '\n')
		text[length - 1] = '\0';
	log_debug("%s", text);
	return 0;
}

void libbpf_quiet(void)
{
	libbpf_set_print(print_debug);
}

void pin_path(const struct runtime *runtime, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", runtime->pins, name);
}

int pin_replace(const struct runtime *runtime, int object, const char *name)
{
	char path[PATH_MAX], beside[PATH_MAX + 1];

	pin_path(runtime, name, path);
	snprintf(beside, sizeof(beside), "%s+", path);
	(void)unlink(beside);
	if (!bpf_obj_pin(object, beside) && !rename(beside, path))
		return 0;
	log_error("%s: cannot be pinned: %s", path, strerror(errno));
	return -errno;
}

void tell_load_failure(int err)
{
	char lack[256];

	if (err == -EPROTO)
		return;
	if (err == -EPERM)
		log_error(
			"the kernel does not let us load BPF programs: run as root, or with CAP_BPF, "
			"CAP_NET_ADMIN and CAP_PERFMON");
	else if (this_kernel_lacks(lack, sizeof(lack)))
		log_error("cannot load the BPF programs: %s", lack);
	else if (err == -ENOMEM || err == -E2BIG)
		log_error(
			"cannot load the BPF programs: %s; the largest map takes 8 bytes for each "
			"of flow_table.entries (balancer) or meter_entries (server), and fewer may "
			"do",
			strerror(-err));
	else
		log_error("cannot load the BPF programs: %s; --verbose shows the verifier's words",
			  strerror(-err));
}

void *map_view(const struct bpf_map *map, int protection)
{
	size_t size = (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
	void *view = mmap(NULL, size, protection, MAP_SHARED, bpf_map__fd(map), 0);

	return view == MAP_FAILED ? NULL : view;
}

static void program_pin(const struct bpf_program *program, char name[64])
{
	snprintf(name, 64, "program-%s", bpf_program__name(program));
}

struct program program_of(const struct runtime *runtime, const struct bpf_program *program)
{
	char path[PATH_MAX], name[64];

	program_pin(program, name);
	pin_path(runtime, name, path);
	return (struct program){.now = bpf_program__fd(program), .before = bpf_obj_get(path)};
}

int program_keep(const struct runtime *runtime, const struct bpf_program *program)
{
	char name[64];

	program_pin(program, name);
	return pin_replace(runtime, bpf_program__fd(program), name);
}

void program_forget(struct program *program)
{
	if (program->before >= 0)
		close(program->before);
	program->before = -1;
}

struct program program_swapped(struct program program)
{
	return (struct program){.now = program.before, .before = program.now};
}

void detach_others(const struct runtime *runtime,
		   bool (*is_attached)(const char *interface, const void *context),
		   const void *context)
{
	DIR *directory = opendir(runtime->pins);
	struct dirent *entry;
	char path[PATH_MAX];

	while (directory && (entry = readdir(directory))) {
		const char *interface = entry->d_name + strlen(ATTACH_XDP_PIN);

		if (strncmp(entry->d_name, ATTACH_XDP_PIN, strlen(ATTACH_XDP_PIN)) != 0 ||
		    is_attached(interface, context))
			continue;
		log_notice("%s: no longer configured, the program is taken off", interface);
		pin_path(runtime, entry->d_name, path);
		(void)unlink(path); /* the link goes with its pin */
		detach_tc(runtime, interface, (int)if_nametoindex(interface));
	}
	if (directory)
		closedir(directory);
}

int attach_tracing(const struct runtime *runtime, struct bpf_program *program, const char *name)
{
	struct bpf_link *link;
	char path[PATH_MAX];
	int err;

	pin_path(runtime, name, path);
	link = bpf_program__attach(program);
	err = (int)libbpf_get_error(link);
	if (err) {
		log_error("cannot attach the program %s: %s", name, strerror(-err));
		return err;
	}
	unlink(path); /* a predecessor's link goes with its pin */
	err = bpf_link__pin(link, path);
	if (err)
		log_error("%s: cannot pin the program: %s", path, strerror(-err));
	bpf_link__destroy(link);
	return err;
}

int percpu_sum(int map, uint32_t key, uint64_t *sum, size_t words)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values;
	int err = 0;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus * words, sizeof(*values));
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map, &key, values)) {
		err = -errno;
		goto out;
	}
	memset(sum, 0, words * sizeof(*sum));
	for (size_t i = 0; i < (size_t)cpus * words; i++)
		sum[i % words] += values[i];
out:
	free(values);
	return err;
}

void tell_put_back(const char *interface)
{
	const struct log_field fields[] = {{"interface", interface, 0}, {0}};

	log_event(
		LOG_WARNING, "programs-put-back", fields,
		"%s: somebody had taken a program of ours off; it is there again. Stop this daemon if "
		"that is not wanted",
		interface);
}
