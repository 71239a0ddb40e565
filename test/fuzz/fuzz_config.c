/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as a configuration file, of both roles: it is either refused with at least one mistake told,
 * or what is written of it reads the same again.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"

#define TEXT_MAX 16384 /* libyaml takes its time */

static int file = -1;
static char path[64];

static void fill(const void *data, size_t size)
{
	require(!ftruncate(file, 0));
	require(pwrite(file, data, size, 0) == (ssize_t)size);
}

static void count_mistake(const char *where, int line, const char *key, const char *message,
			  void *context)
{
	unsigned int *mistakes = context;

	(void)key;
	require(!strcmp(where, path) && line >= 0 && message && *message);
	(*mistakes)++;
}

/* The text of a configuration as `show --config` has it; to be freed. */
static char *written(const struct config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	require(out != NULL);
	config_write(config, out);
	fclose(out);
	return text;
}

static void check_role(const uint8_t *data, size_t size, enum config_role role)
{
	struct config *config = NULL, *again = NULL;
	unsigned int mistakes = 0;
	char *first, *second;
	int err;

	fill(data, size);
	err = config_read(path, role, &config, count_mistake, &mistakes);
	require(err ? !config && mistakes : config && !mistakes);
	if (err)
		return;
	first = written(config);
	fill(first, strlen(first));
	require(!config_read(path, role, &again, count_mistake, &mistakes));
	second = written(again);
	require(!strcmp(first, second));
	free(first);
	free(second);
	config_free(config);
	config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > TEXT_MAX)
		return 0;
	if (file < 0) {
		file = memfd_create("config", MFD_CLOEXEC);
		require(file >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	}
	check_role(data, size, CONFIG_BALANCER);
	check_role(data, size, CONFIG_SERVER);
	return 0;
}
