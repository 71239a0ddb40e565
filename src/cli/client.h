/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Questions to a daemon, over the socket of its instance. */
#ifndef PLIMSOLL_CLIENT_H
#define PLIMSOLL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#define PATH_TEXT_MAX 512

/*
 * GETs path ("/api/v1/status"). *answer is a new reference in any case: what the daemon said, or
 * {"error": "..."} in a sentence for people; NULL only for want of memory. Prints nothing.
 * Returns 0; -ENOENT if there is no such instance, -ECONNREFUSED if its daemon does not run,
 * -EACCES, -ETIMEDOUT, -ESRCH if what the path names is not there, -EREMOTEIO if the daemon
 * refused otherwise, -EBADMSG if it said what is no JSON; or
 * another -errno.
 */
int client_get(const char *instance, const char *path, json_t **answer);

/* POSTs change, an object, to path: likewise. */
int client_post(const char *instance, const char *path, const json_t *change, json_t **answer);

/* DELETEs path: likewise. */
int client_delete(const char *instance, const char *path, json_t **answer);

/* client_get() by the path of the socket; the instance's name is for the messages only. */
int client_get_from(const char *socket_path, const char *instance, const char *path,
		    json_t **answer);

/* "/api/v1/services/web", what is behind it, and a last name ("" = none). False if that is too long. */
bool client_service_path(const char *service, const char *behind, const char *last,
			 char path[PATH_TEXT_MAX]);

/*
 * How an answer that takes its time is waited for. Everything about ten thousands of backends takes seconds
 * on a busy machine; the line on stderr that says so is wiped out again.
 */
enum client_manner {
	CLIENT_BRIEF, /* unless told otherwise */
	CLIENT_PATIENT,
	CLIENT_PATIENT_SHOWN,
};

void client_wait(enum client_manner manner);

/* The "error" of an answer, or a sentence that there is none. */
const char *client_error(const json_t *answer);

#endif
