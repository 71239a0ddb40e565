/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* As much of HTTP/1.1 as the lab's worker and load generator need: heads of messages. */
#ifndef PLIMSOLL_LAB_HTTP_H
#define PLIMSOLL_LAB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Length of the head with the empty line behind it, or 0 if it has not all come yet. */
static inline size_t http_head(const char *text, size_t length)
{
	const char *end = memmem(text, length, "\r\n\r\n", 4);

	return end ? (size_t)(end - text) + 4 : 0;
}

/* The value of a field; NULL if it has none. It ends at the line's "\r". */
static inline const char *http_field(const char *head, size_t length, const char *name)
{
	size_t name_length = strlen(name);
	const char *end = head + length;
	const char *line = head;

	while ((line = memmem(line, (size_t)(end - line), "\r\n", 2))) {
		line += 2;
		if ((size_t)(end - line) <= name_length)
			return NULL;
		if (strncasecmp(line, name, name_length) || line[name_length] != ':')
			continue;
		line += name_length + 1;
		return line + strspn(line, " \t");
	}
	return NULL;
}

/* Does the connection end after this message? */
static inline bool http_closes(const char *head, size_t length)
{
	const char *line_end = memmem(head, length, "\r\n", 2);
	const char *connection = http_field(head, length, "Connection");

	if (connection)
		return !strncasecmp(connection, "close", 5);
	return line_end && memmem(head, (size_t)(line_end - head), "HTTP/1.0", 8);
}

/* Bytes behind the head; -1 if it does not say. */
static inline long http_content_length(const char *head, size_t length)
{
	const char *value = http_field(head, length, "Content-Length");

	return value ? strtol(value, NULL, 10) : -1;
}

#endif
