/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "log.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log_limit.h"

/* A line stays below PIPE_BUF, so that in a pipe it is never cut by another process's. */
#define MESSAGE_MAX 2048
#define LINE_MAX_BYTES 4096

/* In ten seconds: of one event of one backend, or of one message; and of an event altogether. */
#define ALIKE_MAX 5
#define OF_ONE_EVENT_MAX 50

static const struct {
	const char *prefix; /* in text */
	const char *name; /* in JSON */
	int priority; /* syslog's */
} levels[] = {
	[LOG_ERROR] = {"error: ", "error", 3},
	[LOG_WARNING] = {"warning: ", "warning", 4},
	[LOG_NOTICE] = {"", "notice", 5},
	[LOG_DEBUG] = {"debug: ", "debug", 7},
};

/* What is only a message has no event's name. */
static const char unnamed[] = "message";

static const char *line_name, *instance_name;
static enum log_format line_format;
static bool verbose, failed;
/* Of their own, because many messages must not crowd out the events they are of. */
static struct log_limit message_limit, event_limit;
static bool limited;
static log_heard *listener;
static void *listener_context;

void log_name(const char *name)
{
	line_name = name;
}

void log_instance(const char *name)
{
	instance_name = name;
}

void log_format(enum log_format format)
{
	line_format = format;
}

void log_verbose(void)
{
	verbose = true;
}

void log_limit_repeats(void)
{
	limited = true;
}

void log_listen(log_heard *heard, void *context)
{
	listener = heard;
	listener_context = context;
}

/* Is it what systemd said that it has connected to the journal? */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &status) && status.st_dev == device && status.st_ino == inode;
}

/* JSON is UTF-8, and the texts of others need not be. */
static json_t *json_of(const char *text)
{
	json_t *string = json_string(text);
	char copy[MESSAGE_MAX];

	if (string)
		return string;
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *byte = copy; *byte; byte++)
		if (*byte & 0x80)
			*byte = '?';
	return json_string(copy);
}

static json_t *json_time(void)
{
	struct timespec now;
	struct tm parts;
	char day[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
	return json_sprintf("%s.%06ldZ", day, now.tv_nsec / 1000);
}

static size_t write_json(char *line, size_t size, enum log_level level, const char *event,
			 const struct log_field *fields, const char *message)
{
	json_t *object = json_object();
	size_t length;

	json_object_set_new(object, "time", json_time());
	json_object_set_new(object, "level", json_string(levels[level].name));
	json_object_set_new(object, "role", line_name ? json_string(line_name) : json_null());
	json_object_set_new(object, "instance",
			    instance_name ? json_of(instance_name) : json_null());
	json_object_set_new(object, "event", json_string(event));
	json_object_set_new(object, "message", json_of(message));
	for (; fields && fields->name; fields++)
		json_object_set_new(object, fields->name,
				    fields->text ? json_of(fields->text) :
						   json_integer(fields->number));
	length = json_dumpb(object, line, size, JSON_COMPACT);
	if (length > size) { /* a half object is none */
		json_object_set_new(object, "message", json_string("too long to be told"));
		length = json_dumpb(object, line, size, JSON_COMPACT);
	}
	json_decref(object);
	return length > size ? 0 : length;
}

static size_t write_text(char *line, size_t size, enum log_level level, const char *message)
{
	int length = snprintf(line, size, "plimsoll%s%.64s: %s%s", line_name ? " " : "",
			      line_name ? line_name : "", levels[level].prefix, message);

	if (length < 0)
		return 0;
	return (size_t)length < size ? (size_t)length : size - 1;
}

static size_t compose(char *line, size_t size, enum log_level level, const char *event,
		      const struct log_field *fields, const char *message)
{
	size_t used = 0;

	if (is_journal())
		used = (size_t)snprintf(line, size, "<%d>", levels[level].priority);
	/* One byte less than there is: room for the newline. */
	if (line_format == LOG_JSON)
		used += write_json(line + used, size - used - 1, level, event, fields, message);
	else
		used += write_text(line + used, size - used - 1, level, message);
	line[used++] = '\n';
	return used;
}

size_t log_compose(char *line, size_t size, enum log_level level, const char *event,
		   const char *message)
{
	return compose(line, size, level, event, NULL, message);
}

/* Texts of others (libbpf's, a kernel's) may end in a newline, or hold one. */
static void make_one_line(char *message)
{
	size_t length = strlen(message);

	while (length > 0 && message[length - 1] == '\n')
		message[--length] = '\0';
	for (; *message; message++)
		if (*message == '\n')
			*message = ' ';
}

/* what: an event's name, or a message's format. */
static bool is_allowed(const char *what, const struct log_field *fields, uint32_t *withheld)
{
	uint64_t event = log_limit_key(0, what), one = event, now = now_ns();
	uint32_t others = 0;

	*withheld = 0;
	for (; fields && fields->name; fields++)
		if (fields->text && strcmp(fields->name, "cause") != 0)
			one = log_limit_key(one, fields->text);
	if (!log_limit_allows(&message_limit, one, ALIKE_MAX, now, withheld) ||
	    !log_limit_allows(&event_limit, event, OF_ONE_EVENT_MAX, now, &others))
		return false;
	*withheld += others;
	return true;
}

static void tell(enum log_level level, const char *event, const struct log_field *fields,
		 char *message, uint32_t withheld)
{
	size_t used = strlen(message), length;
	char line[LINE_MAX_BYTES];

	make_one_line(message);
	if (listener)
		listener(level, message, listener_context);
	if (withheld)
		snprintf(message + used, MESSAGE_MAX - used, " (and %u more like this before)",
			 withheld);
	length = compose(line, sizeof(line), level, event, fields, message);
	while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
		;
}

static void print(enum log_level level, const char *event, const struct log_field *fields,
		  const char *format, va_list arguments)
{
	char message[MESSAGE_MAX];
	int saved_errno = errno;
	uint32_t withheld = 0;

	failed |= level == LOG_ERROR;
	if (level == LOG_DEBUG && !verbose)
		return;
	/* Who listens hears all; and --verbose is for who wants it all. */
	if (limited && !verbose && !listener &&
	    !is_allowed(event == unnamed ? format : event, fields, &withheld))
		return;
	errno = saved_errno; /* for %m */
	vsnprintf(message, sizeof(message), format, arguments);
	tell(level, event, fields, message, withheld);
	errno = saved_errno;
}

bool log_failed(void)
{
	return failed;
}

void log_print(enum log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(level, unnamed, NULL, format, arguments);
	va_end(arguments);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields,
	       const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(level, event, fields, format, arguments);
	va_end(arguments);
}
