/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The server's half in the kernel, seen from user space. Pinned like the balancer's: the meter and the
 * reports go on when the daemon dies.
 */
#ifndef PLIMSOLL_SERVER_DATAPLANE_H
#define PLIMSOLL_SERVER_DATAPLANE_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "inherit.h"
#include "neighbour.h"
#include "runtime.h"
#include "server/sweep.h"
#include "shared.h"

struct server_dataplane {
	const struct config *config;
	const struct runtime *runtime;
	struct server_bpf *bpf;
	struct inheritance inheritance;
	int ifindex;
	struct server_settings settings; /* as the kernel has them */
	struct measured_services measured;
	uint32_t measured_size; /* bytes of it in use */
	struct metrics *metrics; /* this host's load, as the kernel writes it */
	struct application *application;
	struct bucket *meter;
	struct sweep sweep;
	struct peer
		*peers; /* the balancers that are told; each has its place as long as it is one */
};

/* Loads the programs and fills the maps; nothing is attached yet. Says what went wrong; 0 or -errno. */
int server_dataplane_load(struct server_dataplane *dataplane, const struct config *config,
			  const struct runtime *runtime);

int server_dataplane_attach(struct server_dataplane *dataplane);

/* How it is looked at whether packets meet these programs still; of a struct server_dataplane. */
extern const struct daemon_place server_dataplane_place;

/*
 * Another configuration is to come into force: what is new of it is put beside what is there.
 * *settings: as they are to be. Says what went wrong; 0 or -errno, and then there is nothing to abandon.
 */
int server_dataplane_prepare(struct server_dataplane *dataplane, const struct config *config,
			     struct server_settings *settings);

/* It comes into force after all, and what it does not name goes. 0, or -errno and it does not. */
int server_dataplane_switch(struct server_dataplane *dataplane, const struct config *config,
			    const struct server_settings *settings);

/* It does not. */
void server_dataplane_abandon(struct server_dataplane *dataplane, const struct config *config);

/* What is known of config->balancers[i]. */
struct peer *server_dataplane_peer(const struct server_dataplane *dataplane, size_t i);

/* Takes over where a balancer is reached. */
void server_dataplane_set_neighbour(struct server_dataplane *dataplane,
				    const struct neighbour *neighbour);

/* Of all CPUs. 0 or -errno. */
int server_dataplane_stats(const struct server_dataplane *dataplane, struct server_stats *stats);

/*
 * Brings up to date what of the metrics only a report on its way would: utilisation and accept
 * queue. A few microseconds. 0 or -errno, -ENODEV before the programs are loaded.
 */
int server_dataplane_measure(const struct server_dataplane *dataplane);

/* Takes the programs off the interfaces. The rest goes with its pins. */
void server_dataplane_detach(struct server_dataplane *dataplane);
void server_dataplane_close(struct server_dataplane *dataplane);

#endif
