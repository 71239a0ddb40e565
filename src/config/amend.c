/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "amend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reader.h"
#include "table.h"

static const struct mapping *backend_mapping(void)
{
	return field_find(&service_mapping, "backends")->mapping;
}

void backend_begin(struct backend_config *backend)
{
	memset(backend, 0, sizeof(*backend));
	set_defaults(backend_mapping(), (char *)backend);
}

static void list_keys(const struct mapping *mapping, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (const struct field *field = mapping->fields; field->key && used < size; field++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
					 field->key);
}

int backend_set(struct backend_config *backend, const char *key, const char *text,
		char wrong[AMEND_WRONG_MAX])
{
	const struct field *field = field_find(backend_mapping(), key);
	char expected[EXPECTED_MAX];
	const char *complaint;

	if (!field) {
		list_keys(backend_mapping(), expected, sizeof(expected));
		snprintf(wrong, AMEND_WRONG_MAX, "unknown key \"%.64s\"; expected one of %s", key,
			 expected);
		return -EINVAL;
	}
	complaint = field->parse(field, text, (char *)backend + field->offset);
	if (!complaint)
		return 0;
	snprintf(wrong, AMEND_WRONG_MAX, "%s: \"%.64s\" %s; expected %s", key, text, complaint,
		 field_expected(field, expected));
	return -EINVAL;
}

int service_append(struct service_config *service, const struct backend_config *backend)
{
	struct backend_config *longer =
		realloc(service->backends, (service->backend_count + 1) * sizeof(*longer));

	if (!longer)
		return -ENOMEM;
	longer[service->backend_count++] = *backend;
	service->backends = longer;
	return 0;
}

void service_remove(struct service_config *service, const struct backend_config *backend)
{
	size_t i = (size_t)(backend - service->backends);

	memmove(&service->backends[i], &service->backends[i + 1],
		(--service->backend_count - i) * sizeof(*service->backends));
}

/* There is no file whose lines could be told. */
static void note(const char *path, int line, const char *key, const char *message, void *context)
{
	char *wrong = context;

	(void)path;
	(void)line;
	if (!*wrong)
		snprintf(wrong, AMEND_WRONG_MAX, "%s%s%s", key ? key : "", key ? ": " : "",
			 message);
}

/* The key is in a file of its own, which may have changed since. */
static int write_keyless(const struct config *config, int file)
{
	struct config keyless = *config;
	FILE *out = fdopen(dup(file), "w");

	if (!out)
		return -errno;
	keyless.keyed = keyless.old_keyed = false;
	config_write(&keyless, out);
	return fclose(out) ? -errno : 0;
}

int config_check(const struct config *config, char wrong[AMEND_WRONG_MAX])
{
	int file = memfd_create("config", MFD_CLOEXEC);
	struct config *again = NULL;
	char path[64];
	int err = file < 0 ? -errno : write_keyless(config, file);

	wrong[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (!err)
		err = config_read(path, config->role, &again, note, wrong);
	if (err && !*wrong)
		snprintf(wrong, AMEND_WRONG_MAX, "cannot be checked: %s", strerror(-err));
	config_free(again);
	if (file >= 0)
		close(file);
	return err;
}
