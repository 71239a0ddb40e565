/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/table.h"

#include <string.h>

#define INDENT 2
#define TABLE_COLUMNS_MAX 16
#define BAR_MIN 3 /* a shorter one tells nothing */
#define BAR_MAX 10

struct layout {
	size_t width[TABLE_COLUMNS_MAX];
	size_t indent;
	size_t gap;
	double largest; /* of what the bars show */
};

const char *tone_on(enum tone tone, bool colour)
{
	static const char *const codes[] = {
		[TONE_PLAIN] = "",	 [TONE_STRONG] = "\033[1m", [TONE_FAINT] = "\033[2m",
		[TONE_BAD] = "\033[31m", [TONE_BAR] = "\033[36m",
	};

	return colour ? codes[tone] : "";
}

const char *tone_off(enum tone tone, bool colour)
{
	return colour && tone != TONE_PLAIN ? "\033[0m" : "";
}

static void measure_column(const struct column *column, const json_t *rows, size_t *width)
{
	size_t i, length;
	json_t *row;

	*width = strlen(column->title);
	json_array_foreach (rows, i, row) {
		length = strlen(format_field(row, column->key, column->unit).text);
		if (length > *width)
			*width = length;
	}
}

static void measure_bar(const struct column *column, const json_t *rows, double *largest)
{
	double number;
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		field_number(row, column->key, &number);
		if (number > *largest)
			*largest = number;
	}
}

/* Two spaces between the columns if they fit, else one, and the indent goes before a column would. */
static void lay_out(struct layout *layout, const struct column *columns, size_t count,
		    const json_t *rows)
{
	size_t last = count - 1, bars = columns[last].bar, gaps = last - bars;
	size_t used = 0, left, i;

	for (i = 0; i < count - bars; i++) {
		measure_column(&columns[i], rows, &layout->width[i]);
		used += layout->width[i];
	}
	layout->indent = used + gaps + INDENT <= SCREEN_COLUMNS ? INDENT : 0;
	used += layout->indent + bars;
	layout->gap = used + 2 * gaps + bars * BAR_MIN <= SCREEN_COLUMNS ? 2 : 1;
	if (!bars)
		return;
	used += layout->gap * gaps;
	left = used < SCREEN_COLUMNS ? SCREEN_COLUMNS - used : 0;
	layout->width[last] = left < BAR_MIN ? 0 : left > BAR_MAX ? BAR_MAX : left;
	measure_bar(&columns[last], rows, &layout->largest);
}

static void print_bar(FILE *out, const struct layout *layout, const struct column *column,
		      size_t width, const json_t *row, bool colour)
{
	static const char signs[] = "##########";
	size_t length;
	double number;

	field_number(row, column->key, &number);
	if (number <= 0 || !width)
		return;
	length = (size_t)(number / layout->largest * (double)width + 0.5);
	fprintf(out, " %s%.*s%s", tone_on(TONE_BAR, colour), (int)(length ? length : 1), signs,
		tone_off(TONE_BAR, colour));
}

static void print_cell(FILE *out, const struct column *column, const char *text, size_t width,
		       bool last)
{
	if (column->unit != UNIT_TEXT)
		fprintf(out, "%*s", (int)width, text);
	else if (last)
		fputs(text, out);
	else
		fprintf(out, "%-*s", (int)width, text);
}

static void print_row(FILE *out, const struct layout *layout, const struct column *columns,
		      size_t count, const json_t *row, table_tone *tone, bool colour)
{
	enum tone cell;
	size_t i;

	for (i = 0; i < count; i++) {
		if (columns[i].bar) {
			print_bar(out, layout, &columns[i], layout->width[i], row, colour);
			continue;
		}
		cell = tone ? tone(&columns[i], row) : TONE_PLAIN;
		fprintf(out, "%*s%s", (int)(i ? layout->gap : layout->indent), "",
			tone_on(cell, colour));
		print_cell(out, &columns[i],
			   format_field(row, columns[i].key, columns[i].unit).text,
			   layout->width[i], i == count - 1);
		fputs(tone_off(cell, colour), out);
	}
	fputc('\n', out);
}

static void print_titles(FILE *out, const struct layout *layout, const struct column *columns,
			 size_t count, bool colour)
{
	size_t i;

	fputs(tone_on(TONE_FAINT, colour), out);
	for (i = 0; i < count && !columns[i].bar; i++) {
		fprintf(out, "%*s", (int)(i ? layout->gap : layout->indent), "");
		print_cell(out, &columns[i], columns[i].title, layout->width[i], i == count - 1);
	}
	fprintf(out, "%s\n", tone_off(TONE_FAINT, colour));
}

void table_print(FILE *out, const struct column *columns, size_t count, const json_t *rows,
		 table_tone *tone, bool colour)
{
	struct layout layout = {0};
	json_t *row;
	size_t i;

	lay_out(&layout, columns, count, rows);
	print_titles(out, &layout, columns, count, colour);
	json_array_foreach (rows, i, row)
		print_row(out, &layout, columns, count, row, tone, colour);
}

void print_wrapped(FILE *out, const char *text, size_t left)
{
	size_t cursor = left, length;

	while (*text) {
		length = strcspn(text, " ");
		if (cursor > left && cursor + 1 + length > SCREEN_COLUMNS) {
			fprintf(out, "\n%*s", (int)left, "");
			cursor = left;
		}
		if (cursor > left) {
			fputc(' ', out);
			cursor++;
		}
		fwrite(text, 1, length, out);
		cursor += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}
