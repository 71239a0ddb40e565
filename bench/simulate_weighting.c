/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_weighting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weighting.h"

/* The names are the constants' own, without their prefix and in small letters. */
#define CONSTANTS(X)                                                                               \
	X(gain, WEIGHTING_GAIN)                                                                    \
	X(step_max, WEIGHTING_STEP_MAX)                                                            \
	X(factor_max, WEIGHTING_FACTOR_MAX)                                                        \
	X(dead_band, WEIGHTING_DEAD_BAND)                                                          \
	X(significance, WEIGHTING_SIGNIFICANCE)                                                    \
	X(samples_min, WEIGHTING_SAMPLES_MIN)                                                      \
	X(samples_max, WEIGHTING_SAMPLES_MAX)

struct constants {
#define CONSTANT_FIELD(name, constant) double name;
	CONSTANTS(CONSTANT_FIELD)
};

static const struct constants published = {
#define CONSTANT_VALUE(name, constant) .name = (constant),
	CONSTANTS(CONSTANT_VALUE)};

static struct constants tuned;

static double *constant_by_name(const char *name, size_t length)
{
#define CONSTANT_CASE(field, constant)                                                             \
	if (strlen(#field) == length && !strncmp(#field, name, length))                            \
		return &tuned.field;
	CONSTANTS(CONSTANT_CASE)
	return NULL;
}

int weighting_tune(const char *changes)
{
	tuned = published;
	while (changes && *changes) {
		size_t length = strcspn(changes, "=");
		double *constant = constant_by_name(changes, length);
		char *end;

		if (!constant || !changes[length])
			return -EINVAL;
		*constant = strtod(changes + length + 1, &end);
		changes = end + strspn(end, " ");
	}
	return 0;
}

#undef WEIGHTING_GAIN
#undef WEIGHTING_STEP_MAX
#undef WEIGHTING_FACTOR_MAX
#undef WEIGHTING_DEAD_BAND
#undef WEIGHTING_SIGNIFICANCE
#undef WEIGHTING_SAMPLES_MIN
#undef WEIGHTING_SAMPLES_MAX
#define WEIGHTING_GAIN tuned.gain
#define WEIGHTING_STEP_MAX tuned.step_max
#define WEIGHTING_FACTOR_MAX tuned.factor_max
#define WEIGHTING_DEAD_BAND tuned.dead_band
#define WEIGHTING_SIGNIFICANCE tuned.significance
#define WEIGHTING_SAMPLES_MIN tuned.samples_min
#define WEIGHTING_SAMPLES_MAX tuned.samples_max

#include "../src/weighting.c"
