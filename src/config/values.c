/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define SHARE_MAX 0.1 /* more costs bulk streams more than it tells (design, wire format) */

static void store(const struct field *field, uint64_t number, void *value)
{
	switch (field->size) {
	case sizeof(uint8_t):
		*(uint8_t *)value = (uint8_t)number;
		break;
	case sizeof(uint32_t):
		*(uint32_t *)value = (uint32_t)number;
		break;
	case sizeof(uint64_t):
		*(uint64_t *)value = number;
		break;
	}
}

/* Digits of the base and nothing else, unlike strtoull(), which takes signs and spaces. */
static const char *whole_number(const char *text, int base, uint64_t *number)
{
	const char *digits = base == 16 ? DIGITS "abcdefABCDEF" : DIGITS;

	if (text[0] == '-' && text[1] && !text[1 + strspn(text + 1, DIGITS)])
		return "is negative";
	if (!text[0] || text[strspn(text, digits)])
		return "is not a whole number";
	errno = 0;
	*number = strtoull(text, NULL, base);
	return errno ? "is too large" : NULL;
}

static const char *in_range(const struct field *field, uint64_t number)
{
	if (number < field->min)
		return "is too small";
	return number > field->max ? "is too large" : NULL;
}

static const char *number_in_range(const struct field *field, const char *text, uint64_t *number)
{
	const char *wrong = whole_number(text, 10, number);

	return wrong ? wrong : in_range(field, *number);
}

const char *parse_number(const struct field *field, const char *text, void *value)
{
	uint64_t number;
	const char *wrong = number_in_range(field, text, &number);

	if (!wrong)
		store(field, number, value);
	return wrong;
}

static bool is_prime(uint64_t number)
{
	uint64_t divisor;

	for (divisor = 2; divisor * divisor <= number; divisor++) {
		if (number % divisor == 0)
			return false;
	}
	return number > 1;
}

const char *parse_prime(const struct field *field, const char *text, void *value)
{
	uint64_t number;
	const char *wrong = number_in_range(field, text, &number);

	if (!wrong && !is_prime(number))
		wrong = "is not a prime";
	if (!wrong)
		store(field, number, value);
	return wrong;
}

const char *parse_seed(const struct field *field, const char *text, void *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	uint64_t number;
	const char *wrong = whole_number(hex ? text + 2 : text, hex ? 16 : 10, &number);

	if (!wrong)
		store(field, number, value);
	return wrong;
}

const char *parse_duration(const struct field *field, const char *text, void *value)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
	size_t digits = strspn(text, DIGITS);
	uint64_t number;
	const char *wrong;
	size_t i;

	if (digits == 0)
		return text[0] == '-' ? "is negative" : "is not a duration";
	if (!text[digits])
		return "has no unit";
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(text + digits, units[i].name))
			break;
	}
	if (i == sizeof(units) / sizeof(units[0]))
		return "is not a duration in s, ms or us";
	errno = 0;
	number = strtoull(text, NULL, 10);
	if (errno || __builtin_mul_overflow(number, units[i].ns, &number))
		return "is too large";
	wrong = in_range(field, number);
	if (!wrong)
		store(field, number, value);
	return wrong;
}

const char *parse_share(const struct field *field, const char *text, void *value)
{
	size_t whole = strspn(text, DIGITS);
	size_t end = whole;
	double share;

	(void)field;
	if (text[0] == '-')
		return "is negative";
	if (text[whole] == '.' && whole)
		end = whole + 1 + strspn(text + whole + 1, DIGITS);
	if (end && !text[end])
		return "has no % sign";
	if (!whole || end == whole + 1 || strcmp(text + end, "%") != 0)
		return "is not a percentage";
	share = strtod(text, NULL) / 100;
	if (share <= 0)
		return "is too small";
	if (share > SHARE_MAX)
		return "is too large";
	*(double *)value = share;
	return NULL;
}

const char *parse_choice(const struct field *field, const char *text, void *value)
{
	const struct choice *choice;

	for (choice = field->choices; choice->name; choice++) {
		if (strcmp(choice->name, text) != 0)
			continue;
		if (choice->planned)
			return "is not supported yet";
		store(field, choice->value, value);
		return NULL;
	}
	return text[0] ? "is not known" : "is empty";
}

const char *parse_name(const struct field *field, const char *text, void *value)
{
	const char *c;

	if (!text[0])
		return "is empty";
	if (strlen(text) >= field->size)
		return "is too long";
	for (c = text; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-:", *c))
			return "has other characters";
	}
	strcpy(value, text);
	return NULL;
}

/* What the kernel's dev_valid_name() takes. */
const char *parse_interface(const struct field *field, const char *text, void *value)
{
	const char *c;

	if (!text[0])
		return "is empty";
	if (strlen(text) >= field->size)
		return "is longer than the 15 characters of an interface's name";
	if (!strcmp(text, ".") || !strcmp(text, ".."))
		return "is not an interface's name";
	for (c = text; *c; c++) {
		if (*c == '/' || *c == ':' || isspace((unsigned char)*c))
			return "is not an interface's name";
	}
	if (!strcmp(text, "lo"))
		return "is this host's own loopback, by which no client's packet comes";
	strcpy(value, text);
	return NULL;
}

/* It goes into a request line as it is. */
const char *parse_check_path(const struct field *field, const char *text, void *value)
{
	const char *c = text;

	while (*c > ' ' && *c < 0x7F)
		c++;
	if (*c)
		return "holds what must be written as %20 or the like";
	if (*text != '/')
		return "does not begin with a slash";
	if (strlen(text) >= field->size)
		return "is too long";
	strcpy(value, text);
	return NULL;
}
