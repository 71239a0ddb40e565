/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/compare.h"
#include "log.h"

static int refuse(char wrong[AMEND_WRONG_MAX], int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(char wrong[AMEND_WRONG_MAX], int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(wrong, AMEND_WRONG_MAX, format, arguments);
	va_end(arguments);
	return err;
}

/* As a file would have it; false if it is of a kind that none has. */
static bool value_text(const json_t *value, char text[128])
{
	if (json_is_string(value))
		snprintf(text, 128, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text, 128, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		strcpy(text, json_is_true(value) ? "yes" : "no");
	else
		return false;
	return true;
}

int member_read(json_t *object, struct backend_config *backend, char wrong[AMEND_WRONG_MAX])
{
	char text[128];
	const char *key;
	json_t *value;
	int err = 0;

	backend_begin(backend);
	json_object_foreach (object, key, value) {
		if (err)
			break;
		err = value_text(value, text) ?
			      backend_set(backend, key, text, wrong) :
			      refuse(wrong, -EINVAL, "%.64s: expected a text or a number", key);
	}
	if (!err && !json_object_get(object, "address"))
		err = refuse(wrong, -EINVAL,
			     "expected a JSON object such as {\"address\": \"10.1.0.5\", "
			     "\"weight\": 2}");
	return err;
}

static int read_backend(const char *text, size_t length, struct backend_config *backend,
			char wrong[AMEND_WRONG_MAX])
{
	json_t *object = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int err = member_read(object, backend, wrong);

	json_decref(object);
	return err;
}

/* Who is leaving stays, as what is said now. */
static int enter(struct service_config *service, const struct backend_config *backend, size_t *j,
		 char wrong[AMEND_WRONG_MAX])
{
	struct backend_config *known = service_find_backend(service, backend->address, 0);
	char address[INET6_ADDRSTRLEN];

	if (known && !known->leaving)
		return refuse(
			wrong, -EEXIST,
			"%s is a backend of %s already; its weight can be changed, and whether "
			"it drains",
			address_format(backend->address, address), service->name);
	if (known) {
		*known = *backend;
		*j = (size_t)(known - service->backends);
		return 0;
	}
	*j = service->backend_count;
	return service_append(service, backend) ? refuse(wrong, -ENOMEM, "out of memory") : 0;
}

static void hear(enum log_level level, const char *text, void *context)
{
	if (level == LOG_ERROR)
		refuse(context, 0, "%s", text);
}

/* Takes over config in any case. */
static int apply(struct balancer *balancer, struct config *config, char wrong[AMEND_WRONG_MAX])
{
	int err;

	wrong[0] = '\0';
	log_listen(hear, wrong);
	err = balancer_apply(balancer, config, balancer->file);
	log_listen(NULL, NULL);
	if (err)
		config_free(config);
	if (err && !*wrong)
		refuse(wrong, err, "%s", strerror(-err));
	return err;
}

/* Without those who leave: they are in no file. */
static int check(const struct config *config, char wrong[AMEND_WRONG_MAX])
{
	struct config *staying = config_copy_staying(config);
	int err = staying ? config_check(staying, wrong) : refuse(wrong, -ENOMEM, "out of memory");

	config_free(staying);
	return err;
}

int member_add(struct balancer *balancer, size_t i, const char *text, size_t length, size_t *j,
	       char wrong[AMEND_WRONG_MAX])
{
	struct backend_config backend;
	struct config *config;
	char address[INET6_ADDRSTRLEN];
	int err = read_backend(text, length, &backend, wrong);

	if (err)
		return err;
	config = config_copy(balancer->daemon.config);
	if (!config)
		return refuse(wrong, -ENOMEM, "out of memory");
	err = enter(&config->services[i], &backend, j, wrong);
	if (!err)
		err = check(config, wrong);
	if (err) {
		config_free(config);
		return err;
	}
	err = apply(balancer, config, wrong);
	if (!err)
		events_add(balancer->sources.events, EVENT_BACKEND_ADDED,
			   balancer->daemon.config->services[i].name,
			   address_format(backend.address, address), "is added, by hand");
	return err;
}

/* What is to be without the member, who may stay for his connections. NULL, and what is wrong. */
static struct config *without(struct balancer *balancer, size_t i, const struct member *member,
			      uint32_t *alive, char wrong[AMEND_WRONG_MAX])
{
	struct config *config = config_copy_staying(balancer->daemon.config);
	struct service_config *service;

	if (!alive || !config)
		goto no_memory;
	if (!member->config->leaving) {
		/* Services that leave are behind the others. */
		service = &config->services[i];
		service_remove(service, service_find_backend(service, member->config->address, 0));
		if (!service->backend_count) {
			refuse(wrong, 0,
			       "it is the last one of %s; let it drain, or take the service out "
			       "of the file and reload",
			       service->name);
			goto out;
		}
	}
	if (!leave_keep(balancer, config, alive))
		return config;
no_memory:
	refuse(wrong, 0, "out of memory");
out:
	config_free(config);
	return NULL;
}

static void tell_removed(struct balancer *balancer, const struct service_config *service,
			 struct ip_address backend, uint32_t open)
{
	const struct service_config *now = config_find_service(balancer->daemon.config, service, 0);
	char address[INET6_ADDRSTRLEN];

	address_format(backend, address);
	if (now && service_find_backend(now, backend, 0))
		events_add(balancer->sources.events, EVENT_LEAVING, service->name, address,
			   "is removed, by hand: new connections go to the others; %u are left",
			   open);
	else
		events_add(balancer->sources.events, EVENT_BACKEND_REMOVED, service->name, address,
			   "is removed, by hand, and gone; it had %u connections", open);
}

int member_remove(struct balancer *balancer, size_t i, size_t j, bool now, uint32_t *open,
		  char wrong[AMEND_WRONG_MAX])
{
	const struct service_config service = balancer->daemon.config->services[i];
	const struct member *member = &balancer->dataplane.services[i].members[j];
	uint32_t *alive = leave_count(&balancer->dataplane);
	struct ip_address address = member->config->address;
	struct config *config;
	int err;

	*open = alive ? alive[member->index] : 0;
	if (alive && now)
		alive[member->index] = 0;
	config = without(balancer, i, member, alive, wrong);
	free(alive);
	if (!config)
		return -EBUSY;
	err = apply(balancer, config, wrong);
	if (!err)
		tell_removed(balancer, &service, address, *open);
	return err;
}
