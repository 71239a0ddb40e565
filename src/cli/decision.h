/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a flow has its backend: what select_backend() has noted, in words and as JSON. */
#ifndef PLIMSOLL_CLI_DECISION_H
#define PLIMSOLL_CLI_DECISION_H

#include <jansson.h>
#include <stdio.h>

#include "cli/kernel.h"

/* "new flow, candidates 10.1.0.13 (0.42) and 10.1.0.17 (1.90), took 10.1.0.13" */
void decision_describe(FILE *out, const struct kernel *kernel, const struct service *service,
		       const struct decision *decision, uint32_t took, bool opens);

/* Sets "flow", "backend", "looked_at" and "candidates", each with its "key"; null is unknown. */
void decision_json(json_t *object, const struct kernel *kernel, const struct service *service,
		   const struct decision *decision, uint32_t took, bool opens);

#endif
