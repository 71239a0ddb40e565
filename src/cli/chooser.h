/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asks the data path's own code, over the data path's own maps, where a flow is or would be. */
#ifndef PLIMSOLL_CHOOSER_H
#define PLIMSOLL_CHOOSER_H

#include <netinet/in.h>
#include <stdbool.h>

#include "cli/kernel.h"

struct flow_place {
	bool known; /* in the flow table, with a backend that is still the service's */
	bool closing; /* the client has ended it: a SYN would choose anew */
	bool contested; /* so many flows want its place in the table that it would go by its hash */
	uint32_t backend; /* that it has, or would get; BACKEND_NONE */
	struct decision decision; /* of the latter */
};

/* Changes nothing. Returns 0 or -errno. */
int chooser_ask(const struct kernel *kernel, const struct known_service *service,
		const struct endpoint *client, struct flow_place *place);

#endif
