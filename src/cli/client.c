/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "runtime.h"

#define BRIEF_SECONDS 5L /* a daemon answers within milliseconds */
#define PATIENT_SECONDS 30L
#define CHANGE_SECONDS 60L /* where thousands of rings are built anew, it takes longer */
#define HTTP_OK 200
#define HTTP_NOT_FOUND 404
#define SECOND_NS 1000000000ULL

/* One exchange. `text` belongs to `body`, and is whole after fclose(). */
struct exchange {
	CURL *curl;
	struct curl_slist *headers; /* of a POST */
	long patience; /* s */
	FILE *body;
	char *text;
	size_t length;
	const char *instance; /* for who waits */
	uint64_t began_ns;
	uint64_t told_seconds; /* how long it takes already; 0 = not told */
};

static enum client_manner manner;

void client_wait(enum client_manner wanted)
{
	manner = wanted;
}

/* By libcurl, at least once a second. */
static int tell_waiting(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total,
			curl_off_t up_now)
{
	struct exchange *exchange = context;
	uint64_t seconds = (now_ns() - exchange->began_ns) / SECOND_NS;

	(void)total;
	(void)up_total;
	(void)up_now;
	if (seconds == exchange->told_seconds)
		return 0;
	fprintf(stderr, "\rwaiting for the daemon of instance %s: %llu s", exchange->instance,
		(unsigned long long)seconds);
	if (now)
		fprintf(stderr, ", %.1f MB have come", (double)now / 1e6);
	exchange->told_seconds = seconds;
	return 0;
}

static void show_waiting(struct exchange *exchange, const char *instance)
{
	exchange->instance = instance;
	exchange->began_ns = now_ns();
	curl_easy_setopt(exchange->curl, CURLOPT_XFERINFOFUNCTION, tell_waiting);
	curl_easy_setopt(exchange->curl, CURLOPT_XFERINFODATA, exchange);
	curl_easy_setopt(exchange->curl, CURLOPT_NOPROGRESS, 0L);
}

__attribute__((format(printf, 3, 4))) static int fail(int err, json_t **answer, const char *format,
						      ...)
{
	va_list arguments;

	va_start(arguments, format);
	*answer = json_pack("{s:o}", "error", json_vsprintf(format, arguments));
	va_end(arguments);
	return err;
}

static int fail_to_connect(int err, const char *socket_path, const char *instance, json_t **answer)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(socket_path, '/');

	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - socket_path) : 0,
		 socket_path);
	if (err == ENOENT && access(directory, F_OK))
		return fail(-ENOENT, answer, "there is no instance %s: %s does not exist", instance,
			    directory);
	if (err == EACCES)
		return fail(
			-EACCES, answer,
			"may not talk to instance %s: %s is for root and whom it runs as; use sudo",
			instance, socket_path);
	if (err == ENOENT || err == ECONNREFUSED)
		return fail(-ECONNREFUSED, answer,
			    "the daemon of instance %s does not run; its data path, if pinned, "
			    "goes on forwarding; start it again with \"plimsoll balancer\" or "
			    "\"plimsoll server\" --config FILE --instance %s",
			    instance, instance);
	return fail(-err, answer, "cannot reach the daemon of instance %s on %s: %s", instance,
		    socket_path, strerror(err));
}

static int fail_in_exchange(const struct exchange *exchange, CURLcode code, const char *socket_path,
			    const char *instance, json_t **answer)
{
	long err = 0;

	curl_easy_getinfo(exchange->curl, CURLINFO_OS_ERRNO, &err);
	if (code == CURLE_COULDNT_CONNECT && err)
		return fail_to_connect((int)err, socket_path, instance, answer);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return fail(-ETIMEDOUT, answer,
			    "the daemon of instance %s has not answered for %ld s", instance,
			    exchange->patience);
	return fail(-EIO, answer, "cannot talk to the daemon of instance %s on %s: %s", instance,
		    socket_path, curl_easy_strerror(code));
}

static int exchange_open(struct exchange *exchange)
{
	/* Not even TLS: its tables would cost more than the whole exchange. */
	if (curl_global_init(CURL_GLOBAL_NOTHING))
		return -ENOMEM;
	exchange->curl = curl_easy_init();
	exchange->body = open_memstream(&exchange->text, &exchange->length);
	return exchange->curl && exchange->body ? 0 : -ENOMEM;
}

static void exchange_close(struct exchange *exchange)
{
	if (exchange->body)
		fclose(exchange->body);
	free(exchange->text);
	curl_slist_free_all(exchange->headers);
	curl_easy_cleanup(exchange->curl);
	curl_global_cleanup();
}

static CURLcode exchange_run(struct exchange *exchange, const char *socket_path, const char *path)
{
	char url[1024];
	CURLcode code;

	snprintf(url, sizeof(url), "http://localhost%s", path);
	curl_easy_setopt(exchange->curl, CURLOPT_URL, url);
	curl_easy_setopt(exchange->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl_easy_setopt(exchange->curl, CURLOPT_PROXY, ""); /* whatever http_proxy says */
	curl_easy_setopt(exchange->curl, CURLOPT_TIMEOUT, exchange->patience);
	curl_easy_setopt(exchange->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(exchange->curl, CURLOPT_WRITEDATA, exchange->body);
	code = curl_easy_perform(exchange->curl);
	if (exchange->told_seconds)
		fputs("\r\033[K", stderr);
	return code;
}

/* change: NULL to ask only, or what the method says. method: NULL for GET and POST. */
static int exchange_prepare(struct exchange *exchange, const char *method, const json_t *change)
{
	char *text;

	exchange->patience = change || method	    ? CHANGE_SECONDS :
			     manner == CLIENT_BRIEF ? BRIEF_SECONDS :
						      PATIENT_SECONDS;
	if (method)
		curl_easy_setopt(exchange->curl, CURLOPT_CUSTOMREQUEST, method);
	if (!change)
		return 0;
	exchange->headers = curl_slist_append(NULL, "Content-Type: application/json");
	text = json_dumps(change, JSON_COMPACT);
	if (exchange->headers && text) {
		curl_easy_setopt(exchange->curl, CURLOPT_HTTPHEADER, exchange->headers);
		curl_easy_setopt(exchange->curl, CURLOPT_COPYPOSTFIELDS, text);
	}
	free(text);
	return exchange->headers && text ? 0 : -ENOMEM;
}

/* What the daemon said, as JSON; an error of its own is handed on. */
static int exchange_read(struct exchange *exchange, const char *instance, json_t **answer)
{
	long status = 0;

	fflush(exchange->body);
	curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
	*answer = json_loadb(exchange->text, exchange->length, 0, NULL);
	if (status == HTTP_OK && json_is_object(*answer))
		return 0;
	if (status != HTTP_OK && json_is_string(json_object_get(*answer, "error")))
		return status == HTTP_NOT_FOUND ? -ESRCH : -EREMOTEIO;
	json_decref(*answer);
	if (status == HTTP_OK)
		return fail(-EBADMSG, answer, "the daemon of instance %s answered no JSON object",
			    instance);
	return fail(-EREMOTEIO, answer, "the daemon of instance %s answered HTTP status %ld",
		    instance, status);
}

static int client_exchange(const char *socket_path, const char *instance, const char *path,
			   const char *method, const json_t *change, json_t **answer)
{
	struct exchange exchange = {0};
	CURLcode code;
	int err;

	*answer = NULL;
	err = exchange_open(&exchange);
	if (!err)
		err = exchange_prepare(&exchange, method, change);
	if (err)
		goto out;
	if (manner == CLIENT_PATIENT_SHOWN)
		show_waiting(&exchange, instance);
	code = exchange_run(&exchange, socket_path, path);
	if (code == CURLE_OK)
		err = exchange_read(&exchange, instance, answer);
	else
		err = fail_in_exchange(&exchange, code, socket_path, instance, answer);
out:
	exchange_close(&exchange);
	return err;
}

int client_get_from(const char *socket_path, const char *instance, const char *path,
		    json_t **answer)
{
	return client_exchange(socket_path, instance, path, NULL, NULL, answer);
}

int client_get(const char *instance, const char *path, json_t **answer)
{
	return client_post(instance, path, NULL, answer);
}

int client_post(const char *instance, const char *path, const json_t *change, json_t **answer)
{
	char socket_path[PATH_MAX];

	runtime_path(instance, "api.sock", socket_path, sizeof(socket_path));
	return client_exchange(socket_path, instance, path, NULL, change, answer);
}

int client_delete(const char *instance, const char *path, json_t **answer)
{
	char socket_path[PATH_MAX];

	runtime_path(instance, "api.sock", socket_path, sizeof(socket_path));
	return client_exchange(socket_path, instance, path, "DELETE", NULL, answer);
}

bool client_service_path(const char *service, const char *behind, const char *last,
			 char path[PATH_TEXT_MAX])
{
	char *service_word = curl_easy_escape(NULL, service, 0);
	char *last_word = curl_easy_escape(NULL, last, 0);
	int length = PATH_TEXT_MAX;

	if (service_word && last_word)
		length = snprintf(path, PATH_TEXT_MAX, "/api/v1/services/%s%s%s", service_word,
				  behind, last_word);
	curl_free(service_word);
	curl_free(last_word);
	return length < PATH_TEXT_MAX;
}

const char *client_error(const json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	return error ? error : "out of memory";
}
