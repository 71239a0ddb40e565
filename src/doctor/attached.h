/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The instance's programs and process, as the kernel has them. */
#ifndef PLIMSOLL_DOCTOR_ATTACHED_H
#define PLIMSOLL_DOCTOR_ATTACHED_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/subject.h"

struct attached {
	uint32_t program; /* its id */
	bool jited;
};

/* One of them, whichever is there. */
bool attached_first(const struct subject *subject, struct attached *attached);

/* "Max open files" of the daemon: what is in force. False if it cannot be read. */
bool process_limit(const struct subject *subject, const char *name, char *text, size_t size);

#endif
