/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/top_view.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/show.h"
#include "cli/table.h"
#include "cli/terminal.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define FIELD(object, key, unit) format_field(object, key, UNIT_##unit).text
#define HEAD_ROWS 3 /* the summary, the keys, the titles */

/* Descending, except the first: as configured. A title begins with its key. */
static const struct order {
	char key;
	const char *field;
	const char *title;
} orders[] = {
	{'n', NULL, "none"},
	{'s', "share", "share"},
	{'c', "connections_per_second", "conn/s"},
	{'i', "in_flight", "in-flight"},
	{'u', "utilisation", "util"},
	{'l', "latency_us", "latency"},
	{'w', "weight_in_force", "weight"},
	{'p', "pending", "pending"},
	{'a', "report_age_ms", "age"},
};

static const struct column columns[] = {
	{.title = "service", .key = "service"},
	{.title = "backend", .key = "address"},
	{.title = "state", .key = "state"},
	{.title = "weight", .key = "weight_in_force", .unit = UNIT_RATE},
	{.title = "in-flight", .key = "in_flight", .unit = UNIT_COUNT, .reported = true},
	{.title = "util", .key = "utilisation", .unit = UNIT_FRACTION, .reported = true},
	{.title = "latency", .key = "latency_us", .unit = UNIT_MICROSECONDS, .reported = true},
	{.title = "pending", .key = "pending", .unit = UNIT_COUNT},
	{.title = "age", .key = "report_age_ms", .unit = UNIT_MILLISECONDS, .reported = true},
	{.title = "conn/s", .key = "connections_per_second", .unit = UNIT_RATE},
	{.title = "share", .key = "share", .unit = UNIT_FRACTION},
	{.title = "", .key = "share", .bar = true},
};

struct top_view top_view_usual(void)
{
	return (struct top_view){.sort = 'n', .rows = 24};
}

static const struct order *find_order(char key)
{
	for (size_t i = 0; i < LENGTH(orders); i++)
		if (orders[i].key == key)
			return &orders[i];
	return NULL;
}

static size_t page(const struct top_view *view)
{
	return view->rows > HEAD_ROWS ? view->rows - HEAD_ROWS : 1;
}

static void move(struct top_view *view, size_t rows, bool down)
{
	if (down)
		view->first += rows;
	else
		view->first -= view->first < rows ? view->first : rows;
}

bool top_view_key(struct top_view *view, int key)
{
	if (key == KEY_UP || key == KEY_DOWN)
		move(view, 1, key == KEY_DOWN);
	else if (key == KEY_PAGE_UP || key == KEY_PAGE_DOWN)
		move(view, page(view), key == KEY_PAGE_DOWN);
	else if (key == KEY_HOME)
		view->first = 0;
	else if (key == KEY_END)
		view->first = SIZE_MAX / 2;
	else if (key == 'r')
		view->reverse = !view->reverse;
	else if (key > 0 && key < 128 && find_order((char)key))
		*view = (struct top_view){
			.sort = (char)key, .rows = view->rows, .colour = view->colour};
	else
		return false;
	return true;
}

/* ------------------------------------------------------------------ the rows */

struct ordered {
	json_t *row;
	double number;
	size_t place; /* as configured: equals keep it, and do not dance */
};

static int compare(const void *one, const void *other)
{
	const struct ordered *a = one, *b = other;

	if (a->number > b->number || a->number < b->number)
		return a->number > b->number ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* Every backend with its service's name. A new reference. */
static json_t *list_rows(const json_t *status)
{
	json_t *rows = json_array(), *service, *backend, *row;
	size_t i, j;

	json_array_foreach (json_object_get(status, "services"), i, service) {
		json_array_foreach (json_object_get(service, "backends"), j, backend) {
			row = json_copy(backend);
			json_object_set(row, "service", json_object_get(service, "name"));
			json_array_append_new(rows, row);
		}
	}
	return rows;
}

static json_t *sort_rows(const struct top_view *view, json_t *rows)
{
	const struct order *order = find_order(view->sort);
	size_t count = json_array_size(rows), i;
	struct ordered *list = calloc(count + 1, sizeof(*list));
	json_t *sorted = json_array();

	for (i = 0; list && i < count; i++) {
		list[i].row = json_array_get(rows, i);
		list[i].place = i;
		/* What is not known comes last, either way. */
		if (order->field && !field_number(list[i].row, order->field, &list[i].number))
			list[i].number = view->reverse ? 1e300 : -1e300;
		if (view->reverse)
			list[i].number = -list[i].number;
		if (!order->field && view->reverse)
			list[i].number = (double)i;
	}
	if (list)
		qsort(list, count, sizeof(*list), compare);
	for (i = 0; list && i < count; i++)
		json_array_append(sorted, list[i].row);
	free(list);
	return sorted;
}

/* ----------------------------------------------------------------- the screen */

static void print_summary(FILE *out, const json_t *status, bool colour)
{
	double rate = 0, number;
	size_t up = 0, count = 0, i, j;
	json_t *service, *backend;

	json_array_foreach (json_object_get(status, "services"), i, service) {
		if (field_number(service, "connections_per_second", &number))
			rate += number;
		json_array_foreach (json_object_get(service, "backends"), j, backend) {
			count++;
			up += show_is_up(FIELD(backend, "state", TEXT));
		}
	}
	fprintf(out, "%s%s %s%s: up %s, %.1f conn/s, %zu service%s, ", tone_on(TONE_STRONG, colour),
		FIELD(status, "role", TEXT), FIELD(status, "instance", TEXT),
		tone_off(TONE_STRONG, colour), FIELD(status, "uptime_seconds", SECONDS), rate,
		json_array_size(json_object_get(status, "services")),
		json_array_size(json_object_get(status, "services")) == 1 ? "" : "s");
	fprintf(out, "%s%zu of %zu backends up%s",
		tone_on(up < count ? TONE_BAD : TONE_PLAIN, colour), up, count,
		tone_off(up < count ? TONE_BAD : TONE_PLAIN, colour));
}

static void print_keys(FILE *out, const struct top_view *view)
{
	fputs("q quit, r reverse, sort by letter:", out);
	for (size_t i = 0; i < LENGTH(orders); i++) {
		bool chosen = orders[i].key == view->sort;
		enum tone tone = chosen ? TONE_STRONG : TONE_FAINT;

		fprintf(out, " %s%s%s%s%s", tone_on(tone, view->colour), chosen ? "[" : "",
			orders[i].title, chosen ? "]" : "", tone_off(tone, view->colour));
	}
	fputc('\n', out);
}

/* The titles, and the rows of the window. */
static void print_window(struct top_view *view, FILE *out, json_t *rows)
{
	size_t room = page(view), count = json_array_size(rows), length, line = 0;
	char *table = NULL, *next;
	FILE *all = open_memstream(&table, &length);

	if (!all)
		return;
	table_print(all, columns, LENGTH(columns), rows, backend_tone, view->colour);
	fclose(all);
	if (view->first + room > count)
		view->first = count > room ? count - room : 0;
	for (char *text = table; *text; text = next, line++) {
		next = strchr(text, '\n');
		next = next ? next + 1 : text + strlen(text);
		if (!line || (line > view->first && line <= view->first + room))
			fwrite(text, 1, (size_t)(next - text), out);
	}
	free(table);
}

static void draw_balancer(struct top_view *view, FILE *out, json_t *status, const char *notice)
{
	json_t *rows = list_rows(status), *sorted = sort_rows(view, rows);
	size_t count = json_array_size(rows), room = page(view);

	print_summary(out, status, view->colour);
	if (notice)
		fprintf(out, "  %s%s%s", tone_on(TONE_BAD, view->colour), notice,
			tone_off(TONE_BAD, view->colour));
	else if (count > room)
		fprintf(out, ", shown from %zu",
			(view->first + room > count ? count - room : view->first) + 1);
	fputc('\n', out);
	print_keys(out, view);
	print_window(view, out, sorted);
	json_decref(sorted);
	json_decref(rows);
}

void top_view_draw(struct top_view *view, FILE *out, json_t *status, const char *notice)
{
	if (strcmp(FIELD(status, "role", TEXT), "server") != 0) {
		draw_balancer(view, out, status, notice);
		return;
	}
	fprintf(out, "q quit%s%s\n", notice ? "  " : "", notice ? notice : "");
	show_render(out, status, view->colour);
}
