/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whom to ask, and when. A timer of the kernel's for each interval: it has the resolution that
 * intervals of 1 ms need, and when the daemon is late, what is overdue falls due only once.
 */
#include "balancer/poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "balancer/poll_private.h"
#include "log.h"

#define NS_PER_SECOND 1000000000ULL
/* Asked at one go. With more, their answers might overflow the socket's buffer. */
#define SLICE_TARGETS 64
#define SLICE_NS_MIN 1000000ULL

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_targets(const void *a, const void *b)
{
	const struct poll_target *left = a, *right = b;
	int order = compare(left->agent.sin_addr.s_addr, right->agent.sin_addr.s_addr);

	if (!order)
		order = compare(left->agent.sin_port, right->agent.sin_port);
	return order ? order : compare(left->protocol, right->protocol);
}

static int compare_intervals(const void *a, const void *b)
{
	struct poll_target *const *left = a, *const *right = b;

	return compare((*left)->interval_ns, (*right)->interval_ns);
}

struct poll_target *poll_find(const struct poller *poller, const struct sockaddr_in *agent,
			      enum poll_protocol protocol)
{
	struct poll_target key = {.agent = *agent, .protocol = protocol};

	return bsearch(&key, poller->targets, poller->target_count, sizeof(key), compare_targets);
}

static struct sockaddr_in agent_address(const struct service_config *service,
					struct ip_address backend)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)service->poll_port),
		.sin_addr = address_ipv4(backend),
	};
}

struct poll_counts poll_counts_of(const struct poller *poller, const struct service_config *service,
				  struct ip_address backend)
{
	struct sockaddr_in agent = agent_address(service, backend);
	const struct poll_target *target = NULL;

	if (poller && service->feedback == FEEDBACK_POLL)
		target = poll_find(poller, &agent, service->poll_protocol);
	return target ? target->counts : (struct poll_counts){0};
}

uint64_t poll_strangers(const struct poller *poller)
{
	return poller && poller->reports ? poll_reports_strangers(poller->reports) : 0;
}

/* Backends of polled services, those of several services several times. */
static size_t count_members(const struct dataplane *dataplane)
{
	const struct config *config = dataplane->config;
	size_t count = 0;

	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].feedback == FEEDBACK_POLL)
			count += config->services[i].backend_count;
	return count;
}

static void list_members(struct poller *poller, const struct balanced_service *service)
{
	const struct service_config *config = service->config;

	for (size_t i = 0; i < config->backend_count; i++) {
		const struct member *member = &service->members[i];

		poller->targets[poller->target_count++] = (struct poll_target){
			.agent = agent_address(config, member->config->address),
			.protocol = config->poll_protocol,
			.interval_ns = config->poll_interval_ns,
			.load = &poller->dataplane->loads[member->server],
		};
	}
}

/* Makes one of those that are the same, and of two intervals the shorter. */
static void merge_targets(struct poller *poller)
{
	struct poll_target *targets = poller->targets;
	size_t last = 0;

	qsort(targets, poller->target_count, sizeof(*targets), compare_targets);
	for (size_t i = 1; i < poller->target_count; i++) {
		if (compare_targets(&targets[last], &targets[i]))
			targets[++last] = targets[i];
		else if (targets[i].interval_ns < targets[last].interval_ns)
			targets[last].interval_ns = targets[i].interval_ns;
	}
	poller->target_count = last + 1;
}

static int list_targets(struct poller *poller, size_t members)
{
	const struct dataplane *dataplane = poller->dataplane;

	poller->targets = calloc(members, sizeof(*poller->targets));
	poller->by_interval = calloc(members, sizeof(*poller->by_interval));
	poller->groups = calloc(members, sizeof(*poller->groups));
	if (!poller->targets || !poller->by_interval || !poller->groups)
		return -ENOMEM;
	for (size_t i = 0; i < dataplane->config->service_count; i++)
		if (dataplane->services[i].config->feedback == FEEDBACK_POLL)
			list_members(poller, &dataplane->services[i]);
	merge_targets(poller);
	for (size_t i = 0; i < poller->target_count; i++)
		poller->by_interval[i] = &poller->targets[i];
	qsort(poller->by_interval, poller->target_count, sizeof(*poller->by_interval),
	      compare_intervals);
	return 0;
}

/* The next slice of the group. Those of one group may be asked in either way. */
static void ask_slice(struct poll_group *group)
{
	size_t from = group->count * group->next / group->slices;
	size_t to = group->count * (group->next + 1) / group->slices;
	struct poller *poller = group->poller;

	group->next = (group->next + 1) % group->slices;
	if (poller->reports)
		poll_reports_ask(poller->reports, group->targets + from, to - from);
	for (size_t i = from; i < to; i++)
		if (group->targets[i]->protocol == POLL_AGENT_CHECK)
			poll_line_ask(poller, group->targets[i]);
}

static void due(evutil_socket_t timer, short events, void *context)
{
	struct poll_group *group = context;
	uint64_t rounds;

	(void)events;
	if (read(timer, &rounds, sizeof(rounds)) != sizeof(rounds))
		return;
	for (uint64_t i = 0; i < rounds && i < group->slices; i++)
		ask_slice(group);
}

static int start_group(struct poll_group *group, uint64_t interval_ns)
{
	uint64_t slices = (group->count + SLICE_TARGETS - 1) / SLICE_TARGETS;
	struct itimerspec times;

	if (slices > interval_ns / SLICE_NS_MIN)
		slices = interval_ns / SLICE_NS_MIN;
	if (!slices)
		slices = 1;
	group->slices = slices;
	times.it_interval.tv_sec = (time_t)(interval_ns / slices / NS_PER_SECOND);
	times.it_interval.tv_nsec = (long)(interval_ns / slices % NS_PER_SECOND);
	/* The first one at once: until it is answered nothing is known. */
	times.it_value = (struct timespec){.tv_nsec = 1};
	group->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (group->timer < 0 || timerfd_settime(group->timer, 0, &times, NULL))
		return -errno;
	group->due = event_new(group->poller->base, group->timer, EV_READ | EV_PERSIST, due, group);
	return group->due && !event_add(group->due, NULL) ? 0 : -ENOMEM;
}

static int start_groups(struct poller *poller)
{
	struct poll_target **targets = poller->by_interval;
	size_t from = 0, to;
	int err = 0;

	for (; !err && from < poller->target_count; from = to) {
		struct poll_group *group = &poller->groups[poller->group_count++];

		for (to = from; to < poller->target_count; to++)
			if (targets[to]->interval_ns != targets[from]->interval_ns)
				break;
		*group = (struct poll_group){
			.poller = poller,
			.targets = targets + from,
			.count = to - from,
			.timer = -1,
		};
		err = start_group(group, targets[from]->interval_ns);
	}
	return err;
}

static bool wants_reports(const struct poller *poller)
{
	for (size_t i = 0; i < poller->target_count; i++)
		if (poller->targets[i].protocol == POLL_REPORT)
			return true;
	return false;
}

int poll_open(struct event_base *base, const struct dataplane *dataplane, struct poller **poller)
{
	size_t members = count_members(dataplane);
	int err;

	*poller = NULL;
	if (!members)
		return 0;
	*poller = calloc(1, sizeof(**poller));
	if (!*poller)
		return -ENOMEM;
	(*poller)->base = base;
	(*poller)->dataplane = dataplane;
	err = list_targets(*poller, members);
	if (!err && wants_reports(*poller))
		err = poll_reports_open(*poller);
	if (!err)
		err = start_groups(*poller);
	if (!err)
		return 0;
	log_error("feedback: cannot begin to poll: %s", strerror(-err));
	poll_close(*poller);
	*poller = NULL;
	return err;
}

void poll_adopt(struct poller *poller, const struct poller *before)
{
	if (!poller || !before)
		return;
	for (size_t i = 0; i < poller->target_count; i++) {
		struct poll_target *target = &poller->targets[i];
		const struct poll_target *known =
			poll_find(before, &target->agent, target->protocol);

		if (!known)
			continue;
		target->counts = known->counts;
		target->asked_ns = known->asked_ns;
		target->number = known->number;
		target->answered = known->answered;
		target->said = known->said;
	}
}

void poll_close(struct poller *poller)
{
	if (!poller)
		return;
	for (size_t i = 0; i < poller->group_count; i++) {
		if (poller->groups[i].due)
			event_free(poller->groups[i].due);
		if (poller->groups[i].timer >= 0)
			close(poller->groups[i].timer);
	}
	for (size_t i = 0; i < poller->target_count; i++)
		poll_line_end(poller->targets[i].line);
	poll_reports_close(poller->reports);
	free(poller->groups);
	free(poller->by_interval);
	free(poller->targets);
	free(poller);
}
