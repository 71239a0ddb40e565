/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `plimsoll top`: what `plimsoll show` shows, live, in an order that one chooses. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "cli/top_view.h"
#include "clock.h"
#include "config/values.h"
#include "log.h"

#define MS 1000000ULL
#define INTERVAL_NS (1000 * MS)

enum { INTERVAL, INSTANCE };

const struct option_row top_options[] = {
	[INTERVAL] = {"--interval", "TIME", "between two looks; 1s if absent", COMPLETE_NOTHING,
		      false},
	[INSTANCE] = {"--instance", "NAME", "whose; not needed where only one runs",
		      COMPLETE_INSTANCE, false},
	{0},
};

static void draw(struct top_view *view, json_t *status, const char *notice)
{
	size_t columns, length;
	char *text = NULL;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	terminal_size(&view->rows, &columns);
	top_view_draw(view, out, status, notice);
	fclose(out);
	terminal_draw(text);
	free(text);
}

/* The latest status; what cannot be had leaves the one before on the screen, with a notice. */
static void look(const char *instance, json_t **status, bool *reached)
{
	json_t *answer = NULL;

	*reached = !client_get(instance, STATUS_PATH, &answer);
	if (!*reached) {
		json_decref(answer);
		return;
	}
	json_decref(*status);
	*status = answer;
}

static void watch(const char *instance, uint64_t interval_ns, json_t **status)
{
	struct top_view view = top_view_usual();
	uint64_t looked = now_ns(), now;
	bool reached = true;
	int key;

	view.colour = wants_colour();
	while (!terminal_interrupted()) {
		draw(&view, *status, reached ? NULL : "the daemon does not answer");
		now = now_ns();
		key = terminal_key(now - looked < interval_ns ?
					   (int)((interval_ns - (now - looked)) / MS) + 1 :
					   0);
		if (key == 'q' || key == KEY_END_OF_INPUT)
			return;
		top_view_key(&view, key);
		if (now_ns() - looked < interval_ns)
			continue;
		look(instance, status, &reached);
		looked = now_ns();
	}
}

static int parse_interval(const char *text, uint64_t *interval_ns)
{
	static const struct field time = {
		.min = 100 * MS,
		.max = 3600 * 1000 * MS,
		.size = sizeof(uint64_t),
	};

	if (!text || !parse_duration(&time, text, interval_ns))
		return 0;
	log_error("--interval: \"%s\" is no time with its unit from 100ms to 3600s, such as 1s",
		  text);
	return EXIT_USAGE;
}

int top_command(int argc, char **argv)
{
	uint64_t interval_ns = INTERVAL_NS;
	char instance[INSTANCE_NAME_MAX];
	const char *values[OPTIONS_MAX];
	json_t *status;

	if (options_parse(top_options, argc, argv, values) ||
	    parse_interval(values[INTERVAL], &interval_ns))
		return EXIT_USAGE;
	if (answer_instance(false, values[INSTANCE], instance))
		return EXIT_FAILURE;
	status = answer_get(false, instance, STATUS_PATH);
	if (!status)
		return EXIT_FAILURE;
	if (terminal_open()) {
		json_decref(status);
		return answer_fail(
			false,
			"top wants a terminal; for scripts there is \"plimsoll show --json\"");
	}
	/* A line on stderr would stand in the picture, and keys want to be read. */
	client_wait(CLIENT_BRIEF);
	watch(instance, interval_ns, &status);
	terminal_close();
	json_decref(status);
	return EXIT_SUCCESS;
}
