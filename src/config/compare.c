/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "compare.h"

#include <string.h>

#include "table.h"

/* One comparison: who is told, and of what is spoken at the moment. */
struct comparison {
	enum config_role role;
	difference_found *found;
	void *context;
	struct difference difference;
};

struct service_config *config_find_service(const struct config *config,
					   const struct service_config *service, size_t hint)
{
	for (size_t i = 0; i < config->service_count; i++) {
		struct service_config *other =
			&config->services[(hint + i) % config->service_count];

		if (address_equal(other->address.address, service->address.address) &&
		    other->address.port == service->address.port &&
		    other->protocol == service->protocol)
			return other;
	}
	return NULL;
}

struct backend_config *service_find_backend(const struct service_config *service,
					    struct ip_address address, size_t hint)
{
	for (size_t i = 0; i < service->backend_count; i++) {
		struct backend_config *other =
			&service->backends[(hint + i) % service->backend_count];

		if (address_equal(other->address, address))
			return other;
	}
	return NULL;
}

bool config_has_address(const struct config *config, struct ip_address address)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (address_equal(config->services[i].address.address, address))
			return true;
	return false;
}

bool config_has_balancer(const struct config *config, struct ip_address address)
{
	for (size_t i = 0; i < config->balancer_count; i++)
		if (address_equal(config->balancers[i], address))
			return true;
	return false;
}

bool config_has_interface(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i], name))
			return true;
	return false;
}

static void tell(struct comparison *comparison, enum difference_kind kind,
		 const struct service_config *service, const struct backend_config *backend)
{
	comparison->difference = (struct difference){
		.kind = kind,
		.service = service,
		.backend = backend,
	};
	comparison->found(&comparison->difference, comparison->context);
}

/* Texts longer than that differ in their length or at their beginning, or are told as the same. */
static void format_list(const struct field *field, const char *parent, char text[FIELD_TEXT_MAX])
{
	const char *items = *(char *const *)(parent + field->offset);
	size_t count = *(const size_t *)(parent + field->count_offset), used = 1;
	char item[FIELD_TEXT_MAX];

	strcpy(text, "[");
	for (size_t i = 0; i < count && used < FIELD_TEXT_MAX; i++) {
		item_format(field, items + i * field->size, item);
		used += (size_t)snprintf(text + used, FIELD_TEXT_MAX - used, "%s%s", i ? ", " : "",
					 item);
	}
	if (used < FIELD_TEXT_MAX)
		snprintf(text + used, FIELD_TEXT_MAX - used, "]");
}

static void format_value(const struct field *field, const char *parent, char text[FIELD_TEXT_MAX])
{
	if (field->list)
		format_list(field, parent, text);
	else
		field_format(field, parent, text);
}

static void compare_values(struct comparison *comparison, const struct field *field,
			   const char *prefix, const char *before, const char *now)
{
	struct difference *difference = &comparison->difference;

	format_value(field, before, difference->before);
	format_value(field, now, difference->after);
	if (!strcmp(difference->before, difference->after))
		return;
	snprintf(difference->key, sizeof(difference->key), "%s%s", prefix, field->key);
	difference->fixed = field->fixed;
	comparison->found(difference, comparison->context);
}

/* What is neither a service nor a backend. before and now: what the mapping's values are kept in. */
static void compare_fields(struct comparison *comparison, const struct mapping *mapping,
			   const char *prefix, const char *before, const char *now)
{
	const struct field *field;
	char nested[sizeof(comparison->difference.key)];

	for (field = mapping->fields; field->key; field++) {
		if (!(field->roles & FOR(comparison->role)) || (field->list && field->mapping))
			continue;
		if (!field->mapping) {
			compare_values(comparison, field, prefix, before, now);
			continue;
		}
		snprintf(nested, sizeof(nested), "%s%s.", prefix, field->key);
		compare_fields(comparison, field->mapping, nested, before + field->offset,
			       now + field->offset);
	}
}

static void compare_backends(struct comparison *comparison, const struct service_config *before,
			     const struct service_config *now)
{
	const struct field *backends = field_find(&service_mapping, "backends");
	const struct backend_config *backend, *other;

	for (size_t i = 0; i < now->backend_count; i++) {
		backend = &now->backends[i];
		other = service_find_backend(before, backend->address, i);
		if (!other) {
			tell(comparison, DIFFERENCE_ADDED, now, backend);
			continue;
		}
		comparison->difference = (struct difference){
			.kind = DIFFERENCE_CHANGED,
			.service = now,
			.backend = backend,
		};
		compare_fields(comparison, backends->mapping, "", (const char *)other,
			       (const char *)backend);
	}
	for (size_t i = 0; i < before->backend_count; i++)
		if (!service_find_backend(now, before->backends[i].address, i))
			tell(comparison, DIFFERENCE_REMOVED, before, &before->backends[i]);
}

static void compare_service(struct comparison *comparison, const struct service_config *before,
			    const struct service_config *now)
{
	comparison->difference = (struct difference){
		.kind = DIFFERENCE_CHANGED,
		.service = now,
	};
	compare_fields(comparison, &service_mapping, "", (const char *)before, (const char *)now);
	compare_backends(comparison, before, now);
}

static void compare_services(struct comparison *comparison, const struct config *before,
			     const struct config *now)
{
	const struct service_config *service, *other;

	for (size_t i = 0; i < now->service_count; i++) {
		service = &now->services[i];
		other = config_find_service(before, service, i);
		if (other)
			compare_service(comparison, other, service);
		else
			tell(comparison, DIFFERENCE_ADDED, service, NULL);
	}
	for (size_t i = 0; i < before->service_count; i++)
		if (!config_find_service(now, &before->services[i], i))
			tell(comparison, DIFFERENCE_REMOVED, &before->services[i], NULL);
}

/* The file's name is told, never what it holds. That its name has changed has been told. */
static void compare_key(struct comparison *comparison, const char *key, const char *path,
			bool differs)
{
	struct difference *difference = &comparison->difference;

	if (!differs)
		return;
	*difference = (struct difference){.kind = DIFFERENCE_CHANGED};
	snprintf(difference->key, sizeof(difference->key), "%s", key);
	snprintf(difference->before, sizeof(difference->before), "another key in that file");
	snprintf(difference->after, sizeof(difference->after), "%s", path);
	comparison->found(difference, comparison->context);
}

static void compare_keys(struct comparison *comparison, const struct config *before,
			 const struct config *now)
{
	compare_key(comparison, "report_key", now->report_key_file,
		    before->keyed && now->keyed &&
			    !strcmp(before->report_key_file, now->report_key_file) &&
			    memcmp(before->report_key, now->report_key, sizeof(now->report_key)));
	compare_key(comparison, "old_report_key", now->old_report_key_file,
		    before->old_keyed && now->old_keyed &&
			    !strcmp(before->old_report_key_file, now->old_report_key_file) &&
			    memcmp(before->old_report_key, now->old_report_key,
				   sizeof(now->old_report_key)));
}

void config_compare(const struct config *before, const struct config *now, difference_found *found,
		    void *context)
{
	struct comparison comparison = {
		.role = now->role,
		.found = found,
		.context = context,
		.difference = {.kind = DIFFERENCE_CHANGED},
	};

	compare_fields(&comparison, &config_mapping, "", (const char *)before, (const char *)now);
	compare_keys(&comparison, before, now);
	compare_services(&comparison, before, now);
}

const char *difference_text(const struct difference *difference, char text[DIFFERENCE_TEXT_MAX])
{
	static const char *const verbs[] = {
		[DIFFERENCE_ADDED] = "is added",
		[DIFFERENCE_REMOVED] = "is removed",
	};
	char whose[CONFIG_NAME_MAX + INET6_ADDRSTRLEN + 32] = "", address[INET6_ADDRSTRLEN];

	if (difference->backend)
		snprintf(whose, sizeof(whose), "backend %s of %s",
			 address_format(difference->backend->address, address),
			 difference->service->name);
	else if (difference->service)
		snprintf(whose, sizeof(whose), "service %s", difference->service->name);
	if (difference->kind == DIFFERENCE_CHANGED)
		snprintf(text, DIFFERENCE_TEXT_MAX, "%s%s%s is %s, was %s", whose,
			 *whose ? ": " : "", difference->key,
			 *difference->after ? difference->after : "not given",
			 *difference->before ? difference->before : "not given");
	else
		snprintf(text, DIFFERENCE_TEXT_MAX, "%s %s", whose, verbs[difference->kind]);
	return text;
}
