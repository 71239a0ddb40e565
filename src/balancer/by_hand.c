/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/by_hand.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "balancer/members.h"
#include "config/compare.h"
#include "log.h"

#define FILE_NAME "by-hand"

static void file_path(const struct balancer *balancer, char path[PATH_MAX])
{
	runtime_path(balancer->daemon.runtime.name, FILE_NAME, path, PATH_MAX);
}

/* What can be changed of a backend without removing it. */
static bool is_same(const struct backend_config *a, const struct backend_config *b)
{
	return a->weight == b->weight && !a->draining == !b->draining;
}

static json_t *backend_json(const struct backend_config *backend)
{
	char text[ADDRESS_TEXT_MAX];

	return json_pack("{s:s,s:s,s:I,s:b}", "address", address_format(backend->address, text),
			 "forward", forward_name(backend->forward), "weight",
			 (json_int_t)backend->weight, "draining", (int)backend->draining);
}

/* file, now: NULL where it has no such backend. */
static void note(json_t *changes, const struct service_config *service,
		 const struct backend_config *file, const struct backend_config *now)
{
	char text[ENDPOINT_TEXT_MAX];

	json_array_append_new(changes, json_pack("{s:s,s:s,s:o*,s:o*}", "service",
						 endpoint_format(&service->address, text),
						 "protocol", protocol_name(service->protocol),
						 "file", file ? backend_json(file) : NULL, "now",
						 now ? backend_json(now) : NULL));
}

static void note_service(json_t *changes, const struct service_config *file,
			 const struct service_config *now)
{
	const struct backend_config *backend, *other;

	for (size_t i = 0; i < now->backend_count; i++) {
		backend = &now->backends[i];
		other = service_find_backend(file, backend->address, i);
		if (!backend->leaving && (!other || !is_same(other, backend)))
			note(changes, now, other, backend);
	}
	for (size_t i = 0; i < file->backend_count; i++) {
		other = service_find_backend(now, file->backends[i].address, i);
		if (!other || other->leaving)
			note(changes, now, &file->backends[i], NULL);
	}
}

static json_t *list_changes(const struct balancer *balancer)
{
	const struct config *config = balancer->daemon.config;
	json_t *changes = json_array();

	for (size_t i = 0; i < config->service_count; i++) {
		const struct service_config *now = &config->services[i];
		const struct service_config *file = config_find_service(balancer->file, now, i);

		if (file)
			note_service(changes, file, now);
	}
	return changes;
}

static int write_changes(const json_t *changes, const char *path)
{
	char beside[PATH_MAX + sizeof(".new")];

	snprintf(beside, sizeof(beside), "%s.new", path);
	if (json_dump_file(changes, beside, JSON_INDENT(2)) || rename(beside, path)) {
		int err = errno ? -errno : -EIO;

		(void)unlink(beside);
		return err;
	}
	return 0;
}

int by_hand_keep(const struct balancer *balancer)
{
	json_t *changes = list_changes(balancer);
	char path[PATH_MAX];
	int err = 0;

	file_path(balancer, path);
	errno = 0;
	if (!changes)
		err = -ENOMEM;
	else if (json_array_size(changes))
		err = write_changes(changes, path);
	else if (unlink(path) && errno != ENOENT)
		err = -errno;
	json_decref(changes);
	if (err)
		log_warning("%s: cannot be written: %s; what has been changed by hand is in force, "
			    "but the next daemon will not know of it",
			    path, strerror(-err));
	return err;
}

static struct service_config *find_service(struct config *config, const json_t *change)
{
	const char *address = json_string_value(json_object_get(change, "service"));
	const char *protocol = json_string_value(json_object_get(change, "protocol"));
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; address && protocol && i < config->service_count; i++) {
		struct service_config *service = &config->services[i];

		if (!strcmp(endpoint_format(&service->address, text), address) &&
		    !strcmp(protocol_name(service->protocol), protocol))
			return service;
	}
	return NULL;
}

/* False if there is none. */
static bool read_side(json_t *change, const char *side, struct backend_config *backend)
{
	json_t *object = json_object_get(change, side);
	char wrong[AMEND_WRONG_MAX];

	return object && !member_read(object, backend, wrong);
}

static void tell_undone(const struct service_config *service, struct ip_address address)
{
	char text[ADDRESS_TEXT_MAX];
	const struct log_field fields[] = {
		{"service", service->name, 0},
		{"backend", address_format(address, text), 0},
		{0},
	};

	log_event(
		LOG_NOTICE, "config-undone", fields,
		"made by hand, and undone by the file, which has something else to say of it now: "
		"backend %s of %s",
		text, service->name);
}

/* Only where the file still says what it said then. */
static int redo(struct config *config, json_t *change)
{
	struct service_config *service = find_service(config, change);
	struct backend_config file, now, *here;
	bool was_there = read_side(change, "file", &file),
	     is_there = read_side(change, "now", &now);

	if (!service || (!was_there && !is_there))
		return 0;
	here = service_find_backend(service, is_there ? now.address : file.address, 0);
	if (!here && !was_there)
		return service_append(service, &now);
	if (!here)
		return 0;
	if (!was_there || !is_same(here, &file) || (!is_there && service->backend_count == 1)) {
		tell_undone(service, here->address);
	} else if (is_there) {
		here->weight = now.weight;
		here->draining = now.draining;
	} else {
		service_remove(service, here);
	}
	return 0;
}

static void tell_kept(const struct difference *difference, void *context)
{
	char text[DIFFERENCE_TEXT_MAX];
	const struct log_field fields[] = {{"change", difference_text(difference, text), 0}, {0}};

	(void)context;
	log_event(LOG_NOTICE, "config-kept", fields, "made by hand, and kept: %s", text);
}

static int amend(struct balancer *balancer, const json_t *changes)
{
	struct config *config = config_copy(balancer->daemon.config);
	char wrong[AMEND_WRONG_MAX];
	json_t *change;
	int err = config ? 0 : -ENOMEM;
	size_t i;

	json_array_foreach (changes, i, change) {
		if (!err)
			err = redo(config, change);
	}
	if (!err && config_check(config, wrong)) {
		log_warning("what was changed by hand does not go with the file any more, and is "
			    "undone: %s",
			    wrong);
	} else if (!err) {
		config_compare(balancer->file, config, tell_kept, NULL);
		config_free(balancer->daemon.config);
		balancer->daemon.config = config;
		return 0;
	}
	config_free(config);
	return err;
}

int by_hand_inherit(struct balancer *balancer)
{
	json_error_t wrong;
	json_t *changes;
	char path[PATH_MAX];
	int err = 0;

	file_path(balancer, path);
	if (access(path, F_OK))
		return 0;
	changes = json_load_file(path, 0, &wrong);
	if (json_is_array(changes))
		err = amend(balancer, changes);
	else
		log_warning("%s: cannot be read: %s; what was changed by hand is undone", path,
			    changes ? "not a list" : wrong.text);
	json_decref(changes);
	return err;
}
