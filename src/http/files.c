/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "http/files.h"

#include <string.h>

/* The page is ours alone: nothing from elsewhere, and nowhere inside another. */
#define POLICY                                                                                     \
	"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "        \
	"object-src 'none'"

static const struct http_file *find_file(const char *path)
{
	for (const struct http_file *file = http_files; file->path; file++)
		if (!strcmp(file->path, path))
			return file;
	return NULL;
}

void http_answer_file(struct http_request *request, void *context)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request->libevent));
	const char *known = evhttp_find_header(evhttp_request_get_input_headers(request->libevent),
					       "If-None-Match");
	const struct http_file *file = find_file(path);
	struct evbuffer *body;

	(void)context;
	if (!file) {
		http_send_error(request, HTTP_NOTFOUND, "the status page has no file %s", path);
		return;
	}
	http_set_header(request, "ETag", file->tag);
	http_set_header(request, "Cache-Control", "no-cache"); /* ask whether it has changed */
	http_set_header(request, "Content-Security-Policy", POLICY);
	http_set_header(request, "Referrer-Policy", "no-referrer");
	if (known && strstr(known, file->tag)) {
		http_send(request, HTTP_NOTMODIFIED, NULL, NULL);
		return;
	}
	body = evbuffer_new();
	if (body)
		evbuffer_add_reference(body, file->start, (size_t)(file->end - file->start), NULL,
				       NULL);
	http_send(request, body ? HTTP_OK : HTTP_INTERNAL, file->type, body);
	if (body)
		evbuffer_free(body);
}
