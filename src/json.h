/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Short words for what the daemons say most in JSON. */
#ifndef PLIMSOLL_JSON_H
#define PLIMSOLL_JSON_H

#include <jansson.h>
#include <stdint.h>

static inline void json_set_integer(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static inline void json_set_real(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, json_real(value));
}

#endif
