/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/moves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/compare.h"
#include "log.h"

static size_t count_members(const struct config *config, size_t services)
{
	size_t count = 0;

	for (size_t i = 0; i < services; i++)
		count += config->services[i].backend_count;
	return count;
}

static void find_members(size_t *members, const struct service_config *before, size_t first,
			 const struct service_config *now)
{
	for (size_t j = 0; j < now->backend_count; j++) {
		const struct backend_config *backend =
			before ? service_find_backend(before, now->backends[j].address, j) : NULL;

		members[j] = backend ? first + (size_t)(backend - before->backends) : NOWHERE;
	}
}

int moves_find(struct moves *moves, const struct config *before, const struct config *now)
{
	size_t *members;

	moves->service_count = now->service_count;
	moves->member_count = count_members(now, now->service_count);
	moves->services = calloc(moves->service_count + 1, sizeof(*moves->services));
	moves->members = members = calloc(moves->member_count + 1, sizeof(*moves->members));
	if (!moves->services || !members) {
		moves_free(moves);
		return -ENOMEM;
	}
	for (size_t i = 0; i < now->service_count; i++) {
		const struct service_config *service =
			config_find_service(before, &now->services[i], i);
		size_t number = service ? (size_t)(service - before->services) : NOWHERE;

		moves->services[i] = number;
		find_members(members, service, service ? count_members(before, number) : 0,
			     &now->services[i]);
		members += now->services[i].backend_count;
	}
	return 0;
}

void moves_free(struct moves *moves)
{
	free(moves->services);
	free(moves->members);
	memset(moves, 0, sizeof(*moves));
}

void moves_carry(void *array, size_t size, const size_t *from, size_t count)
{
	char **place = array, *carried = calloc(count + 1, size);

	if (!carried) {
		log_error("out of memory in the middle of a change; start the daemon again");
		abort();
	}
	for (size_t i = 0; i < count; i++)
		if (from[i] != NOWHERE)
			memcpy(carried + i * size, *place + from[i] * size, size);
	free(*place);
	*place = carried;
}
