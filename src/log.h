/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line on stderr for each event that matters: "plimsoll balancer: warning: ...". A message
 * says what was wrong, where, and what would be right.
 */
#ifndef PLIMSOLL_LOG_H
#define PLIMSOLL_LOG_H

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_DEBUG, /* only after log_verbose() */
};

/* The word after "plimsoll " in every line: the verb, or NULL. Not copied. */
void log_name(const char *name);
void log_verbose(void);

typedef void log_heard(enum log_level level, const char *text, void *context);

/* Besides, each message is told to somebody until further notice; NULL: to nobody any more. */
void log_listen(log_heard *heard, void *context);

void log_print(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_print(LOG_NOTICE, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

#endif
