/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the doctor examines: a configuration, the instance that runs it if there is one, and the host
 * below. It is gathered once, and checks only read it; what a single check needs it looks up itself.
 */
#ifndef PLIMSOLL_DOCTOR_SUBJECT_H
#define PLIMSOLL_DOCTOR_SUBJECT_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

#define LINKS_MAX 16

/* An interface of the configuration's, as the kernel has it. */
struct link_facts {
	const char *name;
	int index; /* 0: there is none of that name */
	bool up, carrier;
	uint32_t mtu;
	uint8_t mac[6];
	char driver[32]; /* "" if not known */
	bool lro, gro, gro_hw, tx_checksum;
	unsigned int queues, queues_possible; /* for receiving */
	bool queues_combined; /* with those for sending, as ethtool has it */
	uint32_t xdp_program; /* its id; 0: none */
	bool xdp_generic;
};

struct subject {
	enum config_role role;
	char instance[64]; /* "": none of this configuration runs, or has run */
	char config_path[PATH_MAX]; /* "": not known */
	json_t *mistakes; /* of the file: objects with "line", "key" and "message"; NULL: not read */
	/*
	 * {"interfaces": ["eth0"], "services": [{"name", "address", "vip", "port", "protocol", "backends": ["10.1.0.11"]}],
	 * "balancers": ["10.1.0.2"]}: as the file has it, or else the daemon. Never NULL.
	 */
	json_t *plan;
	json_t *plan_in_force; /* likewise, of the daemon's; NULL: not known */
	bool keyed;
	char listen[64], agent_listen[64]; /* of the file; "": none */
	pid_t daemon; /* 0: none */
	json_t *before, *after; /* the daemon's status, twice; NULL: it does not answer */
	double seconds; /* in between */
	char failure[256]; /* why the daemon does not answer */
	const char *root; /* where /proc and /sys are, for tests; "" is here */
	struct link_facts links[LINKS_MAX];
	size_t link_count;
};

/*
 * Finds out what is meant by the arguments, each of which may be NULL. Says what went wrong, in the manner
 * of answer.h. Returns 0 or -errno.
 */
int subject_open(struct subject *subject, const char *config_path, const char *instance, bool json);
void subject_close(struct subject *subject);

/* Asks the daemon for the second status, once it is worth it. */
void subject_look_again(struct subject *subject);

/* A file of the host's: its first line. False if it cannot be read. */
bool look_text(const struct subject *subject, char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool look_number(const struct subject *subject, long *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* By how much a counter of the status, such as "counters.report-old", has risen in between. */
json_int_t risen(const struct subject *subject, const char *group, const char *name);
json_int_t counted(const struct subject *subject, const char *group, const char *name);

/*
 * How to start the daemon again: so that its data path goes on, or without it, which connections do not
 * survive; and how to have it read its file.
 */
const char *role_name(const struct subject *subject);
void write_restart(const struct subject *subject, char *text, size_t size);
void write_begin_anew(const struct subject *subject, char *text, size_t size);
void write_reload(const struct subject *subject, char *text, size_t size);

/* The links' facts, by ioctl and netlink; `name` is set. */
void link_look(struct link_facts *link);

#endif
