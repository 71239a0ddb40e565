/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A server's metrics: its load, and what it has told its balancers. */
#ifndef PLIMSOLL_SERVER_METRICS_H
#define PLIMSOLL_SERVER_METRICS_H

#include <stdio.h>

/* context: a struct server_status. */
void server_metrics(FILE *out, void *context);

#endif
