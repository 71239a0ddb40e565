/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The daemon as a process: does it run, what may it do, how far may it go. */
#include <dirent.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/attached.h"
#include "doctor/checks.h"
#include "doctor/plan.h"

#define CLIENTS_MAX 320 /* connections and streams of the API, at most */

void check_daemon(const struct subject *subject, struct findings *findings)
{
	char command[PATH_MAX + 256];

	if (!*subject->instance) {
		saw(findings, RESULT_SKIPPED, "no instance runs this configuration");
		write_restart(subject, command, sizeof(command));
		mend(findings, "%s", command);
	} else if (!subject->before) {
		saw(findings, RESULT_WRONG, "%s", subject->failure);
		write_restart(subject, command, sizeof(command));
		mend(findings, "%s", command);
	} else {
		saw(findings, RESULT_OK, "instance %s answers, process %d", subject->instance,
		    (int)subject->daemon);
	}
}

struct capability {
	unsigned int bit;
	const char *name;
	bool by_admin; /* CAP_SYS_ADMIN has it, too */
};

static const struct capability capabilities[] = {
	{CAP_BPF, "CAP_BPF", true},
	{CAP_NET_ADMIN, "CAP_NET_ADMIN", false},
	{CAP_PERFMON, "CAP_PERFMON", true},
};

static bool process_line(const struct subject *subject, const char *file, const char *name,
			 char *text, size_t size)
{
	char path[PATH_MAX], line[256];
	bool found = false;
	FILE *lines;

	if (subject->daemon)
		snprintf(path, sizeof(path), "%s/proc/%d/%s", subject->root, (int)subject->daemon,
			 file);
	else
		snprintf(path, sizeof(path), "%s/proc/self/%s", subject->root, file);
	lines = fopen(path, "re");
	if (!lines)
		return false;
	while (!found && fgets(line, sizeof(line), lines)) {
		found = !strncmp(line, name, strlen(name));
		if (found)
			snprintf(text, size, "%s", line + strlen(name));
	}
	fclose(lines);
	return found;
}

void check_capabilities(const struct subject *subject, struct findings *findings)
{
	const char *who = subject->daemon ? "the daemon" : "whoever runs this";
	char text[64], missing[128] = "";
	unsigned long long have;

	if (!process_line(subject, "status", "CapEff:", text, sizeof(text))) {
		saw(findings, RESULT_UNKNOWN, "the capabilities of %s cannot be read", who);
		return;
	}
	have = strtoull(text, NULL, 16);
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		const struct capability *wanted = &capabilities[i];
		size_t used = strlen(missing);

		if (have >> wanted->bit & 1 || (wanted->by_admin && have >> CAP_SYS_ADMIN & 1))
			continue;
		snprintf(missing + used, sizeof(missing) - used, "%s%s", used ? ", " : "",
			 wanted->name);
	}
	if (!*missing) {
		saw(findings, RESULT_OK, "%s has what BPF wants", who);
		return;
	}
	saw(findings, RESULT_WRONG, "%s has no %s", who, missing);
	mend(findings,
	     "setpriv --ambient-caps=+bpf,+net_admin,+perfmon --inh-caps=+bpf,+net_admin,+perfmon "
	     "plimsoll %s --config %s",
	     role_name(subject), *subject->config_path ? subject->config_path : "FILE");
}

bool process_limit(const struct subject *subject, const char *name, char *text, size_t size)
{
	char line[256];

	if (!process_line(subject, "limits", name, line, sizeof(line)))
		return false;
	snprintf(text, size, "%.*s", (int)strcspn(line + strspn(line, " "), " "),
		 line + strspn(line, " "));
	return true;
}

static unsigned int count_open(const struct subject *subject)
{
	char path[PATH_MAX];
	unsigned int count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/proc/%d/fd", subject->root, (int)subject->daemon);
	directory = opendir(path);
	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count > 2 ? count - 2 : 0; /* . and .. */
}

void check_open_files(const struct subject *subject, struct findings *findings)
{
	json_t *partners = plan_partners(subject->plan);
	size_t backends = json_array_size(partners);
	char text[32];
	unsigned long limit, open, wanted;

	json_decref(partners);
	if (!subject->daemon) {
		saw(findings, RESULT_SKIPPED, "no daemon runs that would have a limit");
		return;
	}
	if (!process_limit(subject, "Max open files", text, sizeof(text))) {
		saw(findings, RESULT_UNKNOWN, "the limits of process %d cannot be read",
		    (int)subject->daemon);
		return;
	}
	limit = strtoul(text, NULL, 10);
	open = count_open(subject);
	wanted = open + CLIENTS_MAX + backends;
	if (limit >= wanted) {
		saw(findings, RESULT_OK, "process %d has %lu files open of %lu",
		    (int)subject->daemon, open, limit);
		return;
	}
	saw(findings, RESULT_WRONG,
	    "process %d may have %lu files open; it has %lu, and may come to want %lu",
	    (int)subject->daemon, limit, open, wanted);
	mend(findings, "prlimit --pid %d --nofile=%lu:", (int)subject->daemon, 2 * wanted);
}
