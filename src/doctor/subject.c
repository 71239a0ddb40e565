/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "doctor/subject.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/client.h"
#include "clock.h"
#include "doctor/plan.h"
#include "log.h"
#include "runtime.h"

/* Counters have to have the time to rise. */
#define LOOK_AGAIN_NS 500000000ULL

static const char *const role_names[] = {
	[CONFIG_BALANCER] = "balancer",
	[CONFIG_SERVER] = "server",
};

const char *role_name(const struct subject *subject)
{
	return role_names[subject->role];
}

bool look_text(const struct subject *subject, char *text, size_t size, const char *format, ...)
{
	char path[PATH_MAX];
	va_list arguments;
	size_t used;
	FILE *file;
	bool read;

	used = (size_t)snprintf(path, sizeof(path), "%s", subject->root);
	va_start(arguments, format);
	vsnprintf(path + used, sizeof(path) - used, format, arguments);
	va_end(arguments);
	file = fopen(path, "re");
	if (!file)
		return false;
	read = fgets(text, (int)size, file);
	fclose(file);
	if (read)
		text[strcspn(text, "\n")] = '\0';
	return read;
}

bool look_number(const struct subject *subject, long *value, const char *format, ...)
{
	char path[PATH_MAX], text[32], *end;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	if (!look_text(subject, text, sizeof(text), "%s", path))
		return false;
	*value = strtol(text, &end, 0);
	return end != text;
}

json_int_t counted(const struct subject *subject, const char *group, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(subject->after, group), name));
}

json_int_t risen(const struct subject *subject, const char *group, const char *name)
{
	return counted(subject, group, name) -
	       json_integer_value(json_object_get(json_object_get(subject->before, group), name));
}

static bool in_unit(const struct subject *subject, char *unit, size_t size)
{
	char text[256];
	const char *name;

	if (!subject->daemon ||
	    !look_text(subject, text, sizeof(text), "/proc/%d/cgroup", (int)subject->daemon))
		return false;
	name = strrchr(text, '/');
	if (!name || strncmp(name, "/plimsoll", strlen("/plimsoll")))
		return false;
	snprintf(unit, size, "%s", name + 1);
	return true;
}

static void write_start(const struct subject *subject, const char *first, const char *last,
			char *text, size_t size)
{
	const char *role = role_name(subject);
	char instance[96] = "";

	if (*subject->instance && strcmp(subject->instance, role))
		snprintf(instance, sizeof(instance), " --instance %s", subject->instance);
	snprintf(text, size, "%splimsoll %s --config %s%s%s", first, role,
		 *subject->config_path ? subject->config_path : "FILE", instance, last);
}

void write_restart(const struct subject *subject, char *text, size_t size)
{
	char unit[96];

	if (in_unit(subject, unit, sizeof(unit)))
		snprintf(text, size, "systemctl restart %s", unit);
	else
		write_start(subject, "", subject->daemon ? " --takeover" : "", text, size);
}

void write_begin_anew(const struct subject *subject, char *text, size_t size)
{
	char stop[32] = "", unit[96];

	if (in_unit(subject, unit, sizeof(unit))) {
		snprintf(text, size, "systemctl stop %s; systemctl start %s", unit, unit);
		return;
	}
	if (subject->daemon)
		snprintf(stop, sizeof(stop), "kill %d; ", (int)subject->daemon);
	write_start(subject, stop, "", text, size);
}

void write_reload(const struct subject *subject, char *text, size_t size)
{
	if (strcmp(subject->instance, role_name(subject)) != 0)
		snprintf(text, size, "plimsoll reload --instance %s", subject->instance);
	else
		snprintf(text, size, "plimsoll reload");
}

/* ------------------------------------------------------------------- which instance */

/* The file that an instance was started with; its daemon leaves a link to it. */
static bool config_of(const char *instance, char path[PATH_MAX])
{
	char link[PATH_MAX];
	ssize_t length;

	runtime_path(instance, "config", link, sizeof(link));
	length = readlink(link, path, PATH_MAX - 1);
	path[length > 0 ? length : 0] = '\0';
	return length > 0;
}

/* The process that has the instance's lock; 0 if none has. */
static pid_t daemon_of(const char *instance)
{
	char path[PATH_MAX];
	long pid;

	runtime_path(instance, "lock", path, sizeof(path));
	if (!look_number(&(struct subject){.root = ""}, &pid, "%s", path) || pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%ld", pid);
	return access(path, F_OK) ? 0 : (pid_t)pid;
}

/* Is it in our network? Who does not run is in none. */
static bool is_here(pid_t daemon)
{
	char path[64], own[64] = "", other[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)daemon);
	return !daemon || readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0 ||
	       readlink(path, other, sizeof(other) - 1) < 0 || !strcmp(own, other);
}

/* Those that may be meant when none is named. */
struct instance_search {
	struct subject *subject;
	size_t count; /* the last one's name is the subject's instance */
};

static void consider_instance(const char *name, void *context)
{
	struct instance_search *search = context;
	struct subject *subject = search->subject;
	char path[PATH_MAX];

	if (!is_here(daemon_of(name)) ||
	    (*subject->config_path &&
	     (!config_of(name, path) || strcmp(path, subject->config_path) != 0)))
		return;
	snprintf(subject->instance, sizeof(subject->instance), "%s", name);
	search->count++;
}

/* Without a name: the one that was started with that file; without a file, the only one here. */
static int find_instance(struct subject *subject, const char *instance, bool json)
{
	struct instance_search search = {.subject = subject};
	int err;

	if (!instance) {
		runtime_each(consider_instance, &search);
		if (search.count == 1 || *subject->config_path)
			return 0;
	}
	err = answer_instance(json, instance, subject->instance);
	if (err && !json && !instance && !search.count)
		log_notice("before the first start it looks whether this host is ready: plimsoll "
			   "doctor --config FILE");
	return err;
}

/* Another network than the daemon's has other interfaces: everything we could say would be wrong. */
static int check_network(const struct subject *subject, bool json)
{
	if (is_here(subject->daemon))
		return 0;
	answer_fail(json,
		    "instance %s runs in another network namespace; look from inside: nsenter "
		    "--net=/proc/%d/ns/net plimsoll doctor --instance %s",
		    subject->instance, (int)subject->daemon, subject->instance);
	return -EXDEV;
}

/* ------------------------------------------------------------------- what is told of it */

static void note_mistake(const char *path, int line, const char *key, const char *message,
			 void *context)
{
	(void)path;
	json_array_append_new(context, json_pack("{s:i,s:s,s:s}", "line", line, "key",
						 key ? key : "", "message", message));
}

static void read_config(struct subject *subject, bool guess)
{
	struct config *config = NULL;

	if (!*subject->config_path)
		return;
	subject->mistakes = json_array();
	if (guess && config_guess_role(subject->config_path, &subject->role, note_mistake,
				       subject->mistakes))
		return;
	if (config_read(subject->config_path, subject->role, &config, note_mistake,
			subject->mistakes))
		return;
	subject->plan = plan_of_config(config);
	subject->keyed = config->keyed;
	if (config->listening)
		endpoint_format(&config->listen, subject->listen);
	if (config->agent_listening)
		endpoint_format(&config->agent_listen, subject->agent_listen);
	config_free(config);
}

/* Why a daemon does not answer is what a check tells; only where that is our fault is it an error. */
static int ask_daemon(struct subject *subject, bool json)
{
	int err;

	if (!*subject->instance)
		return 0;
	err = client_get(subject->instance, "/api/v1/status", &subject->before);
	if (err) {
		snprintf(subject->failure, sizeof(subject->failure), "%s",
			 client_error(subject->before));
		json_decref(subject->before);
		subject->before = NULL;
		/* Who may not ask may not look either: he would find our own programs to be strangers'. */
		if (err == -EACCES)
			answer_fail(json, "%s", subject->failure);
		return err == -EACCES ? err : 0;
	}
	subject->seconds = (double)now_ns() / 1e9;
	subject->plan_in_force = plan_of_status(subject->before);
	return 0;
}

static bool role_of_status(struct subject *subject)
{
	const char *role = json_string_value(json_object_get(subject->before, "role"));

	if (role)
		subject->role = strcmp(role, "server") ? CONFIG_BALANCER : CONFIG_SERVER;
	return role;
}

static void look_at_links(struct subject *subject)
{
	json_t *name;
	size_t i;

	json_array_foreach (json_object_get(subject->plan, "interfaces"), i, name) {
		if (subject->link_count == LINKS_MAX)
			break;
		subject->links[subject->link_count].name = json_string_value(name);
		link_look(&subject->links[subject->link_count++]);
	}
}

int subject_open(struct subject *subject, const char *config_path, const char *instance, bool json)
{
	char path[PATH_MAX];
	int err;

	memset(subject, 0, sizeof(*subject));
	subject->root = "";
	if (config_path && !realpath(config_path, path)) {
		answer_fail(json, "%s: %m", config_path);
		return -errno;
	}
	if (config_path)
		snprintf(subject->config_path, sizeof(subject->config_path), "%s", path);
	err = find_instance(subject, instance, json);
	if (err)
		return err;
	if (*subject->instance)
		subject->daemon = daemon_of(subject->instance);
	err = check_network(subject, json);
	if (err)
		return err;
	if (!config_path && config_of(subject->instance, path))
		snprintf(subject->config_path, sizeof(subject->config_path), "%s", path);
	err = ask_daemon(subject, json);
	if (err)
		return err;
	read_config(subject, !role_of_status(subject));
	if (!subject->plan && subject->plan_in_force)
		subject->plan = json_incref(subject->plan_in_force);
	if (!subject->plan) {
		answer_fail(json, "neither a configuration nor a daemon says what to look at: %s",
			    *subject->failure ? subject->failure : "see \"plimsoll check-config\"");
		return -ENODATA;
	}
	look_at_links(subject);
	return 0;
}

void subject_close(struct subject *subject)
{
	json_decref(subject->plan);
	json_decref(subject->plan_in_force);
	json_decref(subject->mistakes);
	json_decref(subject->before);
	json_decref(subject->after);
}

void subject_look_again(struct subject *subject)
{
	double now = (double)now_ns() / 1e9;
	double rest = LOOK_AGAIN_NS / 1e9 - (now - subject->seconds);
	struct timespec pause = {.tv_nsec = (long)(rest * 1e9)};

	if (!subject->before || subject->after)
		return;
	if (rest > 0)
		nanosleep(&pause, NULL);
	if (client_get(subject->instance, "/api/v1/status", &subject->after)) {
		json_decref(subject->after);
		subject->after = NULL;
	}
	subject->seconds = (double)now_ns() / 1e9 - subject->seconds;
}
