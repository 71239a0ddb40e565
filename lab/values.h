/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the lab's programs are told on their command lines, and the clock they go by. */
#ifndef PLIMSOLL_LAB_VALUES_H
#define PLIMSOLL_LAB_VALUES_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_SECOND 1000000000ULL

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static inline struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / NS_PER_SECOND),
		.tv_nsec = (long)(ns % NS_PER_SECOND),
	};
}

/* A number of at least `lowest`, and nothing behind it. Returns 0 or -EINVAL. */
static inline int parse_real(const char *text, double lowest, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end == text || *end || !(*value >= lowest && *value < 1e15) ? -EINVAL : 0;
}

static inline int parse_count(const char *text, uint64_t lowest, uint64_t highest, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-')
		return -EINVAL;
	return *value < lowest || *value > highest ? -EINVAL : 0;
}

/* "10ms", "1.5s", "200us": with its unit. In ns; *end, if asked for, is what follows it. */
static inline int parse_duration(const char *text, const char **end, double *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	char *unit;
	double value = strtod(text, &unit);

	if (unit == text || !(value >= 0 && value < 1e9))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t length = strlen(units[i].name);

		if (strncmp(unit, units[i].name, length) || (!end && unit[length]))
			continue;
		*ns = value * units[i].ns;
		if (end)
			*end = unit + length;
		return 0;
	}
	return -EINVAL;
}

/* "10.1.0.100:80" */
static inline int parse_endpoint(const char *text, struct sockaddr_in *endpoint)
{
	const char *colon = strrchr(text, ':');
	char address[INET_ADDRSTRLEN];
	uint64_t port;

	memset(endpoint, 0, sizeof(*endpoint));
	if (!colon || (size_t)(colon - text) >= sizeof(address) ||
	    parse_count(colon + 1, 1, 65535, &port))
		return -EINVAL;
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = '\0';
	endpoint->sin_family = AF_INET;
	endpoint->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, address, &endpoint->sin_addr) == 1 ? 0 : -EINVAL;
}

#endif
