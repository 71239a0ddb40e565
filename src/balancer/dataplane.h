/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The balancer's half in the kernel, seen from user space: the BPF programs on the interfaces and
 * the maps that tell them what to do. All of it is pinned and outlives the daemon; a successor of
 * the same instance finds it there, and flows keep their backends.
 */
#ifndef PLIMSOLL_BALANCER_DATAPLANE_H
#define PLIMSOLL_BALANCER_DATAPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "balancer/health_state.h"
#include "config.h"
#include "inherit.h"
#include "neighbour.h"
#include "runtime.h"

#define WEIGHT_ONE 256 /* weights in force have 8 bits behind the point */

/* What is known of a backend's health; health_watch.h keeps it. */
struct member_health {
	struct health_facts facts; /* by which it was last judged */
	enum health_state state;
	time_t since; /* 0: has not been looked at yet */
	uint64_t asked_ns; /* when it was first looked at, and asked for by ARP */
	uint64_t suspect_ns; /* when it was last seen to be */
	uint64_t back_ns; /* when it came back from being down; 0: it starts slowly no more */
	char cause[HEALTH_CAUSE_MAX];
	struct check *check; /* NULL: is not checked */
};

/* A backend of a service, as the daemon knows it. */
struct member {
	struct backend_config *config; /* weight and draining: by the file or by hand */
	const struct backend_config *file; /* what the file says of it; NULL: nothing */
	uint32_t index; /* into the map `backends` */
	uint32_t server; /* into the map `loads` */
	uint32_t weight; /* in force, in 1/WEIGHT_ONE */
	uint32_t ramp; /* the part of it that counts, in 1/HEALTH_RAMP_ONE */
	uint64_t leaves_after; /* so many walks through the flow table, if it leaves */
	struct neighbour neighbour;
	struct member_health health;
};

struct balanced_service {
	struct service_config *config;
	uint32_t id;
	struct member *members; /* config->backend_count of them */
};

struct attached_interface {
	char name[CONFIG_INTERFACE_MAX];
	int ifindex;
	uint8_t mac[6];
	size_t slot; /* in the settings */
	char driver[LINK_DRIVER_MAX]; /* "" if not known */
	bool native;
};

/* What stands in the array of a service's ring. */
struct ring_array {
	uint32_t ring_size, member_count, schedule_size;
	uint32_t *slots;
	uint32_t *steady; /* the ring by the weights that were set; NULL: no other */
};

/*
 * Rings that are made and not yet in place. The kernel makes each replacement wait for all CPUs, some
 * 20 ms, but many at once wait only once.
 */
#define RING_BATCH 64
struct ring_batch {
	bool open; /* more will come */
	uint32_t count;
	uint32_t ids[RING_BATCH];
	uint32_t maps[RING_BATCH];
	const struct balanced_service *services[RING_BATCH];
	struct ring_array arrays[RING_BATCH]; /* their sizes */
};

struct dataplane {
	struct config *config; /* in force */
	const struct config *file; /* as the file had it when it was last read */
	const struct runtime *runtime;
	struct balancer_bpf *bpf;
	struct inheritance inheritance;
	struct attached_interface interfaces[INTERFACES_MAX];
	size_t interface_count;
	struct balanced_service *services; /* config->service_count of them */
	struct bucket *flows; /* the flow table, mapped */
	size_t flow_buckets;
	struct load *loads; /* likewise */
	struct backend *backends; /* likewise */
	uint32_t next_backend; /* index that may be free */
	struct ring_batch batch;
	struct health *healths; /* likewise */
	uint64_t *doubted; /* likewise, by service id */
};

/*
 * Loads the programs and fills the maps; nothing is attached yet. config, file (what config was before
 * anything was changed by hand) and runtime must outlive the dataplane. Says what went wrong; 0 or
 * -errno.
 */
int dataplane_load(struct dataplane *dataplane, struct config *config, const struct config *file,
		   const struct runtime *runtime);

/*
 * Adds to the configuration those of a predecessor's whom it does not name and who have connections:
 * they leave. 0 or -ENOMEM.
 */
int leave_inherit(struct dataplane *dataplane);

/*
 * Attaches the programs to the interfaces of the configuration, in the place of a predecessor's:
 * on all of them, or on none. From here on a successor finds this dataplane.
 */
int dataplane_attach(struct dataplane *dataplane);

/* How it is looked at whether packets meet these programs still; of a struct dataplane. */
extern const struct daemon_place dataplane_place;

/* Takes it among the dataplane's; nothing is attached yet. Says what went wrong; 0 or -errno. */
int dataplane_enter_interface(struct dataplane *dataplane, const char *name);

/* Those of the configuration that are not there yet, and the XDP mode that it wants; takes none back. Says what went wrong; 0 or -errno. */
int dataplane_add_interfaces(struct dataplane *dataplane, const struct config *config);

/* Those that the configuration does not name. */
void dataplane_drop_interfaces(struct dataplane *dataplane, const struct config *config);

/* Key and interfaces as they are now. 0 or -errno. */
int dataplane_write_settings(struct dataplane *dataplane);

/* Takes over what is known of how a backend's address is reached. Returns how many backends changed. */
size_t dataplane_set_neighbour(struct dataplane *dataplane, const struct neighbour *neighbour);

/* The number of the first member of service i, where all services' are counted one after another. */
size_t first_member(const struct dataplane *dataplane, size_t i);

/* Whether new connections may go to it: it can be reached, is not down and does not drain. */
bool member_is_open(const struct member *member);

/* Its weight in force, in 1/WEIGHT_ONE, or the part of it that a slow start allows. */
uint32_t member_weight(const struct member *member);

/* Tells the data path a service's settings anew; its ring stays. 0 or -errno. */
int dataplane_write_service(struct dataplane *dataplane, const struct balanced_service *service);

/* Builds a service's ring anew out of the backends that are open. */
int dataplane_build_ring(struct dataplane *dataplane, struct balanced_service *service);

/* How many of the server's reports were proved by the old key, ever. */
uint64_t dataplane_old_key_reports(const struct dataplane *dataplane, uint32_t server);

/* Between these, rings come into force many at a time, and at the end all. */
void dataplane_begin_rings(struct dataplane *dataplane);
int dataplane_end_rings(struct dataplane *dataplane);

/* Takes the tc programs off. The rest goes with its pins: runtime_remove(). */
void dataplane_detach(struct dataplane *dataplane);

/* Frees what user space holds; the kernel's half stays. */
void dataplane_close(struct dataplane *dataplane);

#endif
