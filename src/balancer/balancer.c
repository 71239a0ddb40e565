/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The balancer's daemon. It prepares the data path, keeps the backends' MAC addresses current and
 * tells how things are; no packet waits for it. In the order of a life: load, prepare the host,
 * watch the backends, serve, attach, be ready once every backend has answered or had the time to.
 */
#include "balancer/balancer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/balancer_private.h"
#include "balancer/by_hand.h"
#include "log.h"

/* How long an answer to ARP is waited for before the others are served without. */
#define READY_PATIENCE_MS 3000

static size_t count_resolved(const struct balanced_service *service)
{
	size_t count = 0;

	for (size_t i = 0; i < service->config->backend_count; i++)
		count += service->members[i].neighbour.resolved;
	return count;
}

static size_t count_backends(const struct balancer *balancer, size_t *resolved)
{
	const struct dataplane *dataplane = &balancer->dataplane;
	size_t count = 0;

	*resolved = 0;
	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		count += dataplane->services[i].config->backend_count;
		*resolved += count_resolved(&dataplane->services[i]);
	}
	return count;
}

static void tell_interfaces(struct balancer *balancer)
{
	const struct dataplane *dataplane = &balancer->dataplane;

	for (size_t i = 0; i < dataplane->interface_count; i++)
		events_add(balancer->sources.events, EVENT_XDP_MODE, NULL, NULL, "%s XDP on %s",
			   dataplane->interfaces[i].native ? "native" : "generic",
			   dataplane->interfaces[i].name);
}

static void hang_up(void *context)
{
	balancer_reload(context, NULL);
}

/* From here on it is our programs that packets meet. A predecessor's are replaced when all is ready. */
static int take_place(struct balancer *balancer)
{
	struct daemon *daemon = &balancer->daemon;
	bool succeeds = daemon_succeeds(daemon);
	int err;

	/* What of the host is still the other daemon's comes last. */
	err = succeeds ? 0 : daemon_serve(daemon, balancer_routes, &balancer->sources);
	daemon_commit(daemon);
	if (!err)
		err = dataplane_attach(&balancer->dataplane);
	if (!err)
		err = daemon_take_place(daemon);
	if (!err && succeeds)
		err = balancer_prepare_host(balancer, balancer->daemon.config, NULL);
	if (!err && succeeds)
		err = daemon_serve(daemon, balancer_routes, &balancer->sources);
	if (err)
		return err;
	balancer->in_place = true;
	(void)by_hand_keep(balancer);
	tell_interfaces(balancer);
	err = poll_open(daemon->base, &balancer->dataplane, &balancer->poller);
	status_polls(balancer->sources.status, balancer->poller);
	if (!err)
		err = daemon_watch_place(daemon, &dataplane_place, &balancer->dataplane);
	return err ? err : daemon_on_reload(daemon, hang_up, balancer);
}

static void tell_ready(struct balancer *balancer)
{
	const struct dataplane *dataplane = &balancer->dataplane;
	const struct attached_interface *first = &dataplane->interfaces[0];
	size_t resolved, count = count_backends(balancer, &resolved);
	int err;

	if (balancer->daemon.ready || daemon_is_to_end())
		return;
	rebuild_now(balancer->rebuild);
	err = balancer->in_place ? 0 : take_place(balancer);
	if (err) {
		daemon_fail(&balancer->daemon, err);
		return;
	}
	events_add(balancer->sources.events, EVENT_START, NULL, NULL,
		   "version " PLIMSOLL_VERSION " has started, %zu of %zu backends reachable",
		   resolved, count);
	daemon_ready(
		&balancer->daemon, "%zu service%s, %zu of %zu backends reachable, %s XDP on %s%s",
		dataplane->config->service_count, dataplane->config->service_count == 1 ? "" : "s",
		resolved, count, first->native ? "native" : "generic", first->name,
		dataplane->interface_count > 1 ? " and others" : "");
}

static const struct member *find_member(const struct balanced_service *service,
					struct ip_address address)
{
	for (size_t i = 0; i < service->config->backend_count; i++)
		if (address_equal(service->members[i].config->address, address))
			return &service->members[i];
	return NULL;
}

/* A zero MAC address where the backend was never reached. */
static struct neighbour known_neighbour(const struct dataplane *dataplane,
					struct ip_address address)
{
	const struct member *member = NULL;

	for (size_t i = 0; !member && i < dataplane->config->service_count; i++)
		member = find_member(&dataplane->services[i], address);
	return member ? member->neighbour : (struct neighbour){.address = address};
}

static void tell_neighbour(struct balancer *balancer, const struct neighbour *before,
			   const struct neighbour *now)
{
	char address[ADDRESS_TEXT_MAX], mac[MAC_TEXT_MAX], old[MAC_TEXT_MAX];
	struct events *events = balancer->sources.events;
	size_t resolved, count;

	if (now->resolved == before->resolved &&
	    (!now->resolved || !memcmp(before->mac, now->mac, sizeof(now->mac))))
		return; /* not yet, or nothing new */
	count = count_backends(balancer, &resolved);
	address_format(now->address, address);
	mac_format(now->mac, mac);
	if (!now->resolved)
		events_add(events, EVENT_NO_NEIGHBOUR, NULL, address,
			   "does not answer %s any more: new connections go to the others; %zu of "
			   "%zu backends reachable",
			   address_asked_by(now->address), resolved, count);
	else if (before->resolved)
		events_add(events, EVENT_MAC_CHANGED, NULL, address, "is at %s, no longer at %s",
			   mac, mac_format(before->mac, old));
	else
		events_add(events, EVENT_BACKEND_UP, NULL, address,
			   "is at %s; %zu of %zu backends reachable", mac, resolved, count);
}

static void backend_moved(const struct neighbour *neighbour, void *context)
{
	struct balancer *balancer = context;
	struct dataplane *dataplane = &balancer->dataplane;
	struct neighbour before = known_neighbour(dataplane, neighbour->address);
	size_t resolved;

	if (!dataplane_set_neighbour(dataplane, neighbour))
		return;
	tell_neighbour(balancer, &before, neighbour);
	if (!balancer->rebuild)
		return;
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		if (find_member(&dataplane->services[i], neighbour->address))
			rebuild_mark(balancer->rebuild, i);
	rebuild_soon(balancer->rebuild);
	if (balancer->sampling && count_backends(balancer, &resolved) == resolved)
		tell_ready(balancer);
}

static void build_ring(size_t service, void *context)
{
	struct balancer *balancer = context;

	dataplane_build_ring(&balancer->dataplane, &balancer->dataplane.services[service]);
	daemon_step(&balancer->daemon);
}

static void begin_rings(void *context)
{
	struct balancer *balancer = context;

	dataplane_begin_rings(&balancer->dataplane);
}

static void end_rings(void *context)
{
	struct balancer *balancer = context;

	dataplane_end_rings(&balancer->dataplane);
}

struct rebuild *balancer_rebuild(struct balancer *balancer, size_t services)
{
	return rebuild_open(balancer->daemon.base, services, build_ring, begin_rings, end_rings,
			    balancer);
}

/* Without any who has answered, a predecessor's ring serves better than none. */
static void mark_ring(struct balancer *balancer, size_t service)
{
	if (!balancer->daemon.inherited || count_resolved(&balancer->dataplane.services[service]))
		rebuild_mark(balancer->rebuild, service);
}

/* With all who have answered by now. */
static int build_first_rings(struct balancer *balancer)
{
	size_t count = balancer->dataplane.config->service_count;

	balancer->rebuild = balancer_rebuild(balancer, count);
	if (!balancer->rebuild)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		mark_ring(balancer, i);
	rebuild_now(balancer->rebuild);
	return 0;
}

/* A full neighbour table may have room later: then the backend is found by the refresh. */
int balancer_watch_backend(struct balancer *balancer, size_t i, size_t j, bool *table_full)
{
	const struct member *member = &balancer->dataplane.services[i].members[j];
	struct ip_address address = member->config->address;
	char text[ADDRESS_TEXT_MAX];
	int err = neighbours_watch(balancer->daemon.neighbours, address, &member->neighbour);

	if (err == -ENOBUFS && !*table_full) {
		log_warning("backend %s: the kernel's neighbour table is full, so not all backends "
			    "can be reached; set net.ipv4.neigh.default.gc_thresh3 (by sysctl, "
			    "where the host's own network is) to twice their number",
			    address_format(address, text));
		*table_full = true;
	} else if (err && err != -ENOBUFS) {
		log_error("backend %s: cannot be looked up: %s", address_format(address, text),
			  strerror(-err));
	}
	return err == -ENOBUFS ? 0 : err;
}

static int watch_backends(struct balancer *balancer)
{
	const struct config *config = balancer->daemon.config;
	bool table_full = false;
	int err;

	err = daemon_watch_neighbours(&balancer->daemon, backend_moved, balancer);
	for (size_t i = 0; !err && i < config->service_count; i++)
		for (size_t j = 0; !err && j < config->services[i].backend_count; j++)
			err = balancer_watch_backend(balancer, i, j, &table_full);
	return err ? err : build_first_rings(balancer);
}

static void sample(evutil_socket_t fd, short events, void *context)
{
	struct balancer *balancer = context;

	(void)fd;
	(void)events;
	sources_sample(&balancer->sources);
	leave_look(balancer);
}

static void weigh(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	weights_update(context);
}

/* Each server once, however many services share it. */
static void tell_silent(struct balancer *balancer, const struct balanced_service *service,
			bool told[SERVERS_MAX])
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < service->config->backend_count; i++) {
		const struct member *member = &service->members[i];

		if (member->neighbour.resolved || told[member->server])
			continue;
		told[member->server] = true;
		address_format(member->config->address, text);
		if (is_own_address(member->config->address))
			events_add(balancer->sources.events, EVENT_NO_NEIGHBOUR, NULL, text,
				   "is this host's own address; a backend is another machine");
		else
			events_add(balancer->sources.events, EVENT_NO_NEIGHBOUR, NULL, text,
				   "does not answer %s; it is asked again each second",
				   address_asked_by(member->config->address));
	}
}

static void patience_over(evutil_socket_t fd, short events, void *context)
{
	struct balancer *balancer = context;
	const struct dataplane *dataplane = &balancer->dataplane;
	bool told[SERVERS_MAX] = {false};

	(void)fd;
	(void)events;
	event_del(balancer->patience);
	if (balancer->daemon.ready)
		return;
	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		mark_ring(balancer, i);
		tell_silent(balancer, &dataplane->services[i], told);
	}
	tell_ready(balancer);
}

static void look_at_health(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	health_look(context);
}

static int start_health(struct balancer *balancer)
{
	struct checks *checks = checks_open(balancer->daemon.base, &balancer->dataplane);

	balancer->health = (struct health_watch){
		.dataplane = &balancer->dataplane,
		.events = balancer->sources.events,
		.rebuild = balancer->rebuild,
		.checks = checks,
	};
	balancer->sources.health = &balancer->health;
	if (!checks)
		return -ENOMEM;
	balancer->health_timer = daemon_every(&balancer->daemon, HEALTH_INTERVAL_MS, look_at_health,
					      &balancer->health);
	return balancer->health_timer ? checks_follow(checks) : -ENOMEM;
}

static int start_timers(struct balancer *balancer)
{
	struct daemon *daemon = &balancer->daemon;
	size_t resolved;

	balancer->patience = daemon_every(daemon, READY_PATIENCE_MS, patience_over, balancer);
	balancer->sampling = daemon_every(daemon, STATUS_SAMPLE_INTERVAL_MS, sample, balancer);
	balancer->weighting = daemon_every(daemon, WEIGHTS_INTERVAL_MS, weigh, balancer->weights);
	if (!balancer->patience || !balancer->sampling || !balancer->weighting)
		return -ENOMEM;
	if (count_backends(balancer, &resolved) == resolved)
		tell_ready(balancer);
	return 0;
}

static int start(struct balancer *balancer)
{
	struct sources *sources = &balancer->sources;
	struct daemon *daemon = &balancer->daemon;
	int err;

	balancer->file = config_copy(daemon->config);
	if (!balancer->file)
		return -ENOMEM;
	err = by_hand_inherit(balancer);
	if (!err)
		err = dataplane_load(&balancer->dataplane, daemon->config, balancer->file,
				     &daemon->runtime);
	if (!err)
		err = sources_open(sources, daemon->base, &balancer->dataplane);
	if (!err && !daemon_succeeds(daemon))
		err = balancer_prepare_host(balancer, balancer->daemon.config, NULL);
	if (!err)
		err = watch_backends(balancer);
	if (err)
		return err;
	balancer->weights = weights_open(&balancer->dataplane);
	sources->weights = balancer->weights;
	sources->balancer = balancer;
	leave_begin(balancer);
	if (!balancer->weights)
		return -ENOMEM;
	if (!daemon->inherited)
		err = take_place(balancer);
	if (!err)
		err = start_health(balancer);
	if (!err)
		err = start_timers(balancer);
	return err;
}

int balancer_command(int argc, char **argv)
{
	struct balancer balancer = {0};
	bool take_back;
	int err;

	log_name(argv[0]);
	err = daemon_open(&balancer.daemon, CONFIG_BALANCER, argc, argv);
	if (err)
		return err;
	err = start(&balancer);
	if (!err)
		err = daemon_run(&balancer.daemon);
	take_back = daemon_takes_back(&balancer.daemon, err);

	if (balancer.sampling)
		event_free(balancer.sampling);
	if (balancer.weighting)
		event_free(balancer.weighting);
	if (balancer.patience)
		event_free(balancer.patience);
	if (balancer.health_timer)
		event_free(balancer.health_timer);
	checks_close(balancer.health.checks);
	rebuild_close(balancer.rebuild);
	weights_close(balancer.weights);
	poll_close(balancer.poller);
	sources_close(&balancer.sources);
	if (take_back)
		dataplane_detach(&balancer.dataplane);
	dataplane_close(&balancer.dataplane);
	config_free(balancer.file);
	daemon_close(&balancer.daemon, take_back);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
