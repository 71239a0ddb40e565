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
			"that instance is a server; this is told by a balancer's. Why responses bore no report, "
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

static const char *protocol_text(const struct known_service *service)
{
	return service->key.protocol == IPPROTO_UDP ? "udp" : "tcp";
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

#define PLACE_TEXT_MAX (ENDPOINT_TEXT_MAX + sizeof("/tcp"))

static const char *place_text(const char *address, const char *protocol, char *text)
{
	snprintf(text, PLACE_TEXT_MAX, "%s/%s", address, protocol);
	return text;
}

/* {"10.1.0.100:80/tcp": "web"}: names are looked up thousands of times. */
static json_t *names_by_place(const json_t *services)
{
	json_t *names = json_object(), *service;
	char text[PLACE_TEXT_MAX];
	size_t i;

	json_array_foreach (services, i, service) {
		const char *address = json_string_value(json_object_get(service, "address"));
		const char *protocol = json_string_value(json_object_get(service, "protocol"));

		if (address && protocol)
			json_object_set(names, place_text(address, protocol, text),
					json_object_get(service, "name"));
	}
	return names;
}

/* What the services are called, only the daemon knows; it may have been killed. */
static void name_services(struct kernel *kernel, const char *instance)
{
	char text[ENDPOINT_TEXT_MAX], place[PLACE_TEXT_MAX];
	json_t *identity = NULL, *names;
	const char *name;

	(void)client_get(instance, IDENTITY_PATH, &identity);
	names = names_by_place(json_object_get(identity, "services"));
	for (size_t i = 0; i < kernel->service_count; i++) {
		struct known_service *service = &kernel->services[i];

		place_text(key_text(&service->key, text), protocol_text(service), place);
		name = json_string_value(json_object_get(names, place));
		if (name)
			snprintf(service->name, SERVICE_NAME_MAX, "%s", name);
	}
	json_decref(names);
	json_decref(identity);
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

/* Where the port begins in "NAME:8080", if it is one that every-port services can be asked about; or NULL. */
static const char *port_of(const char *wanted, uint16_t *port)
{
	const char *colon = strrchr(wanted, ':');
	unsigned long number;
	char *end;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return NULL;
	number = strtoul(colon + 1, &end, 10);
	if (*end || !number || number > UINT16_MAX)
		return NULL;
	*port = htons((uint16_t)number);
	return colon;
}

/* How well the words fit: 0 = not. A name is one service's; an address may be of TCP and of UDP. */
enum fit { FIT_NONE, FIT_EVERY_PORT, FIT_ADDRESS, FIT_NAME };

static enum fit fit_of(const struct known_service *known, const char *wanted, const char *colon)
{
	size_t length = colon ? (size_t)(colon - wanted) : 0;
	char text[ENDPOINT_TEXT_MAX];

	if (!strcmp(known->name, wanted))
		return FIT_NAME;
	if (!strcmp(key_text(&known->key, text), wanted))
		return FIT_ADDRESS;
	if (known->key.port || !colon)
		return FIT_NONE;
	if (!strncmp(known->name, wanted, length) && !known->name[length])
		return FIT_EVERY_PORT;
	/* What is left of "ADDRESS:*" is to be the address. */
	return !strncmp(text, wanted, length) && !strcmp(text + length, ":*") ? FIT_EVERY_PORT :
										FIT_NONE;
}

static void list_names(const struct kernel *kernel, char *names, size_t size)
{
	size_t length = 0;

	names[0] = '\0';
	for (size_t i = 0; i < kernel->service_count && length < size; i++)
		length += (size_t)snprintf(names + length, size - length, "%s%s", i ? ", " : "",
					   kernel->services[i].name);
}

int kernel_find_service(const struct kernel *kernel, const char *wanted, bool json,
			struct known_service *service)
{
	const struct known_service *best = NULL, *other = NULL;
	enum fit fit, best_fit = FIT_NONE;
	uint16_t port = 0;
	const char *colon = port_of(wanted, &port);
	char names[512];

	for (size_t i = 0; i < kernel->service_count; i++) {
		fit = fit_of(&kernel->services[i], wanted, colon);
		if (fit == FIT_NONE || fit < best_fit)
			continue;
		other = fit == best_fit ? best : NULL;
		best = &kernel->services[i];
		best_fit = fit;
	}
	if (other) {
		answer_fail(json,
			    "\"%s\" is served in TCP and in UDP; say which by its name: %s or %s",
			    wanted, other->name, best->name);
		return -ENOENT;
	}
	if (!best) {
		list_names(kernel, names, sizeof(names));
		answer_fail(json, "there is no service \"%s\" on this balancer; there are: %s",
			    wanted, names);
		return -ENOENT;
	}
	*service = *best;
	if (best_fit == FIT_EVERY_PORT)
		service->key.port = port;
	return 0;
}

/* How well a service fits an end of a packet; more is better, 0 is not at all. */
static int fits_end(const struct service_key *key, const struct endpoint *end, uint8_t protocol)
{
	bool same_port = key->port == htons(end->port);

	if (!address_equal(key->address, end->address) || (!same_port && key->port))
		return 0;
	return 1 + same_port + 2 * (key->protocol == protocol);
}

const struct known_service *kernel_service_at(const struct kernel *kernel,
					      const struct endpoint *end, uint8_t protocol)
{
	const struct known_service *best = NULL;
	int fit, best_fit = 0;

	for (size_t i = 0; i < kernel->service_count; i++) {
		fit = fits_end(&kernel->services[i].key, end, protocol);
		if (fit <= best_fit)
			continue;
		best = &kernel->services[i];
		best_fit = fit;
	}
	return best;
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
