/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attach.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

static const char *direction_name(enum bpf_tc_attach_point direction)
{
	return direction == BPF_TC_INGRESS ? "ingress" : "egress";
}

/* "is ours" as a file that survives us. what: "clsact", "ingress" or "egress". */
static void marker_path(const struct runtime *runtime, const char *interface, const char *what,
			char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/tc-%s-%s", runtime->directory, interface, what);
}

static int marker_set(const struct runtime *runtime, const char *interface, const char *what)
{
	char path[PATH_MAX];
	int fd;

	marker_path(runtime, interface, what, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static bool marker_exists(const struct runtime *runtime, const char *interface, const char *what)
{
	char path[PATH_MAX];

	marker_path(runtime, interface, what, path);
	return access(path, F_OK) == 0;
}

static int qdisc_create(const struct runtime *runtime, const char *interface,
			struct bpf_tc_hook *hook)
{
	int err = bpf_tc_hook_create(hook);

	if (err == -EEXIST)
		return 0;
	if (!err)
		err = marker_set(runtime, interface, "clsact");
	if (err)
		log_error("%s: cannot add a clsact qdisc: %s", interface, strerror(-err));
	return err;
}

/* A filter in our place that we did not put there is another instance's. */
static int refuse_occupied(const struct runtime *runtime, const char *interface,
			   const struct bpf_tc_hook *hook)
{
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY);
	const char *direction = direction_name(hook->attach_point);

	if (marker_exists(runtime, interface, direction) || bpf_tc_query(hook, &options))
		return 0;
	log_error(
		"%s: another instance's program (id %u) is attached to tc %s; stop that instance, or "
		"remove a dead one's with `tc filter del dev %s %s pref %d`",
		interface, options.prog_id, direction, interface, direction, ATTACH_TC_PRIORITY);
	return -EBUSY;
}

int attach_tc(const struct runtime *runtime, struct program program, const char *interface,
	      int ifindex, enum bpf_tc_attach_point direction)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY, .prog_fd = program.now,
		    .flags = BPF_TC_F_REPLACE);
	int err;

	err = qdisc_create(runtime, interface, &hook);
	if (err)
		return err;
	hook.attach_point = direction;
	err = refuse_occupied(runtime, interface, &hook);
	if (err)
		return err;
	err = bpf_tc_attach(&hook, &options);
	if (!err)
		err = marker_set(runtime, interface, direction_name(direction));
	if (err)
		log_error("%s: cannot attach to tc %s: %s", interface, direction_name(direction),
			  strerror(-err));
	return err;
}

static void filter_detach(const struct runtime *runtime, const char *interface, int ifindex,
			  enum bpf_tc_attach_point direction)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = direction);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = ATTACH_TC_HANDLE,
		    .priority = ATTACH_TC_PRIORITY);
	char path[PATH_MAX];
	int err;

	if (!marker_exists(runtime, interface, direction_name(direction)))
		return;
	err = bpf_tc_detach(&hook, &options);
	if (err && err != -ENOENT && err != -ENODEV && err != -EINVAL)
		log_warning("%s: cannot take the program off tc %s: %s", interface,
			    direction_name(direction), strerror(-err));
	marker_path(runtime, interface, direction_name(direction), path);
	unlink(path);
}

void detach_tc(const struct runtime *runtime, const char *interface, int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char path[PATH_MAX];

	filter_detach(runtime, interface, ifindex, BPF_TC_INGRESS);
	filter_detach(runtime, interface, ifindex, BPF_TC_EGRESS);
	if (!marker_exists(runtime, interface, "clsact"))
		return;
	bpf_tc_hook_destroy(&hook);
	marker_path(runtime, interface, "clsact", path);
	unlink(path);
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
