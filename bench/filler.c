/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * filler CPU FILE: takes all the time on a CPU that nobody else wants, and counts in the file's first 8
 * bytes how often it has gone round: so the CPU never sleeps, nobody has to wake it, and what is missing
 * of the count is what others have used.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Divisions, of which the next waits for the last: a sibling of the same core hardly notices. */
#define DIVISIONS 64

static void fill(volatile uint64_t *rounds)
{
	volatile uint64_t dividend = UINT64_MAX;

	for (;;) {
		for (int i = 0; i < DIVISIONS; i++)
			dividend = dividend / 3 + UINT64_MAX / 2;
		++*rounds;
	}
}

int main(int argc, char **argv)
{
	const struct sched_param lowest = {0};
	int fd = argc == 3 ? open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	cpu_set_t cpus;
	void *memory;

	if (fd < 0 || ftruncate(fd, sizeof(uint64_t))) {
		fprintf(stderr, "usage: filler CPU FILE; the file must be writable\n");
		return 2;
	}
	CPU_ZERO(&cpus);
	CPU_SET((size_t)atoi(argv[1]), &cpus);
	memory = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED || sched_setaffinity(0, sizeof(cpus), &cpus) ||
	    sched_setscheduler(0, SCHED_IDLE, &lowest)) {
		perror("filler");
		return 1;
	}
	fill(memory);
}
