/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FULL 65535 /* of utilisation and accept queue */
/*
 * So many requests in flight on each CPU halve the weight. They have no full scale as the others
 * have; this one is where a server that mostly waits for others begins to be a busy one.
 */
#define BUSY_REQUESTS_PER_CPU 16
/*
 * Where CPUs are full everywhere, the requests in flight still have to tell one server from another,
 * and per cent are coarse: a full CPU counts as idle by this much.
 */
#define IDLE_MIN (FULL / 8)
/* Far more than HAProxy allows, and no overflow. */
#define PERCENT_DIGITS_MAX 6

struct word {
	const char *text;
	size_t length;
};

static bool word_is(const struct word *word, const char *text)
{
	return strlen(text) == word->length && !strncasecmp(word->text, text, word->length);
}

static bool word_is_one_of(const struct word *word, const char *const *texts)
{
	for (; *texts; texts++)
		if (word_is(word, *texts))
			return true;
	return false;
}

/* "75%". More than 100 is allowed: a server may say that it is worth more than was thought. */
static bool read_percent(const struct word *word, uint32_t *percent)
{
	uint32_t number = 0;
	size_t i;

	for (i = 0; i < word->length && isdigit((unsigned char)word->text[i]); i++) {
		if (i == PERCENT_DIGITS_MAX)
			return false;
		number = number * 10 + (uint32_t)(word->text[i] - '0');
	}
	if (!i || i + 1 != word->length || word->text[i] != '%')
		return false;
	*percent = number;
	return true;
}

/* Is the word known? Then what it says is taken over. */
static bool take_word(const struct word *word, struct agent_check *check)
{
	static const char *const closing[] = {"down", "fail", "stopped", NULL};
	static const char *const draining[] = {"drain", "maint", NULL};
	static const char limit[] = "maxconn:";

	if (read_percent(word, &check->percent))
		check->weighted = true;
	else if (word_is_one_of(word, closing))
		check->down = true;
	else if (word_is(word, "up"))
		check->down = false;
	else if (word_is_one_of(word, draining))
		check->drained = true;
	else if (word_is(word, "ready"))
		check->drained = false;
	else
		/* A limit is for proxies, who can keep clients waiting: known, but not for us. */
		return word->length >= strlen(limit) &&
		       !strncasecmp(word->text, limit, strlen(limit));
	return true;
}

static bool is_end(char c)
{
	return c == '\n' || c == '\r';
}

static bool is_delimiter(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

int agent_check_parse(const char *bytes, size_t length, struct agent_check *check)
{
	struct agent_check said = *check;
	const char *end = bytes, *next = bytes;
	bool known = false;

	while (end < bytes + length && !is_end(*end))
		end++;
	if (end == bytes + length)
		return -EAGAIN;
	/* Behind a sharp stands text for people. */
	while (next < end && *next != '#') {
		struct word word = {.text = next};

		while (next < end && !is_delimiter(*next))
			next++;
		word.length = (size_t)(next - word.text);
		known |= take_word(&word, &said);
		while (next < end && is_delimiter(*next))
			next++;
	}
	if (!known)
		return -EINVAL;
	*check = said;
	return 0;
}

bool agent_check_open(const struct agent_check *check)
{
	return !check->down && !check->drained && !(check->weighted && !check->percent);
}

uint32_t agent_check_percent(const struct load_report *report, uint32_t cpu_count)
{
	uint32_t room = BUSY_REQUESTS_PER_CPU * (cpu_count ? cpu_count : 1);
	uint64_t spare = FULL - report->utilisation;
	uint32_t percent;

	if (spare < IDLE_MIN)
		spare = IDLE_MIN;
	spare = spare * (FULL - report->accept_queue) / FULL;
	spare = spare * room / (room + report->in_flight);
	percent = (uint32_t)((spare * AGENT_CHECK_PERCENT_MAX + FULL / 2) / FULL);
	if (report->flags & LOAD_REPORT_DRAINING)
		return 0;
	/* A busy server is not a closed one. */
	return percent ? percent : 1;
}

/*
 * Nothing but the weight. 0% closes a server as "drain" does, and the next weight opens it again;
 * "drain" would need a "ready", which undoes an administrator's own drain as well. Who never says
 * "down" need not say "up".
 */
size_t agent_check_format(const struct load_report *report, uint32_t cpu_count, char *line)
{
	return (size_t)snprintf(line, AGENT_CHECK_LINE_MAX, "%u%%\n",
				agent_check_percent(report, cpu_count));
}
