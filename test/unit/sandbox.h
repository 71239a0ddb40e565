/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A place of its own for a test program: network, mounts with an empty /run, and process ids.
 * Whatever happens inside, the host is not touched; it all goes when the program ends, however it
 * ends.
 */
#ifndef PLIMSOLL_TEST_SANDBOX_H
#define PLIMSOLL_TEST_SANDBOX_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Why there is no sandbox, or NULL. */
static const char *sandbox_refused;

#define SANDBOX_REQUIRED()                                                                         \
	do {                                                                                       \
		if (sandbox_refused) {                                                             \
			print_message("skipped: no namespaces of our own (%s): needs root\n",      \
				      sandbox_refused);                                            \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static inline int sandbox_furnish(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") ||
	       mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ||
	       system("ip link set lo up");
}

/* Runs a function in a child that does not outlive us, and returns its result. */
static inline int sandbox_child(int (*function)(int (*tests)(void)), int (*tests)(void))
{
	pid_t child = fork();
	int status;

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		exit(function(tests));
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

static inline int sandbox_tests(int (*tests)(void))
{
	return tests();
}

/*
 * Process 1 of the sandbox. The leak sanitizer, which runs in exit(), cannot stop a process 1, so
 * the tests are its child; nor does it work where children get another process namespace.
 */
static inline int sandbox_init(int (*tests)(void))
{
	if (sandbox_furnish())
		sandbox_refused = strerror(errno);
	_exit(sandbox_child(sandbox_tests, tests));
}

/* Runs the tests in a sandbox, or where that is refused, outside, for each of them to skip. */
static inline int sandbox_run(int (*tests)(void))
{
	if (!unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID))
		_exit(sandbox_child(sandbox_init, tests));
	sandbox_refused = strerror(errno);
	return tests();
}

/* system() with a formatted command. */
static inline int __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command);
}

static int sandbox_stderr = -1;

/* What is written to stderr from here on goes to a file, until capture_end(). */
static inline void capture_begin(void)
{
	int file = open("/run/stderr", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);

	fflush(stderr);
	sandbox_stderr = dup(2);
	dup2(file, 2);
	close(file);
}

/* Writes it into text[size]. */
static inline void capture_end(char *text, size_t size)
{
	ssize_t length = pread(2, text, size - 1, 0);

	text[length > 0 ? length : 0] = '\0';
	dup2(sandbox_stderr, 2);
	close(sandbox_stderr);
}

#endif
