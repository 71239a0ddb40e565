/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report key: a file that nobody else may read, with 32 hex digits. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "values.h"

#define KEY_BYTES sizeof(((struct config *)0)->report_key)
#define KEY_DIGITS (2 * KEY_BYTES)
#define KEY_TEXT_MAX (KEY_DIGITS + 2) /* a newline, and one to see that there is more */

static unsigned int hex_digit(char digit)
{
	return isdigit((unsigned char)digit) ? (unsigned int)(digit - '0') :
					       (unsigned int)(tolower(digit) - 'a') + 10;
}

static const char *decode(const char *text, size_t length, uint8_t *key)
{
	size_t i;

	for (i = 0; i < length && isxdigit((unsigned char)text[i]); i++)
		;
	if (i != KEY_DIGITS || (length != i && (length != i + 1 || text[i] != '\n')))
		return "does not hold exactly 32 hex digits";
	for (i = 0; i < KEY_BYTES; i++)
		key[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
	return NULL;
}

static const char *check_file(int file)
{
	struct stat status;

	if (fstat(file, &status))
		return "cannot be examined";
	if (!S_ISREG(status.st_mode))
		return "is not a regular file";
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		return "may be read or written by others than its owner";
	return NULL;
}

static const char *open_complaint(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "does not exist";
	case EACCES:
		return "may not be read by this user";
	default:
		return "cannot be opened";
	}
}

static const char *read_key(const char *text, char path[CONFIG_PATH_MAX], uint8_t *key)
{
	char digits[KEY_TEXT_MAX];
	const char *wrong;
	ssize_t length;
	int file;

	/* A daemon's working directory may differ from the one of check-config. */
	if (text[0] != '/')
		return "is not an absolute path";
	if (strlen(text) >= CONFIG_PATH_MAX)
		return "is too long";
	/* Non-blocking: a pipe must not hold us up before it is refused. */
	file = open(text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		return open_complaint(errno);
	wrong = check_file(file);
	if (wrong)
		goto out;
	length = read(file, digits, sizeof(digits));
	wrong = length < 0 ? "cannot be read" : decode(digits, (size_t)length, key);
	if (!wrong)
		strcpy(path, text);
	explicit_bzero(digits, sizeof(digits));
out:
	close(file);
	return wrong;
}

const char *parse_key_file(const struct field *field, const char *text, void *value)
{
	struct config *config = value;
	const char *wrong = read_key(text, config->report_key_file, config->report_key);

	(void)field;
	config->keyed = !wrong;
	return wrong;
}

const char *parse_old_key_file(const struct field *field, const char *text, void *value)
{
	struct config *config = value;
	const char *wrong = read_key(text, config->old_report_key_file, config->old_report_key);

	(void)field;
	config->old_keyed = !wrong;
	return wrong;
}
