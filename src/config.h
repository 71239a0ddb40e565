/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * balancer.yaml and server.yaml: text to structures, with every mistake told by file, line, key,
 * the bad text and what would be right. A file with one mistake gives no configuration at all.
 */
#ifndef PLIMSOLL_CONFIG_H
#define PLIMSOLL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "address.h"
#include "choose.h"
#include "shared.h"

#define CONFIG_NAME_MAX 64
_Static_assert(CONFIG_NAME_MAX > ENDPOINT_TEXT_MAX + sizeof("/udp"), "a service by default");
#define CONFIG_INTERFACE_MAX 16 /* IFNAMSIZ */
#define CONFIG_PATH_MAX 256
#define CONFIG_CHECK_PATH_MAX 128

enum config_role {
	CONFIG_BALANCER,
	CONFIG_SERVER,
};

enum xdp_mode {
	XDP_MODE_AUTO, /* what is best on the interface */
	XDP_MODE_NATIVE, /* in the driver */
	XDP_MODE_GENERIC, /* behind it, on what it has made of the packet */
};

enum poll_protocol {
	POLL_REPORT, /* a UDP datagram each way, the answer with a report's body */
	POLL_AGENT_CHECK, /* HAProxy's agent-check, over TCP */
};

enum check_kind {
	CHECK_NONE, /* only what clients' connections tell */
	CHECK_TCP,
	CHECK_HTTP,
};

struct health_config {
	uint32_t check; /* enum check_kind; default CHECK_NONE */
	uint32_t expect; /* an HTTP status; default 200 */
	char path[CONFIG_CHECK_PATH_MAX]; /* default / */
	uint64_t interval_ns; /* default 1 s */
	uint64_t timeout_ns; /* default 500 ms */
	uint32_t rise, fall; /* default 2 and 3 */
	uint32_t port; /* default 0: the service's */
};

struct backend_config {
	struct ip_address address;
	enum forward forward;
	uint32_t weight; /* 1..WEIGHT_MAX; default 1 */
	uint32_t draining; /* as a truth value */
	bool leaving; /* in no file: until its last connection has ended */
	int line;
};

struct service_config {
	char name[CONFIG_NAME_MAX]; /* default: its endpoint's text */
	struct endpoint address; /* port 0: every port */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	enum policy policy;
	enum signal signal;
	enum feedback feedback;
	uint64_t poll_interval_ns; /* default 1 s */
	enum poll_protocol poll_protocol;
	uint32_t poll_port; /* default 9571 */
	uint32_t auto_weights; /* as a truth value, like the next */
	uint32_t with_pending;
	uint32_t choices; /* 1..CHOICES_MAX; default 4 */
	uint64_t stale_after_ns; /* default 1 s, and where polled at least 3 intervals */
	uint32_t ring_size; /* a prime up to RING_SIZE_MAX; default 16381 */
	struct health_config health;
	uint32_t all_down; /* enum all_down; default ALL_DOWN_TRY_ALL */
	uint32_t dead_flows; /* enum dead_flows; default DEAD_FLOWS_LEAVE */
	uint64_t slow_start_ns; /* default 10 s; 0 = at once */
	struct backend_config *backends; /* none for a server */
	size_t backend_count;
	bool leaving; /* likewise */
	int line;
};

struct report_config {
	uint64_t min_interval_ns; /* default 1 ms */
	uint64_t max_interval_ns; /* default 100 ms */
	double max_share; /* of the response packets, 0..0.1; default 0.05 */
	uint32_t in_band; /* as a truth value; default true */
};

struct flow_table_config {
	uint32_t entries; /* default 1,000,000; rounded up to whole buckets */
	uint64_t udp_timeout_ns; /* default 30 s */
};

struct config {
	enum config_role role;
	char (*interfaces)[CONFIG_INTERFACE_MAX];
	size_t interface_count;
	bool listening; /* HTTP is answered in TCP, too */
	bool listen_given; /* and not by default */
	struct endpoint listen; /* a balancer's default: 127.0.0.1:9570 */
	bool agent_listening; /* server; agent_listen: is there */
	struct endpoint agent_listen;
	bool keyed; /* report_key: is there */
	char report_key_file[CONFIG_PATH_MAX];
	uint8_t report_key[16];
	bool old_keyed; /* balancer; old_report_key: is there, the next as above */
	char old_report_key_file[CONFIG_PATH_MAX];
	uint8_t old_report_key[16];
	uint32_t answers_echo; /* balancer; as a truth value; default true */
	struct flow_table_config flow_table; /* balancer */
	uint32_t xdp_mode; /* balancer; enum xdp_mode */
	uint32_t outer_source_varied; /* balancer; as a truth value */
	uint64_t hash_seed; /* balancer; 0 = random */
	struct service_config *services;
	size_t service_count;
	uint32_t meter_entries; /* server; default METER_ENTRIES */
	struct ip_address *balancers; /* server */
	size_t balancer_count;
	struct address_prefix *tunnel_sources; /* server; none: the balancers */
	size_t tunnel_source_count;
	struct report_config report; /* server */
};

/* How a mistake is told. line: 0 and key: NULL where there is none. */
typedef void config_mistake(const char *path, int line, const char *key, const char *message,
			    void *context);

/* As a line on the FILE that context is: "PATH:LINE: KEY: MESSAGE". */
config_mistake config_print_mistake;

/*
 * Reads a file. On success *config is to be freed with config_free(). Otherwise *config is NULL,
 * every mistake stands on `errors`, a line each, as
 *   FILE:LINE: KEY: "BAD TEXT" is ...; expected ...
 * Returns 0, -ENOENT and the like if the file cannot be read, or -EINVAL.
 */
int config_load(const char *path, enum config_role role, struct config **config, FILE *errors);

/* The same, and every mistake is told by tell(). */
int config_read(const char *path, enum config_role role, struct config **config,
		config_mistake *tell, void *context);
void config_free(struct config *config);

/* All of its own. NULL for want of memory. */
struct config *config_copy(const struct config *config);

/* Without what leaves: as a file would have it. NULL for want of memory. */
struct config *config_copy_staying(const struct config *config);

/* As a file with every key; secrets only by their files' names. Reading it gives the same. */
void config_write(const struct config *config, FILE *out);

/* Which of the two a file is, by its keys (`balancers:` = a server's); -errno if neither. */
int config_guess_role(const char *path, enum config_role *role, config_mistake *tell,
		      void *context);

/* The line of a key at the top of a file, or of what "report.max_share" is in; 0 if it is not there. */
int config_line(const char *path, const char *key);

/* Every key that a role's file may have: what it means, what is expected, its default. */
void config_explain(enum config_role role, FILE *out);

const char *protocol_name(uint8_t protocol);
const char *forward_name(enum forward forward);
const char *policy_name(enum policy policy);
const char *signal_name(enum signal signal);
const char *feedback_name(enum feedback feedback);
const char *check_name(enum check_kind check);

#endif
