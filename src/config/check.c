/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the value of a key stands, for keys that may be absent. */
static int line_of(struct config_source *source, const yaml_node_t *mapping, const char *key)
{
	const yaml_node_t *value = source_value(source, mapping, key);

	return node_line(value ? value : mapping);
}

static yaml_node_t *service_node(struct config_source *source, size_t index)
{
	return source_item(source, source_value(source, source->root, "services"), index);
}

static bool same_address(struct ip_address a, struct ip_address b)
{
	return address_equal(a, b) && address_is_set(a);
}

static bool same_endpoint(const struct service_config *a, const struct service_config *b)
{
	return same_address(a->address.address, b->address.address) &&
	       a->address.port == b->address.port && a->protocol == b->protocol;
}

/* No machine of its own may have a virtual address. */
static const struct service_config *find_virtual(const struct config *config,
						 struct ip_address address)
{
	size_t i;

	for (i = 0; i < config->service_count; i++) {
		if (same_address(config->services[i].address.address, address))
			return &config->services[i];
	}
	return NULL;
}

static void check_own(struct config_source *source, const struct config *config,
		      struct ip_address address, int line, const char *key, const char *whose)
{
	const struct service_config *service = find_virtual(config, address);
	char text[ADDRESS_TEXT_MAX];

	if (service)
		source_mistake(source, line, key,
			       "\"%s\" is the virtual address of service \"%s\"; expected %s own",
			       address_format(address, text), service->name, whose);
}

/* What packets to it need that the service and the backend may not have together. */
static void check_forward(struct config_source *source, const struct service_config *service,
			  const struct backend_config *backend, int line)
{
	bool ipv4 = address_is_ipv4(service->address.address);
	char text[ADDRESS_TEXT_MAX];

	if (!address_is_set(backend->address) || !address_is_set(service->address.address))
		return;
	address_format(backend->address, text);
	if (backend->forward == FORWARD_L2 && address_is_ipv4(backend->address) != ipv4)
		source_mistake(source, line, "address",
			       "\"%s\" is of another family than the service, which forward: l2 "
			       "does not bridge; expected an %s address, or forward: ipip",
			       text, ipv4 ? "IPv4" : "IPv6");
	if (service->feedback == FEEDBACK_POLL && !address_is_ipv4(backend->address))
		source_mistake(source, line, "address",
			       "\"%s\" is an IPv6 address, at which agents are not polled yet; "
			       "expected an IPv4 address, or feedback: in-band",
			       text);
}

static void check_backends(struct config_source *source, const struct config *config, size_t index)
{
	const struct service_config *service = &config->services[index];
	const yaml_node_t *list = source_value(source, service_node(source, index), "backends");
	const struct backend_config *backend;
	char text[ADDRESS_TEXT_MAX];
	size_t i, j;

	for (i = 0; i < service->backend_count && !source_given_up(source); i++) {
		int line = line_of(source, source_item(source, list, i), "address");

		backend = &service->backends[i];
		check_own(source, config, backend->address, line, "address", "the server's");
		check_forward(source, service, backend, line);
		for (j = 0; j < i; j++) {
			if (!same_address(backend->address, service->backends[j].address))
				continue;
			source_mistake(source, line, "address",
				       "\"%s\" is a backend of the service on line %d already; "
				       "expected it only once",
				       address_format(backend->address, text),
				       service->backends[j].line);
			break;
		}
	}
	if (service->ring_size && service->ring_size < service->backend_count)
		source_mistake(source, line_of(source, service_node(source, index), "ring_size"),
			       "ring_size",
			       "\"%u\" is less than the %zu backends; expected a prime not below",
			       service->ring_size, service->backend_count);
}

/* One port is checked, at which the service's clients are served. */
static const char *uncheckable(const struct service_config *service)
{
	if (!service->address.port && !service->health.port)
		return "a service of every port that names none; expected none, or port: NUMBER beside it";
	if (service->address.port && service->health.port &&
	    service->health.port != service->address.port)
		return "a port that is not the service's; expected none, or no port beside it";
	return NULL;
}

static void check_health(struct config_source *source, const struct config *config, size_t index)
{
	const struct health_config *health = &config->services[index].health;
	const yaml_node_t *node = source_value(source, service_node(source, index), "health");

	if (health->check != CHECK_NONE && uncheckable(&config->services[index]))
		source_mistake(source, line_of(source, node, "check"), "check",
			       "\"%s\" is not possible for %s", check_name(health->check),
			       uncheckable(&config->services[index]));
	if (node && health->timeout_ns > health->interval_ns)
		source_mistake(source, line_of(source, node, "timeout"), "timeout",
			       "\"%llums\" is longer than the interval; expected up to %llums",
			       (unsigned long long)health->timeout_ns / 1000000,
			       (unsigned long long)health->interval_ns / 1000000);
}

static void check_unique(struct config_source *source, const struct config *config, size_t index)
{
	const struct service_config *service = &config->services[index];
	const yaml_node_t *node = service_node(source, index);
	const struct service_config *other;
	char text[ENDPOINT_TEXT_MAX];

	for (other = config->services; other < service; other++) {
		if (same_endpoint(service, other)) {
			source_mistake(source, line_of(source, node, "address"), "address",
				       "\"%s\" is the address of the service on line %d already; "
				       "expected one of its own",
				       endpoint_format(&service->address, text), other->line);
			return;
		}
		if (service->name[0] && !strcmp(service->name, other->name)) {
			source_mistake(source, line_of(source, node, "name"), "name",
				       "\"%s\" is the name of the service on line %d already; "
				       "expected one of its own",
				       service->name, other->line);
			return;
		}
	}
}

static size_t count_backends(const struct config *config)
{
	size_t count = 0;
	size_t i;

	for (i = 0; i < config->service_count; i++)
		count += config->services[i].backend_count;
	return count;
}

/* Servers are counted once, however many services they answer for. Returns -ENOMEM at worst. */
static int count_servers(const struct config *config, size_t backends, size_t *servers)
{
	struct ip_address *addresses = calloc(backends + 1, sizeof(*addresses));
	size_t filled = 0;
	size_t i, j;

	if (!addresses)
		return -ENOMEM;
	for (i = 0; i < config->service_count; i++) {
		for (j = 0; j < config->services[i].backend_count; j++)
			addresses[filled++] = config->services[i].backends[j].address;
	}
	qsort(addresses, filled, sizeof(*addresses), address_compare);
	*servers = filled > 0;
	for (i = 1; i < filled; i++)
		*servers += !address_equal(addresses[i], addresses[i - 1]);
	free(addresses);
	return 0;
}

static int check_totals(struct config_source *source, const struct config *config)
{
	int line = line_of(source, source->root, "services");
	size_t backends = count_backends(config);
	size_t servers;
	int err = count_servers(config, backends, &servers);

	if (err)
		return err;
	if (backends >= BACKENDS_MAX)
		source_mistake(source, line, "services",
			       "%zu backends in all are too many; expected up to %d", backends,
			       BACKENDS_MAX - 1);
	if (servers >= SERVERS_MAX)
		source_mistake(source, line, "services",
			       "%zu servers in all are too many; expected up to %d", servers,
			       SERVERS_MAX - 1);
	return 0;
}

static void check_report(struct config_source *source, const struct report_config *report)
{
	const yaml_node_t *node = source_value(source, source->root, "report");

	if (node && report->min_interval_ns > report->max_interval_ns)
		source_mistake(source, line_of(source, node, "min_interval"), "min_interval",
			       "\"%lluus\" is longer than the max_interval; expected up to %lluus",
			       (unsigned long long)report->min_interval_ns / 1000,
			       (unsigned long long)report->max_interval_ns / 1000);
}

static void check_keys(struct config_source *source, const struct config *config)
{
	if (config->old_keyed && !config->keyed &&
	    !source_value(source, source->root, "report_key"))
		source_mistake(source, line_of(source, source->root, "old_report_key"),
			       "old_report_key",
			       "\"%s\" is given without a report_key; expected both, or neither",
			       config->old_report_key_file);
}

int check_consistency(struct config_source *source, const struct config *config)
{
	const yaml_node_t *balancers = source_value(source, source->root, "balancers");
	size_t i;

	for (i = 0; i < config->balancer_count; i++)
		check_own(source, config, config->balancers[i],
			  node_line(source_item(source, balancers, i)), "balancers",
			  "the balancer's");
	for (i = 0; i < config->service_count && !source_given_up(source); i++) {
		check_unique(source, config, i);
		check_backends(source, config, i);
		check_health(source, config, i);
	}
	check_report(source, &config->report);
	check_keys(source, config);
	return check_totals(source, config);
}
