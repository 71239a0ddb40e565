/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The files of the status page, which the build puts into the program. */
#ifndef PLIMSOLL_HTTP_FILES_H
#define PLIMSOLL_HTTP_FILES_H

#include <stddef.h>

#include "http/http.h"

struct http_file {
	const char *path; /* as asked for */
	const char *type;
	const char *tag; /* changes with the contents; in quotes, as ETag has it */
	const char *start, *end;
};

/* Written by src/http/embed. Ends with a path of NULL. */
extern const struct http_file http_files[];

/* Answers with the file of the request's path; 404 if there is none. */
void http_answer_file(struct http_request *request, void *context);

#endif
