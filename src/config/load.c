/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A file's way: source.c makes YAML nodes of it; reader.c walks them along the rows of table.c,
 * whose parsers (values.c, addresses.c, key_file.c) read the texts; check.c looks at the whole.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "reader.h"
#include "source.h"
#include "table.h"

/* A polled load counts for so many intervals unless stale_after says something else. */
#define STALE_POLLS 3
#define HTTP_PORT 9570

static const char *const role_names[] = {
	[CONFIG_BALANCER] = "balancer",
	[CONFIG_SERVER] = "server",
};

/* The first key in the mapping that no other role has, or NULL. */
static yaml_node_t *find_key_of(struct config_source *source, const struct mapping *mapping,
				enum config_role role, const yaml_node_t *node)
{
	const yaml_node_pair_t *pair;
	const struct field *field;
	yaml_node_t *key;

	if (!node || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		key = yaml_document_get_node(&source->document, pair->key);
		field = node_text(key) ? field_find(mapping, node_text(key)) : NULL;
		if (field && field->roles == FOR(role))
			return key;
	}
	return NULL;
}

/* The first key that gives a file away as a role's, at the top or in its first service. */
static yaml_node_t *find_evidence(struct config_source *source, enum config_role role)
{
	yaml_node_t *services = source_value(source, source->root, "services");
	yaml_node_t *key = find_key_of(source, &config_mapping, role, source->root);

	return key ? key :
		     find_key_of(source, &service_mapping, role, source_item(source, services, 0));
}

/* One sentence instead of a complaint about nearly every line. */
static int refuse_other_role(struct config_source *source, enum config_role role)
{
	enum config_role other = role == CONFIG_SERVER ? CONFIG_BALANCER : CONFIG_SERVER;
	yaml_node_t *key = find_evidence(source, other);

	if (!key || find_evidence(source, role))
		return 0;
	source_mistake(source, node_line(key), node_text(key),
		       "\"%s\" makes this a %s's configuration; expected a %s's", node_text(key),
		       role_names[other], role_names[role]);
	return -EINVAL;
}

static void name_services(struct config *config)
{
	size_t i;

	for (i = 0; i < config->service_count; i++) {
		struct service_config *service = &config->services[i];

		if (!service->name[0] && address_is_set(service->address.address))
			service_default_name(service, service->name);
	}
}

/* By default, one lost answer does not make a polled server unknown. */
static void settle_staleness(struct config_source *source, struct config *config)
{
	yaml_node_t *services = source_value(source, source->root, "services");
	size_t i;

	for (i = 0; i < config->service_count; i++) {
		struct service_config *service = &config->services[i];
		uint64_t polls_ns = STALE_POLLS * service->poll_interval_ns;

		if (service->feedback == FEEDBACK_POLL && service->stale_after_ns < polls_ns &&
		    !source_value(source, source_item(source, services, i), "stale_after"))
			service->stale_after_ns = polls_ns;
	}
}

static void settle_listen(struct config *config)
{
	if (config->role != CONFIG_BALANCER || config->listen_given)
		return;
	config->listen.address = address_of_ipv4((struct in_addr){htonl(INADDR_LOOPBACK)});
	config->listen.port = HTTP_PORT;
	config->listening = true;
}

static int read_config(struct config_source *source, struct config *config)
{
	int err = refuse_other_role(source, config->role);

	if (err)
		return err;
	err = read_mapping(source, &config_mapping, config->role, source->root, config);
	if (err)
		return err;
	name_services(config);
	settle_staleness(source, config);
	settle_listen(config);
	err = check_consistency(source, config);
	if (err)
		return err;
	return source->mistakes ? -EINVAL : 0;
}

int config_load(const char *path, enum config_role role, struct config **config, FILE *errors)
{
	return config_read(path, role, config, config_print_mistake, errors);
}

int config_read(const char *path, enum config_role role, struct config **config,
		config_mistake *tell, void *context)
{
	struct config_source source;
	int err;

	*config = NULL;
	err = source_open(&source, path, tell, context);
	if (err)
		return err;
	*config = calloc(1, sizeof(**config));
	if (!*config) {
		err = -ENOMEM;
		goto out;
	}
	(*config)->role = role;
	err = read_config(&source, *config);
out:
	if (err == -ENOMEM)
		source_mistake(&source, 0, NULL, "cannot be read: out of memory");
	if (err) {
		config_free(*config);
		*config = NULL;
	}
	source_close(&source);
	return err;
}

void config_free(struct config *config)
{
	size_t i;

	if (!config)
		return;
	for (i = 0; i < config->service_count; i++)
		free(config->services[i].backends);
	free(config->services);
	free(config->balancers);
	free(config->tunnel_sources);
	free(config->interfaces);
	explicit_bzero(config->report_key, sizeof(config->report_key));
	explicit_bzero(config->old_report_key, sizeof(config->old_report_key));
	free(config);
}

static bool copy_array(void *array, size_t count, size_t size)
{
	void **place = array;
	const void *original = *place;

	*place = calloc(count + 1, size);
	if (*place && count)
		memcpy(*place, original, count * size);
	return *place;
}

struct config *config_copy(const struct config *config)
{
	struct config *copy = malloc(sizeof(*copy));
	bool copied;

	if (!copy)
		return NULL;
	*copy = *config;
	copied = copy_array(&copy->interfaces, copy->interface_count, sizeof(*copy->interfaces));
	copied &= copy_array(&copy->balancers, copy->balancer_count, sizeof(*copy->balancers));
	copied &= copy_array(&copy->tunnel_sources, copy->tunnel_source_count,
			     sizeof(*copy->tunnel_sources));
	copied &= copy_array(&copy->services, copy->service_count, sizeof(*copy->services));
	if (!copy->services)
		copy->service_count = 0;
	for (size_t i = 0; i < copy->service_count; i++)
		copied &= copy_array(&copy->services[i].backends, copy->services[i].backend_count,
				     sizeof(*copy->services[i].backends));
	if (copied)
		return copy;
	config_free(copy);
	return NULL;
}

static void drop_leaving(struct service_config *service)
{
	size_t kept = 0;

	for (size_t i = 0; i < service->backend_count; i++)
		if (!service->backends[i].leaving)
			service->backends[kept++] = service->backends[i];
	service->backend_count = kept;
}

struct config *config_copy_staying(const struct config *config)
{
	struct config *copy = config_copy(config);
	size_t kept = 0;

	if (!copy)
		return NULL;
	for (size_t i = 0; i < copy->service_count; i++) {
		struct service_config *service = &copy->services[i];

		if (service->leaving) {
			free(service->backends);
			continue;
		}
		drop_leaving(service);
		copy->services[kept++] = *service;
	}
	copy->service_count = kept;
	return copy;
}

int config_guess_role(const char *path, enum config_role *role, config_mistake *tell, void *context)
{
	struct config_source source;
	int err = source_open(&source, path, tell, context);

	if (err)
		return err;
	if (source_value(&source, source.root, "balancers")) {
		*role = CONFIG_SERVER;
	} else if (find_evidence(&source, CONFIG_BALANCER)) {
		*role = CONFIG_BALANCER;
	} else if (find_evidence(&source, CONFIG_SERVER)) {
		*role = CONFIG_SERVER;
	} else {
		source_mistake(
			&source, 1, NULL,
			"is no configuration of ours; expected a server's, with "
			"\"balancers:\", or a balancer's, whose services have \"backends:\"");
		err = -EINVAL;
	}
	source_close(&source);
	return err;
}

static void ignore(const char *path, int line, const char *key, const char *message, void *context)
{
	(void)path;
	(void)line;
	(void)key;
	(void)message;
	(void)context;
}

int config_line(const char *path, const char *key)
{
	struct config_source source;
	const yaml_node_t *value;
	char top[64];
	int line;

	if (source_open(&source, path, ignore, NULL))
		return 0;
	snprintf(top, sizeof(top), "%.*s", (int)strcspn(key, "."), key);
	value = source_value(&source, source.root, top);
	line = value ? node_line(value) : 0;
	source_close(&source);
	return line;
}

static const char *choice_name(const struct choice *choice, unsigned int value)
{
	for (; choice->name; choice++) {
		if (!choice->planned && choice->value == value)
			return choice->name;
	}
	return "unknown";
}

const char *protocol_name(uint8_t protocol)
{
	return choice_name(protocols, protocol);
}

const char *forward_name(enum forward forward)
{
	return choice_name(forwards, forward);
}

const char *policy_name(enum policy policy)
{
	return choice_name(policies, policy);
}

const char *signal_name(enum signal signal)
{
	return choice_name(signals, signal);
}

const char *feedback_name(enum feedback feedback)
{
	return choice_name(feedbacks, feedback);
}

const char *check_name(enum check_kind check)
{
	return choice_name(checks, check);
}
