/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the fuzz targets share. With FUZZ_SEEDS a target has a main() that takes files, each an input;
 * otherwise libFuzzer's.
 */
#ifndef PLIMSOLL_FUZZ_H
#define PLIMSOLL_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(int holds)
{
	if (!holds)
		abort();
}

#ifdef FUZZ_SEEDS
static int run_file(const char *path)
{
	static uint8_t data[SEED_MAX];
	size_t size;
	FILE *file;

	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	return LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	int i, failed = 0;

	for (i = 1; i < argc; i++)
		failed |= run_file(argv[i]);
	return failed;
}
#endif

#endif
