/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How long a request is worked on: a distribution, and classes of longer and shorter ones. */
#ifndef PLIMSOLL_LAB_SERVICE_TIME_H
#define PLIMSOLL_LAB_SERVICE_TIME_H

#include "random.h"
#include "values.h"

#define CLASSES_MAX 4

enum service_kind {
	SERVICE_EXPONENTIAL,
	SERVICE_UNIFORM,
	SERVICE_FIXED,
};

struct service_time {
	enum service_kind kind;
	double mean_ns; /* of a class of factor 1; the uniform one has its own */
	double lowest_ns;
	double highest_ns;
	unsigned int classes;
	struct {
		double share;
		double factor;
	} class[CLASSES_MAX];
};

/* "exponential", "fixed", "uniform:20ms,80ms". Returns 0 or -EINVAL. */
static inline int service_time_parse(const char *text, struct service_time *service)
{
	if (!strcmp(text, "exponential")) {
		service->kind = SERVICE_EXPONENTIAL;
		return 0;
	}
	if (!strcmp(text, "fixed")) {
		service->kind = SERVICE_FIXED;
		return 0;
	}
	service->kind = SERVICE_UNIFORM;
	if (strncmp(text, "uniform:", 8) || parse_duration(text + 8, &text, &service->lowest_ns) ||
	    *text != ',' || parse_duration(text + 1, NULL, &service->highest_ns) ||
	    service->highest_ns < service->lowest_ns)
		return -EINVAL;
	service->mean_ns = (service->lowest_ns + service->highest_ns) / 2;
	return 0;
}

/* "0.9,1/0.1,11": nine in ten as they are, one in ten eleven times longer. */
static inline int service_mix_parse(const char *text, struct service_time *service)
{
	double sum = 0;
	char *end;

	for (service->classes = 0; service->classes < CLASSES_MAX; text = end + 1) {
		double share = strtod(text, &end);
		double factor;

		if (end == text || *end != ',' || !(share >= 0))
			return -EINVAL;
		text = end + 1;
		factor = strtod(text, &end);
		if (end == text || (*end && *end != '/') || !(factor > 0))
			return -EINVAL;
		service->class[service->classes].share = share;
		service->class[service->classes++].factor = factor;
		sum += share;
		if (!*end)
			return fabs(sum - 1) < 1e-6 ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static inline double service_factor(const struct service_time *service, struct random *random)
{
	double left = random_unit(random);
	unsigned int i;

	for (i = 0; i + 1 < service->classes && left > service->class[i].share; i++)
		left -= service->class[i].share;
	return service->classes ? service->class[i].factor : 1;
}

/* Always two random numbers, so that requests keep theirs when the classes change. */
static inline uint64_t service_draw(const struct service_time *service, struct random *random)
{
	double factor = service_factor(service, random);
	double unit = random_unit(random);
	double ns = service->mean_ns;

	if (service->kind == SERVICE_EXPONENTIAL)
		ns = -service->mean_ns * log(unit);
	else if (service->kind == SERVICE_UNIFORM)
		ns = service->lowest_ns + unit * (service->highest_ns - service->lowest_ns);
	return (uint64_t)(ns * factor);
}

#endif
