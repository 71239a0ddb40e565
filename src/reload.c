/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "reload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/compare.h"
#include "log.h"

#define IDENTITY_MAX 256
#define LINE_TEXT_MAX 2048

/* While two configurations are compared. */
struct comparison {
	struct reload *reload;
	json_t *by_hand; /* identities of what was changed since the file was read; a set */
};

static void add_mistake(const char *path, int line, const char *key, const char *message,
			void *context)
{
	struct reload *reload = context;

	json_array_append_new(reload->mistakes,
			      json_pack("{s:s,s:o,s:s?,s:s}", "file", path, "line",
					line ? json_integer(line) : json_null(), "key", key,
					"message", message));
}

void reload_refuse(struct reload *reload, const char *key, const char *message)
{
	add_mistake(reload->path, key ? config_line(reload->path, key) : 0, key, message, reload);
}

static void refuse_fixed(struct reload *reload, const struct difference *difference)
{
	char message[2 * FIELD_TEXT_MAX + 256];

	snprintf(message, sizeof(message),
		 "\"%s\" cannot be changed while the daemon runs, because %s; expected %s, or that "
		 "the daemon is started again",
		 difference->after, difference->fixed, difference->before);
	reload_refuse(reload, difference->key, message);
}

/* Of what is spoken, whether it is added, removed or changed. */
static const char *identify(const struct difference *difference, char text[IDENTITY_MAX])
{
	const struct service_config *service = difference->service;
	char endpoint[ENDPOINT_TEXT_MAX] = "", backend[INET6_ADDRSTRLEN] = "";

	if (service)
		endpoint_format(&service->address, endpoint);
	if (difference->backend)
		address_format(difference->backend->address, backend);
	snprintf(text, IDENTITY_MAX, "%s/%d %s %s", endpoint, service ? service->protocol : 0,
		 backend, difference->key);
	return text;
}

static void note_by_hand(const struct difference *difference, void *context)
{
	struct comparison *comparison = context;
	char identity[IDENTITY_MAX];

	json_object_set_new(comparison->by_hand, identify(difference, identity), json_true());
}

static void note_change(const struct difference *difference, void *context)
{
	struct comparison *comparison = context;
	struct reload *reload = comparison->reload;
	char text[DIFFERENCE_TEXT_MAX], identity[IDENTITY_MAX];

	if (difference->fixed)
		refuse_fixed(reload, difference);
	difference_text(difference, text);
	json_array_append_new(reload->changes, json_string(text));
	if (json_object_get(comparison->by_hand, identify(difference, identity)))
		json_array_append_new(reload->undone, json_string(text));
}

static int compare(struct reload *reload, const struct config *in_force, const struct config *file)
{
	struct config *staying = config_copy_staying(in_force);
	struct comparison comparison = {.reload = reload, .by_hand = json_object()};

	if (staying && comparison.by_hand) {
		config_compare(file, staying, note_by_hand, &comparison);
		config_compare(staying, reload->config, note_change, &comparison);
	} else {
		reload_refuse(reload, NULL, "out of memory");
	}
	json_decref(comparison.by_hand);
	config_free(staying);
	return json_array_size(reload->mistakes) ? -EINVAL : 0;
}

int reload_read(struct reload *reload, const char *path, const struct config *in_force,
		const struct config *file)
{
	int err;

	*reload = (struct reload){
		.path = path,
		.changes = json_array(),
		.undone = json_array(),
		.mistakes = json_array(),
	};
	err = config_read(path, in_force->role, &reload->config, add_mistake, reload);
	if (!err)
		err = compare(reload, in_force, file);
	if (err) {
		config_free(reload->config);
		reload->config = NULL;
	}
	return err;
}

void reload_close(struct reload *reload)
{
	config_free(reload->config);
	json_decref(reload->changes);
	json_decref(reload->undone);
	json_decref(reload->mistakes);
}

static void hear(enum log_level level, const char *text, void *context)
{
	if (level == LOG_ERROR)
		reload_refuse(context, NULL, text);
}

void reload_listen(struct reload *reload)
{
	log_listen(reload ? hear : NULL, reload);
}

/* "FILE:LINE: KEY: MESSAGE", as check-config has it. */
static const char *mistake_text(const json_t *mistake, char text[LINE_TEXT_MAX])
{
	const char *key = json_string_value(json_object_get(mistake, "key"));
	json_int_t line = json_integer_value(json_object_get(mistake, "line"));
	size_t used;

	used = (size_t)snprintf(text, LINE_TEXT_MAX,
				"%s:", json_string_value(json_object_get(mistake, "file")));
	if (line && used < LINE_TEXT_MAX)
		used += (size_t)snprintf(text + used, LINE_TEXT_MAX - used, "%lld:", line);
	if (used < LINE_TEXT_MAX)
		snprintf(text + used, LINE_TEXT_MAX - used, " %s%s%s", key ? key : "",
			 key ? ": " : "", json_string_value(json_object_get(mistake, "message")));
	return text;
}

static void answer_refusal(const struct reload *reload, struct http_request *request)
{
	size_t count = json_array_size(reload->mistakes);
	char text[LINE_TEXT_MAX], more[64] = "";

	if (count > 1)
		snprintf(more, sizeof(more), "; and %zu more mistake%s", count - 1,
			 count > 2 ? "s" : "");
	http_send_json(
		request, HTTP_CONFLICT,
		json_pack("{s:o,s:O}", "error",
			  json_sprintf("%s%s; nothing has changed",
				       mistake_text(json_array_get(reload->mistakes, 0), text),
				       more),
			  "mistakes", reload->mistakes));
}

void reload_answer(const struct reload *reload, struct http_request *request, bool checked)
{
	if (json_array_size(reload->mistakes))
		answer_refusal(reload, request);
	else
		http_send_json(request, HTTP_OK,
			       json_pack("{s:s,s:b,s:O,s:O}", "file", reload->path, "checked",
					 checked, "changes", reload->changes, "undone",
					 reload->undone));
}

static void log_mistake(const json_t *mistake)
{
	const char *key = json_string_value(json_object_get(mistake, "key"));
	const char *message = json_string_value(json_object_get(mistake, "message"));
	char text[LINE_TEXT_MAX];
	const struct log_field fields[] = {
		{"file", json_string_value(json_object_get(mistake, "file")), 0},
		{"line", NULL, json_integer_value(json_object_get(mistake, "line"))},
		{"key", key ? key : "", 0},
		{"mistake", message, 0},
		{0},
	};

	log_event(LOG_ERROR, "config-mistake", fields, "%s", mistake_text(mistake, text));
}

static void log_sentences(const json_t *sentences, const char *event, const char *prefix)
{
	const json_t *item;
	size_t i;

	json_array_foreach (sentences, i, item) {
		const char *sentence = json_string_value(item);
		const struct log_field fields[] = {{"change", sentence, 0}, {0}};

		log_event(LOG_NOTICE, event, fields, "%s%s", prefix, sentence);
	}
}

void reload_log(const struct reload *reload)
{
	json_t *item;
	size_t i;

	json_array_foreach (reload->mistakes, i, item)
		log_mistake(item);
	if (json_array_size(reload->mistakes))
		return;
	log_sentences(reload->changes, "config-change", "");
	log_sentences(reload->undone, "config-undone", "made by hand, and undone by the file: ");
}

bool reload_asked(struct http_request *request, bool *check)
{
	size_t length, keys;
	const char *body = http_body(request, &length);
	json_t *object = body ? json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const json_t *value = json_object_get(object, "check");
	bool valid;

	keys = json_object_size(object);
	*check = json_is_true(value);
	valid = !body || (json_is_object(object) && keys == (value != NULL) &&
			  (!value || json_is_boolean(value)));
	json_decref(object);
	if (!valid)
		http_send_error(request, HTTP_BADREQUEST,
				"expected nothing, or {\"check\": true} to be told only");
	return valid;
}
