/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The file, what of it is in force, its key, and where it lets the daemon listen. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor/checks.h"
#include "doctor/plan.h"

/* Keys whose mistakes another check tells, with a command of its own. */
static bool is_key_file(const char *key)
{
	return strstr(key, "report_key");
}

void check_config(const struct subject *subject, struct findings *findings)
{
	json_t *mistake;
	size_t i;

	if (!subject->mistakes) {
		saw(findings, RESULT_SKIPPED, "it is not known which file the daemon has read");
		return;
	}
	json_array_foreach (subject->mistakes, i, mistake) {
		const char *key = json_string_value(json_object_get(mistake, "key"));

		if (is_key_file(key))
			continue;
		saw(findings, RESULT_WRONG, "%s:%d: %s%s%s", subject->config_path,
		    (int)json_integer_value(json_object_get(mistake, "line")), key,
		    *key ? ": " : "", json_string_value(json_object_get(mistake, "message")));
		mend(findings, "plimsoll check-config %s", subject->config_path);
	}
	if (!json_array_size(findings->list))
		saw(findings, RESULT_OK, "%s has no mistake", subject->config_path);
}

void check_config_in_force(const struct subject *subject, struct findings *findings)
{
	char text[256], command[PATH_MAX + 256];

	if (!subject->plan_in_force) {
		saw(findings, RESULT_SKIPPED, "no daemon tells what is in force");
	} else if (!subject->mistakes || json_array_size(subject->mistakes)) {
		saw(findings, RESULT_SKIPPED, "there is no file without mistakes to compare with");
	} else if (plan_difference(subject->plan, subject->plan_in_force, text, sizeof(text))) {
		saw(findings, RESULT_WRONG, "%s", text);
		write_reload(subject, command, sizeof(command));
		mend(findings, "%s", command);
	} else {
		saw(findings, RESULT_OK, "what the file says is in force");
	}
}

/* "report_key: /etc/plimsoll/report.key", also from a file that has mistakes. */
static bool is_key_line(const char *line, char path[PATH_MAX])
{
	char key[32];

	return line[0] != ' ' && line[0] != '#' &&
	       sscanf(line, "%31[a-z_] : %*[\"']%4095[^\"' \t\n]", key, path) != 2 &&
	       sscanf(line, "%31[a-z_] : %4095[^\"' \t\n]", key, path) == 2 && is_key_file(key);
}

static void judge_key_file(const char *path, struct findings *findings)
{
	struct stat file, directory;
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(parent, sizeof(parent), "%.*s", slash && slash != path ? (int)(slash - path) : 1,
		 path);
	if (stat(path, &file)) {
		saw(findings, RESULT_WRONG, "%s: %m", path);
		mend(findings, "(umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' ' >%s)",
		     path);
	} else if (file.st_mode & (S_IRWXG | S_IRWXO)) {
		saw(findings, RESULT_WRONG, "%s has mode %04o: others than its owner have access",
		    path, file.st_mode & 07777);
		mend(findings, "chmod 600 %s", path);
	} else if (!stat(parent, &directory) && directory.st_mode & (S_IWGRP | S_IWOTH) &&
		   !(directory.st_mode & S_ISVTX)) {
		saw(findings, RESULT_WRONG, "%s has mode %04o: others may put another key there",
		    parent, directory.st_mode & 07777);
		mend(findings, "chmod go-w %s", parent);
	} else {
		saw(findings, RESULT_OK, "%s is its owner's alone", path);
	}
}

void check_key_file(const struct subject *subject, struct findings *findings)
{
	char line[PATH_MAX + 64], path[PATH_MAX];
	FILE *file = *subject->config_path ? fopen(subject->config_path, "re") : NULL;

	if (!file) {
		saw(findings, RESULT_SKIPPED, "there is no file that could name one");
		return;
	}
	while (fgets(line, sizeof(line), file))
		if (is_key_line(line, path))
			judge_key_file(path, findings);
	fclose(file);
	if (!json_array_size(findings->list))
		saw(findings, RESULT_SKIPPED, "no report_key is configured");
}

enum reach {
	REACH_HOST,
	REACH_PRIVATE,
	REACH_ANYBODY,
};

static enum reach reach_of(const char *endpoint)
{
	struct endpoint parsed;
	char text[INET6_ADDRSTRLEN];
	struct in_addr address;
	uint32_t host;

	if (endpoint_parse(endpoint, &parsed))
		return REACH_ANYBODY;
	address_format(parsed.address, text);
	if (inet_pton(AF_INET, text, &address) != 1)
		return !strcmp(text, "::1")  ? REACH_HOST :
		       strchr("fF", text[0]) ? REACH_PRIVATE :
					       REACH_ANYBODY;
	host = ntohl(address.s_addr);
	if (host >> 24 == 127)
		return REACH_HOST;
	if (host >> 24 == 10 || host >> 20 == 0xAC1 || host >> 16 == 0xC0A8 ||
	    host >> 16 == 0xA9FE || host >> 22 == 0x191)
		return REACH_PRIVATE;
	return REACH_ANYBODY;
}

static void judge_listen(const char *config, const char *key, const char *endpoint,
			 const char *better, struct findings *findings)
{
	switch (reach_of(endpoint)) {
	case REACH_HOST:
		saw(findings, RESULT_OK, "%s: %s, for this host alone", key, endpoint);
		break;
	case REACH_PRIVATE:
		saw(findings, RESULT_OK, "%s: %s, a private address", key, endpoint);
		break;
	case REACH_ANYBODY:
		saw(findings, RESULT_WRONG, "%s: %s lets everybody ask who reaches this host", key,
		    endpoint);
		mend(findings, "sed -i 's/^%s:.*/%s: %s/' %s", key, key, better, config);
		break;
	}
}

void check_listen(const struct subject *subject, struct findings *findings)
{
	if (*subject->listen)
		judge_listen(subject->config_path, "listen", subject->listen, "127.0.0.1:9570",
			     findings);
	if (!*subject->listen)
		saw(findings, RESULT_SKIPPED, "nothing listens in TCP");
}
