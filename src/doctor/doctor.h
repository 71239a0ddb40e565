/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_DOCTOR_H
#define PLIMSOLL_DOCTOR_H

#include <stdio.h>

#include "doctor/checks.h"

/* Called before each check, with its name, and with NULL at the end. */
typedef void examine_progress(const char *name);

/*
 * Makes every check that is for the subject's side. Returns a new object: "role", "instance", "config", and "checks",
 * each with its "name", "result", "why" and "findings"; *worst of them all.
 */
json_t *examine(struct subject *subject, examine_progress *progress, enum result *worst);

/* Every check, and what it is for. */
void examine_explain(FILE *out);

#endif
