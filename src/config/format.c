/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "values.h"

/* False: the value is not there. */
typedef bool format_function(const struct field *field, const void *value,
			     char text[FIELD_TEXT_MAX]);

static uint64_t fetch(const struct field *field, const void *value)
{
	switch (field->size) {
	case sizeof(uint8_t):
		return *(const uint8_t *)value;
	case sizeof(uint32_t):
		return *(const uint32_t *)value;
	case sizeof(uint64_t):
		return *(const uint64_t *)value;
	default:
		return 0;
	}
}

static bool format_number(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	snprintf(text, FIELD_TEXT_MAX, "%" PRIu64, fetch(field, value));
	return true;
}

static bool format_seed(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	uint64_t seed = fetch(field, value);

	snprintf(text, FIELD_TEXT_MAX, seed ? "0x%" PRIx64 : "%" PRIu64, seed);
	return true;
}

static bool format_duration(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	uint64_t us = fetch(field, value) / 1000;

	if (us % 1000)
		snprintf(text, FIELD_TEXT_MAX, "%" PRIu64 "us", us);
	else if (us % 1000000)
		snprintf(text, FIELD_TEXT_MAX, "%" PRIu64 "ms", us / 1000);
	else
		snprintf(text, FIELD_TEXT_MAX, "%" PRIu64 "s", us / 1000000);
	return true;
}

static bool format_share(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	(void)field;
	snprintf(text, FIELD_TEXT_MAX, "%.10g%%", *(const double *)value * 100);
	return true;
}

static bool format_choice(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	const struct choice *choice;

	for (choice = field->choices; choice->name && field->size; choice++) {
		if (choice->planned || choice->value != fetch(field, value))
			continue;
		snprintf(text, FIELD_TEXT_MAX, "%s", choice->name);
		return true;
	}
	return false;
}

static bool format_text(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	snprintf(text, FIELD_TEXT_MAX, "%.*s", (int)field->size, (const char *)value);
	return *text;
}

void service_default_name(const struct service_config *service, char name[CONFIG_NAME_MAX])
{
	endpoint_format(&service->address, name);
	/* One address may have a service in each protocol. */
	if (service->protocol == IPPROTO_UDP)
		strcat(name, "/udp");
}

/* What is called by its address was given no name, and none such could be given. */
static bool format_name(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	const struct service_config *service =
		(const void *)((const char *)value - offsetof(struct service_config, name));
	char fallback[CONFIG_NAME_MAX];

	service_default_name(service, fallback);
	return format_text(field, value, text) && strcmp(text, fallback) != 0;
}

static bool format_unicast(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	(void)field;
	address_format(*(const struct ip_address *)value, text);
	return true;
}

static bool format_prefix(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	(void)field;
	prefix_format(value, text);
	return true;
}

static bool format_endpoint(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	(void)field;
	endpoint_format(value, text);
	return true;
}

static bool format_listen(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	const struct config *config = value;

	if (!config->listening)
		strcpy(text, "none");
	else
		format_endpoint(field, &config->listen, text);
	return config->listen_given;
}

static bool format_agent_listen(const struct field *field, const void *value,
				char text[FIELD_TEXT_MAX])
{
	const struct config *config = value;

	return config->agent_listening && format_endpoint(field, &config->agent_listen, text);
}

static bool format_key_file(const struct field *field, const void *value, char text[FIELD_TEXT_MAX])
{
	const struct config *config = value;

	(void)field;
	snprintf(text, FIELD_TEXT_MAX, "%s", config->report_key_file);
	return config->keyed;
}

static bool format_old_key_file(const struct field *field, const void *value,
				char text[FIELD_TEXT_MAX])
{
	const struct config *config = value;

	(void)field;
	snprintf(text, FIELD_TEXT_MAX, "%s", config->old_report_key_file);
	return config->old_keyed;
}

static const struct {
	parse_function *parse;
	format_function *format;
} ways[] = {
	{parse_check_path, format_text},
	{parse_choice, format_choice},
	{parse_duration, format_duration},
	{parse_interface, format_text},
	{parse_name, format_name},
	{parse_number, format_number},
	{parse_prime, format_number},
	{parse_seed, format_seed},
	{parse_service_address, format_endpoint},
	{parse_share, format_share},
	{parse_unicast, format_unicast},
	{parse_prefix, format_prefix},
	{parse_key_file, format_key_file},
	{parse_old_key_file, format_old_key_file},
	{parse_listen, format_listen},
	{parse_agent_listen, format_agent_listen},
};

static format_function *find_way(const struct field *field)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (ways[i].parse == field->parse)
			return ways[i].format;
	return NULL;
}

bool field_has_format(const struct field *field)
{
	return find_way(field);
}

bool field_format(const struct field *field, const void *parent, char text[FIELD_TEXT_MAX])
{
	format_function *format = find_way(field);

	text[0] = '\0';
	return format && format(field, (const char *)parent + field->offset, text);
}

void item_format(const struct field *field, const void *item, char text[FIELD_TEXT_MAX])
{
	format_function *format = find_way(field);

	text[0] = '\0';
	if (format)
		format(field, item, text);
}
