/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of a request: what is asked of it, and what it is answered with. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http.h"

#define NUMBER_DIGITS 9 /* a double's own 17 would turn 0.71 into 0.70999999999999996 */

bool http_is_head(const struct http_request *request)
{
	return evhttp_request_get_command(request->libevent) == EVHTTP_REQ_HEAD;
}

const char *http_query(const struct http_request *request, const char *key)
{
	return evhttp_find_header(&request->query, key);
}

bool http_query_number(struct http_request *request, const char *key, uint64_t min, uint64_t max,
		       uint64_t *value)
{
	const char *text = http_query(request, key);
	unsigned long long number = 0;
	bool valid = true;

	if (!text)
		return true;
	valid = *text && strspn(text, "0123456789") == strlen(text);
	errno = 0;
	if (valid)
		number = strtoull(text, NULL, 10);
	if (!valid || errno || number < min || number > max) {
		http_send_error(request, HTTP_BADREQUEST,
				"%s: \"%s\" is no whole number from %llu to %llu", key, text,
				(unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*value = number;
	return true;
}

const char *http_body(const struct http_request *request, size_t *length)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(request->libevent);

	*length = evbuffer_get_length(body);
	return *length ? (const char *)evbuffer_pullup(body, -1) : NULL;
}

void http_set_header(struct http_request *request, const char *key, const char *value)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request->libevent);

	evhttp_remove_header(headers, key);
	evhttp_add_header(headers, key, value);
}

void http_send(struct http_request *request, int code, const char *type, struct evbuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request->libevent);
	char length[32];

	if (type)
		http_set_header(request, "Content-Type", type);
	http_set_header(request, "X-Content-Type-Options", "nosniff");
	if (!evhttp_find_header(headers, "Cache-Control"))
		http_set_header(request, "Cache-Control", "no-store");
	/* libevent would send the body of an answer to HEAD, too, and no length without one. */
	if (http_is_head(request) && body) {
		snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
		http_set_header(request, "Content-Length", length);
		body = NULL;
	}
	evhttp_send_reply(request->libevent, code, NULL, body);
}

char *http_json_text(const json_t *json)
{
	return json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(NUMBER_DIGITS));
}

static void free_text(const void *data, size_t length, void *text)
{
	(void)data;
	(void)length;
	free(text);
}

void http_send_json(struct http_request *request, int code, json_t *json)
{
	struct evbuffer *body = evbuffer_new();
	char *text = http_json_text(json);

	json_decref(json);
	if (body && (!text || evbuffer_add_reference(body, text, strlen(text), free_text, text))) {
		free(text);
		code = HTTP_INTERNAL;
		evbuffer_add_printf(body, "{\"error\":\"out of memory\"}");
	}
	if (body)
		evbuffer_add(body, "\n", 1);
	http_send(request, body ? code : HTTP_INTERNAL, HTTP_TYPE_JSON, body);
	if (body)
		evbuffer_free(body);
	else
		free(text);
}

void http_send_error(struct http_request *request, int code, const char *format, ...)
{
	va_list arguments;
	json_t *message;

	va_start(arguments, format);
	message = json_vsprintf(format, arguments);
	va_end(arguments);
	http_send_json(request, code,
		       json_pack("{s:o}", "error", message ? message : json_string("?")));
}
