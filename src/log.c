/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* Below PIPE_BUF, so that a line in a pipe is never cut by another process's. */
#define LINE_MAX_BYTES 2048

static const char *const prefixes[] = {
	[LOG_ERROR] = "error: ",
	[LOG_WARNING] = "warning: ",
	[LOG_NOTICE] = "",
	[LOG_DEBUG] = "debug: ",
};

static const char *line_name;
static bool verbose;
static log_heard *listener;
static void *listener_context;

void log_name(const char *name)
{
	line_name = name;
}

void log_verbose(void)
{
	verbose = true;
}

void log_listen(log_heard *heard, void *context)
{
	listener = heard;
	listener_context = context;
}

/* What does not fit is cut; the text is always terminated. Returns the new length. */
static size_t append(char *line, size_t size, size_t used, const char *format, va_list arguments)
{
	int length = vsnprintf(line + used, size - used, format, arguments);

	if (length < 0)
		return used;
	used += (size_t)length;
	return used < size ? used : size - 1;
}

static size_t print_start(char *line, size_t size, enum log_level level)
{
	int length = snprintf(line, size, "plimsoll%s%.64s: %s", line_name ? " " : "",
			      line_name ? line_name : "", prefixes[level]);

	return length < 0 ? 0 : (size_t)length;
}

void log_print(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int saved_errno = errno;
	va_list arguments;
	size_t length, start, i;

	if (level == LOG_DEBUG && !verbose)
		return;
	length = start = print_start(line, sizeof(line), level);
	va_start(arguments, format);
	/* One byte less than there is: room for the newline. */
	length = append(line, sizeof(line) - 1, length, format, arguments);
	va_end(arguments);

	/* Texts of others (libbpf's, a kernel's) may end in a newline, or hold one. */
	while (length > 0 && line[length - 1] == '\n')
		length--;
	for (i = 0; i < length; i++) {
		if (line[i] == '\n')
			line[i] = ' ';
	}
	line[length] = '\0';
	if (listener)
		listener(level, line + start, listener_context);
	line[length++] = '\n';
	while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
		;
	errno = saved_errno;
}
