/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A balancer's half in the kernel as others than its daemon see it: by its pinned maps, which are
 * there also when the daemon is not.
 */
#ifndef PLIMSOLL_KERNEL_H
#define PLIMSOLL_KERNEL_H

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "shared.h"

#define SERVICE_NAME_MAX 64

struct known_service {
	struct service_key key;
	struct service service;
	char name[SERVICE_NAME_MAX]; /* its address if the daemon cannot be asked */
};

struct kernel {
	char pins[PATH_MAX];
	struct settings *settings; /* the daemon's, too: write nothing but `tracing` */
	const struct backend *backends;
	size_t backend_count;
	const struct health *healths;
	size_t health_count;
	const struct load *loads;
	size_t load_count;
	const struct bucket *flows;
	size_t flow_buckets;
	struct known_service *services;
	size_t service_count;
};

/* Returns 0 or -errno, having told why in the manner of answer.h. */
int kernel_open(struct kernel *kernel, const char *instance, bool json);
void kernel_close(struct kernel *kernel);

/* One more of its maps, by name. Returns its fd or -errno, having told why. */
int kernel_map(const struct kernel *kernel, const char *name, bool json);

/*
 * By name, or by address. Of one that serves every port, NAME:PORT and ADDRESS:PORT mean that port, which
 * service->key has then. Returns 0, or -ENOENT, and told what there is.
 */
int kernel_find_service(const struct kernel *kernel, const char *wanted, bool json,
			struct known_service *service);

/* Whose packets have that end: of the very port and protocol before others. NULL if nobody's. */
const struct known_service *kernel_service_at(const struct kernel *kernel,
					      const struct endpoint *end, uint8_t protocol);

/* By the number that records have; NULL if it has gone. */
const struct known_service *kernel_service(const struct kernel *kernel, uint32_t id);

/* The address of a backend by its index, "-" for none. Writes at most ADDRESS_TEXT_MAX bytes. */
const char *kernel_backend_text(const struct kernel *kernel, uint32_t index, char *text);

/* The address of the server whose reports bear that id; as an IPv4 address if there is none. */
const char *kernel_server_text(const struct kernel *kernel, uint32_t id, char *text);

/* Is the address that of a backend? */
bool kernel_has_backend(const struct kernel *kernel, struct ip_address address);

#endif
