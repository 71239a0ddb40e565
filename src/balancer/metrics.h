/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A balancer's metrics. Their number grows with the backends and with nothing else. */
#ifndef PLIMSOLL_BALANCER_METRICS_H
#define PLIMSOLL_BALANCER_METRICS_H

#include <stdio.h>

#include "balancer/routes.h"

/* context: a struct sources. */
void balancer_metrics(FILE *out, void *context);

#endif
