/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/trace_filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"

#define CLIENT_TEXT_MAX (ENDPOINT_TEXT_MAX + sizeof("/128"))
#define VERDICT_TEXT_MAX 32

_Static_assert(VERDICT_COUNT <= 64, "a verdict is a bit of trace_filter's");

enum action {
	PASS,
	SEND,
	DROP,
};

struct verdict_row {
	const char *name;
	enum action action;
};

static const struct verdict_row rows[] = {
#define VERDICT_ROW(symbol, name, action, sentence) {name, action},
	VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

/* Digits only: strtoul() would take signs and blanks. */
static bool parse_digits(const char *text, unsigned long max, unsigned long *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoul(text, &end, 10);
	return !*end && !errno && *number <= max;
}

const char *trace_parse_number(const char *text, uint32_t max, uint32_t *number)
{
	unsigned long value;

	if (!parse_digits(text, max, &value) || !value)
		return "is no whole number from 1 that is not too large";
	*number = (uint32_t)value;
	return NULL;
}

/* Cuts the text off at the last such letter; what was behind it, or NULL. */
static char *cut_off(char *text, char letter)
{
	char *at = strrchr(text, letter);

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

/* Cuts "[ADDRESS]" to the address; of one without brackets a second colon is the address' own. */
static char *cut_off_port(char *text, char **address)
{
	char *end = strchr(text, ']');

	if (text[0] == '[' && end && (!end[1] || end[1] == ':')) {
		*address = text + 1;
		*end = '\0';
		return end[1] ? end + 2 : NULL;
	}
	*address = text;
	return strchr(text, ':') == strrchr(text, ':') ? cut_off(text, ':') : NULL;
}

const char *trace_parse_client(const char *text, struct trace_filter *filter)
{
	char copy[CLIENT_TEXT_MAX], *port, *prefix, *start;
	unsigned long port_number = 0, bits, most;
	struct ip_address address;

	if (strlen(text) >= sizeof(copy))
		return "is no client: 10.1.0.201, 10.1.0.0/24 or 10.1.0.201:40000 are";
	strcpy(copy, text);
	port = cut_off_port(copy, &start);
	prefix = cut_off(start, '/');
	if (address_parse(start, &address))
		return "is no client: 10.1.0.201, 10.1.0.0/24 or 10.1.0.201:40000 are";
	bits = most = address_is_ipv4(address) ? 32 : 128;
	if (port && (!parse_digits(port, UINT16_MAX, &port_number) || !port_number))
		return "has no port from 1 to 65535 behind the colon";
	if (prefix && !parse_digits(prefix, most, &bits))
		return most == 32 ? "has no prefix length from 0 to 32 behind the slash" :
				    "has no prefix length from 0 to 128 behind the slash";
	filter->client_mask = address_mask(address, (unsigned int)bits);
	for (int i = 0; i < 4; i++)
		filter->client.word[i] = address.word[i] & filter->client_mask.word[i];
	filter->client_port = htons((uint16_t)port_number);
	return NULL;
}

static bool is_report(const struct verdict_row *row)
{
	return !strncmp(row->name, "report-", strlen("report-"));
}

/* The bits of those that one word means; 0 if it means none. */
static uint64_t verdicts_of(const char *word)
{
	uint64_t verdicts = 0;

	for (size_t i = VERDICT_NOT_OURS; i < VERDICT_COUNT; i++)
		if (!strcmp(word, rows[i].name) || !strcmp(word, "all") ||
		    (!strcmp(word, "drops") && rows[i].action == DROP) ||
		    (!strcmp(word, "sent") && rows[i].action == SEND) ||
		    (!strcmp(word, "reports") && is_report(&rows[i])))
			verdicts |= 1ULL << i;
	return verdicts;
}

const char *trace_parse_verdicts(const char *text, __u64 *verdicts)
{
	uint64_t sum = 0, some;
	char word[VERDICT_TEXT_MAX];
	size_t length;

	for (;; text += length + 1) {
		length = strcspn(text, ",");
		if (length >= sizeof(word))
			return "names no verdict; \"plimsoll show --json\" lists them all as counters";
		memcpy(word, text, length);
		word[length] = '\0';
		some = verdicts_of(word);
		if (!some)
			return "names no verdict; \"plimsoll show --json\" lists them all as counters, and "
			       "drops, sent, reports and all are many at once";
		sum |= some;
		if (!text[length])
			break;
	}
	*verdicts = sum;
	return NULL;
}

const char *trace_parse_sample(const char *text, uint32_t *sample)
{
	unsigned long one_of;

	if (strncmp(text, "1/", 2) != 0 || !parse_digits(text + 2, UINT32_MAX, &one_of) || !one_of)
		return "is no sample: 1/100, one packet in a hundred, is";
	*sample = (uint32_t)(UINT32_MAX / one_of);
	return NULL;
}

uint64_t trace_usual_verdicts(void)
{
	return verdicts_of("all") & ~(1ULL << VERDICT_NOT_OURS);
}
