// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel_needs.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The oldest that `make test-kernels` runs on. */
#define OLDEST_MAJOR 6
#define OLDEST_MINOR 1

static bool is_older(const char *release)
{
	int major, minor;

	if (sscanf(release, "%d.%d", &major, &minor) != 2)
		return false;
	return major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR);
}

bool kernel_lacks(const char *release, bool has_types, char *text, size_t size)
{
	if (is_older(release)) {
		snprintf(
			text, size,
			"Linux %s is too old: the oldest on which Plimsoll is tested is %d.%d; its programs use "
			"bpf_loop() of 5.17 and bpf_xdp_load_bytes() of 5.18",
			release, OLDEST_MAJOR, OLDEST_MINOR);
		return true;
	}
	if (!has_types) {
		snprintf(
			text, size,
			"this kernel does not describe its types: there is no /sys/kernel/btf/vmlinux. One "
			"built with CONFIG_DEBUG_INFO_BTF, as Debian's are, does");
		return true;
	}
	return false;
}

bool this_kernel_lacks(char *text, size_t size)
{
	struct utsname name;

	return !uname(&name) &&
	       kernel_lacks(name.release, !access("/sys/kernel/btf/vmlinux", R_OK), text, size);
}
