/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The test vectors of doc/wire-format.md, read out of the document itself. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load_poll.h"

#define DOCUMENT "doc/wire-format.md"
#define CELLS_MAX 10
#define LINE_MAX 400

typedef void check_row(char **cells);

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " ");
	for (end = text + strlen(text); end > text && end[-1] == ' '; end--)
		end[-1] = '\0';
	return text;
}

/* "| a | b |" into its cells; returns how many. */
static size_t split(char *line, char *cells[CELLS_MAX])
{
	size_t count = 0;
	char *cell;

	line[strcspn(line, "\n")] = '\0';
	for (cell = strtok(line, "|"); cell && count < CELLS_MAX; cell = strtok(NULL, "|"))
		cells[count++] = trim(cell);
	return count;
}

/* Calls check with every row of the table that has this head. */
static void read_table(const char *head, size_t columns, check_row *check)
{
	char line[LINE_MAX], *cells[CELLS_MAX];
	size_t rows = 0;
	int inside = 0;
	FILE *file = fopen(DOCUMENT, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, head, strlen(head))) {
			inside = 1;
		} else if (inside && line[0] != '|') {
			break;
		} else if (inside && line[1] == ' ') {
			assert_int_equal(split(line, cells), columns);
			check(cells);
			rows++;
		}
	}
	fclose(file);
	assert_true(rows >= 2);
}

/* Hex digits, with spaces anywhere. Returns the number of bytes. */
static size_t read_hex(const char *text, void *bytes, size_t size)
{
	uint8_t *byte = bytes;
	unsigned int value;
	size_t count = 0;

	memset(bytes, 0, size);
	for (; *text; text += 2) {
		text += strspn(text, " ");
		assert_true(count < size);
		assert_int_equal(sscanf(text, "%2x", &value), 1);
		byte[count++] = (uint8_t)value;
	}
	return count;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	assert_int_equal(*end, '\0');
	return value;
}

static __be32 address(const char *text)
{
	struct in_addr parsed;

	assert_int_equal(inet_pton(AF_INET, text, &parsed), 1);
	return parsed.s_addr;
}

static void check_report(char **cells)
{
	struct load_report report = {
		.flags = (__u8)number(cells[0]),
		.server_id = address(cells[1]),
		.sequence = (__u32)number(cells[2]),
		.in_flight = (__u16)number(cells[3]),
		.utilisation = (__u16)number(cells[4]),
		.latency = load_report_float_encode(number(cells[5])),
		.accept_queue = (__u16)number(cells[6]),
		.connections_seen = (__u32)number(cells[7]),
	};
	struct load_report_option expected, encoded;
	struct load_report decoded = {0};

	assert_int_equal(read_hex(cells[8], &expected, sizeof(expected)), LOAD_REPORT_LENGTH);
	load_report_encode(&encoded, &report);
	assert_memory_equal(&encoded, &expected, LOAD_REPORT_LENGTH);
	assert_int_equal(load_report_decode(&expected, &decoded), LOAD_REPORT_OK);
	load_report_encode(&encoded, &decoded);
	assert_memory_equal(&encoded, &expected, LOAD_REPORT_LENGTH);
}

static void check_tag(char **cells)
{
	struct load_report_option option;
	struct load_report_key key;
	struct load_report report;

	assert_int_equal(read_hex(cells[0], &key, sizeof(key)), LOAD_REPORT_KEY_BYTES);
	key.word[0] = load_report_le64(key.word[0]);
	key.word[1] = load_report_le64(key.word[1]);
	assert_int_equal(read_hex(cells[3], &option, sizeof(option)), LOAD_REPORT_LENGTH_KEYED);
	assert_int_equal(load_report_decode(&option, &report), LOAD_REPORT_OK);
	assert_int_equal(load_report_tag_ipv4(&option, &key, address(cells[1]), address(cells[2])),
			 option.tag);
}

static void check_refused(char **cells)
{
	static const char *const reasons[] = {
		[LOAD_REPORT_NOT_OURS] = "another experiment",
		[LOAD_REPORT_BAD_VERSION] = "wrong version",
		[LOAD_REPORT_BAD_LENGTH] = "wrong length",
	};
	struct load_report_option option;
	struct load_report report;
	enum load_report_error error;

	read_hex(cells[0], &option, sizeof(option));
	error = load_report_decode(&option, &report);
	assert_int_not_equal(error, LOAD_REPORT_OK);
	assert_string_equal(reasons[error], cells[1]);
}

static void check_newer(char **cells)
{
	int newer = load_report_newer((__u32)number(cells[0]), (__u32)number(cells[1]));

	assert_string_equal(newer ? "yes" : "no", cells[2]);
}

static void check_float(char **cells)
{
	__u16 code = (__u16)strtoul(cells[1], NULL, 16);

	assert_int_equal(load_report_float_encode(number(cells[0])), code);
	assert_int_equal(load_report_float_decode(code), number(cells[2]));
}

static void check_poll(char **cells)
{
	enum load_poll_kind kind = (enum load_poll_kind)number(cells[0]);
	struct load_poll datagram, encoded;
	size_t length = read_hex(cells[2], &datagram, sizeof(datagram));

	assert_true(load_poll_is(&datagram, length, kind));
	load_poll_encode(&encoded, kind, (__u32)number(cells[1]));
	assert_memory_equal(&encoded, &datagram, LOAD_POLL_REQUEST_LENGTH);
}

static void test_vectors(void **state)
{
	(void)state;
	read_table("| flags | server id |", 9, check_report);
	read_table("| key | source |", 4, check_tag);
	read_table("| option | verdict |", 2, check_refused);
	read_table("| sequence | last believed |", 3, check_newer);
	read_table("| value | code |", 3, check_float);
	read_table("| kind | number |", 3, check_poll);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
