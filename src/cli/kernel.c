/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "runtime.h"

/* Maps that a reader finds as memory. */
struct view {
	const char *name;
	void **memory;
	size_t *count; /* NULL: there is one entry */
	size_t value_size;
	int protection;
};

static bool is_pinned(const struct kernel *kernel, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", kernel->pins, name) < PATH_MAX &&
	       !access(path, F_OK);
}

static int tell_map(const struct kernel *kernel, const char *name, int err, bool json)
{
	if (err == -EPERM || err == -EACCES)
		answer_fail(json, "%s/%s: %s; the maps are root's: use sudo", kernel->pins, name,
			    strerror(-err));
	else if (is_pinned(kernel, "application"))
		answer_fail(
			json,
			"that instance is a server; ask a balancer's. Why responses bore no report, "
			"\"plimsoll show\" counts");
	else if (err == -ENOENT)
		answer_fail(
			json,
			"%s/%s does not exist: the instance has no data path, or one of an older "
			"Plimsoll; start its daemon again",
			kernel->pins, name);
	else if (err == -EPROTO)
		answer_fail(
			json,
			"%s/%s has another layout: the data path is of another version of Plimsoll "
			"than this program; use that one's, or start the daemon again",
			kernel->pins, name);
	else
		answer_fail(json, "cannot open %s/%s: %s", kernel->pins, name, strerror(-err));
	return err;
}

int kernel_map(const struct kernel *kernel, const char *name, bool json)
{
	char path[PATH_MAX];
	int map;

	if (snprintf(path, sizeof(path), "%s/%s", kernel->pins, name) >= PATH_MAX)
		return tell_map(kernel, name, -ENAMETOOLONG, json);
	map = bpf_obj_get(path);
	return map < 0 ? tell_map(kernel, name, map, json) : map;
}

static int open_view(const struct kernel *kernel, const struct view *view, bool json)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);
	int map = kernel_map(kernel, view->name, json), err = 0;

	if (map < 0)
		return map;
	if (bpf_obj_get_info_by_fd(map, &info, &length))
		err = -errno;
	else if (info.value_size != view->value_size)
		err = -EPROTO;
	if (!err) {
		*view->memory = mmap(NULL, (size_t)info.max_entries * info.value_size,
				     view->protection, MAP_SHARED, map, 0);
		if (*view->memory == MAP_FAILED) {
			*view->memory = NULL;
			err = -errno;
		}
	}
	close(map);
	if (err)
		return tell_map(kernel, view->name, err, json);
	if (view->count)
		*view->count = info.max_entries;
	return 0;
}

static int open_views(struct kernel *kernel, bool json)
{
	const struct view views[] = {
		{"settings", (void **)&kernel->settings, NULL, sizeof(struct settings),
		 PROT_READ | PROT_WRITE},
		{"backends", (void **)&kernel->backends, &kernel->backend_count,
		 sizeof(struct backend), PROT_READ},
		{"healths", (void **)&kernel->healths, &kernel->health_count, sizeof(struct health),
		 PROT_READ},
		{"loads", (void **)&kernel->loads, &kernel->load_count, sizeof(struct load),
		 PROT_READ},
		{"flows", (void **)&kernel->flows, &kernel->flow_buckets, sizeof(struct bucket),
		 PROT_READ},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]) && !err; i++)
		err = open_view(kernel, &views[i], json);
	return err;
}

static const char *key_text(const struct service_key *key, char *text)
{
	const struct endpoint endpoint = {key->address, ntohs(key->port)};

	return endpoint_format(&endpoint, text);
}

static int add_service(struct kernel *kernel, const struct service_key *key,
		       const struct service *service)
{
	size_t count = kernel->service_count;
	struct known_service *grown =
		realloc(kernel->services, (count + 1) * sizeof(*kernel->services));
	char text[ENDPOINT_TEXT_MAX];

	if (!grown)
		return -ENOMEM;
	grown[count] = (struct known_service){.key = *key, .service = *service};
	snprintf(grown[count].name, SERVICE_NAME_MAX, "%s", key_text(key, text));
	kernel->services = grown;
	kernel->service_count = count + 1;
	return 0;
}

static int list_services(struct kernel *kernel, bool json)
{
	struct service_key key, *previous = NULL;
	struct service service;
	int err = 0, map;

	map = kernel_map(kernel, "services", json);
	if (map < 0)
		return map;
	while (!err && !bpf_map_get_next_key(map, previous, &key)) {
		/* Those without an id only say that the address is a VIP. */
		if (!bpf_map_lookup_elem(map, &key, &service) && service.id)
			err = add_service(kernel, &key, &service);
		previous = &key;
	}
	close(map);
	return err ? tell_map(kernel, "services", err, json) : 0;
}

/* What the services are called, only the daemon knows; it may have been killed. */
static void name_services(struct kernel *kernel, const char *instance)
{
	json_t *status = NULL, *service;
	char text[ENDPOINT_TEXT_MAX];
	size_t i, j;

	if (client_get(instance, "/api/v1/status", &status)) {
		json_decref(status);
		return;
	}
	json_array_foreach (json_object_get(status, "services"), i, service) {
		const char *address = json_string_value(json_object_get(service, "address"));
		const char *name = json_string_value(json_object_get(service, "name"));

		for (j = 0; address && name && j < kernel->service_count; j++)
			if (!strcmp(key_text(&kernel->services[j].key, text), address))
				snprintf(kernel->services[j].name, SERVICE_NAME_MAX, "%s", name);
	}
	json_decref(status);
}

int kernel_open(struct kernel *kernel, const char *instance, bool json)
{
	int err;

	memset(kernel, 0, sizeof(*kernel));
	libbpf_quiet();
	runtime_pins(instance, kernel->pins, sizeof(kernel->pins));
	err = open_views(kernel, json);
	if (!err)
		err = list_services(kernel, json);
	if (!err)
		name_services(kernel, instance);
	else
		kernel_close(kernel);
	return err;
}

void kernel_close(struct kernel *kernel)
{
	if (kernel->settings)
		munmap(kernel->settings, sizeof(*kernel->settings));
	if (kernel->backends)
		munmap((void *)kernel->backends, kernel->backend_count * sizeof(struct backend));
	if (kernel->healths)
		munmap((void *)kernel->healths, kernel->health_count * sizeof(struct health));
	if (kernel->loads)
		munmap((void *)kernel->loads, kernel->load_count * sizeof(struct load));
	if (kernel->flows)
		munmap((void *)kernel->flows, kernel->flow_buckets * sizeof(struct bucket));
	free(kernel->services);
	memset(kernel, 0, sizeof(*kernel));
}

const struct known_service *kernel_find_service(const struct kernel *kernel, const char *wanted,
						bool json)
{
	char text[ENDPOINT_TEXT_MAX], names[512] = "";
	size_t i, length = 0;

	for (i = 0; i < kernel->service_count; i++) {
		const struct known_service *known = &kernel->services[i];

		if (!strcmp(known->name, wanted) || !strcmp(key_text(&known->key, text), wanted))
			return known;
		if (length < sizeof(names))
			length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
						   i ? ", " : "", known->name);
	}
	answer_fail(json, "there is no service \"%s\" on this balancer; there are: %s", wanted,
		    names);
	return NULL;
}

const struct known_service *kernel_service(const struct kernel *kernel, uint32_t id)
{
	for (size_t i = 0; i < kernel->service_count; i++)
		if (kernel->services[i].service.id == id)
			return &kernel->services[i];
	return NULL;
}

const char *kernel_backend_text(const struct kernel *kernel, uint32_t index, char *text)
{
	if (index == BACKEND_NONE || index >= kernel->backend_count)
		return strcpy(text, "-");
	return address_format(kernel->backends[index].address, text);
}

const char *kernel_server_text(const struct kernel *kernel, uint32_t id, char *text)
{
	for (size_t i = 1; i < kernel->backend_count; i++)
		if (kernel->backends[i].service &&
		    address_report_id(kernel->backends[i].address) == id)
			return address_format(kernel->backends[i].address, text);
	return address_format(address_of_ipv4((struct in_addr){id}), text);
}

bool kernel_has_backend(const struct kernel *kernel, struct ip_address address)
{
	for (size_t i = 1; i < kernel->backend_count; i++)
		if (kernel->backends[i].service &&
		    address_equal(kernel->backends[i].address, address))
			return true;
	return false;
}
