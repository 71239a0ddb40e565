/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line on stderr for each event that matters, for people, "plimsoll balancer: warning: ...", or
 * for machines, as a JSON object. A message says what was wrong, where, and what would be right. Where
 * stderr is the journal's, each line begins with its priority, as sd-daemon(3) has it.
 */
#ifndef PLIMSOLL_LOG_H
#define PLIMSOLL_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_DEBUG, /* only after log_verbose() */
};

enum log_format {
	LOG_TEXT,
	/* "time", "level", "role", "instance", "event", "message", and the event's fields */
	LOG_JSON,
};

/* Of an event, for machines; text: NULL where it is a number. */
struct log_field {
	const char *name;
	const char *text;
	long long number;
};

/* The word after "plimsoll " in every line: the verb, or NULL. Not copied. */
void log_name(const char *name);
/* Which of several. Not copied. */
void log_instance(const char *name);
void log_format(enum log_format format);
void log_verbose(void);

/* From now on, what repeats itself is told a few times in ten seconds, and then how often it was not. */
void log_limit_repeats(void);

/* Whether an error has been told already, which is better than "Cannot allocate memory". */
bool log_failed(void);

typedef void log_heard(enum log_level level, const char *text, void *context);

/* Besides, each message is told to somebody until further notice; NULL: to nobody any more. */
void log_listen(log_heard *heard, void *context);

void log_print(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same, of an event that has a name. fields: ended by one without a name, or NULL; they stand in
 * the message, too, as far as people want them. Events are alike when all their texts but "cause" are.
 */
void log_event(enum log_level level, const char *event, const struct log_field *fields,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The line that log_event() would write, into line[size], for a signal handler. Returns its length. */
size_t log_compose(char *line, size_t size, enum log_level level, const char *event,
		   const char *message);

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_print(LOG_NOTICE, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

#endif
