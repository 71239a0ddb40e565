/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as an agent's line: what is not understood changes nothing, what is depends on nothing
 * behind the line's end, and saying it twice says no more than once. With libFuzzer, or with
 * FUZZ_SEEDS for the files given as arguments.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_check.h"
#include "fuzz.h"

static int same(const struct agent_check *a, const struct agent_check *b)
{
	return a->weighted == b->weighted && a->percent == b->percent && a->down == b->down &&
	       a->drained == b->drained;
}

static void check_line(const char *bytes, size_t length, struct agent_check check)
{
	struct agent_check first = check, again;
	size_t line = 0;
	int err = agent_check_parse(bytes, length, &first);

	require(!err || err == -EAGAIN || err == -EINVAL);
	if (err)
		require(same(&first, &check));
	while (line < length && bytes[line] != '\n' && bytes[line] != '\r')
		line++;
	require((err == -EAGAIN) == (line == length));
	if (err)
		return;
	require(agent_check_parse(bytes, line, &check) == -EAGAIN);
	require(!agent_check_parse(bytes, line + 1, &check) && same(&check, &first));
	again = first;
	require(!agent_check_parse(bytes, length, &again) && same(&again, &first));
	agent_check_open(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its own: a look beyond the end is found out. */
	char *bytes = malloc(size ? size : 1);

	if (!bytes)
		return 0;
	if (size)
		memcpy(bytes, data, size);
	check_line(bytes, size, (struct agent_check){0});
	check_line(bytes, size, (struct agent_check){true, 33, true, true});
	free(bytes);
	return 0;
}
