/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/health_watch.h"

#include "balancer/tables.h"
#include "choose.h"
#include "clock.h"
#include "health.h"
#include "log.h"

/* Who has not answered ARP by then is down; until then, it has just been asked. */
#define ASKED_NS 3000000000ULL
/* A suspicion that comes again within this time is the same: it is told once. */
#define SUSPICION_ENDS_NS 1000000000ULL

/* So long after a trial was due, it is not waited for any more. */
#define UNTRIED_NS 1000000000ULL
/* The data path's clock is behind by as much. */
#define JIFFY_MOST_NS 10000000ULL
/* A report may take so long to arrive. */
#define ON_ITS_WAY_NS 20000000ULL

/* The data path looks only when it has something to send there. We look also when it has not. */
static bool look_for_silence(struct backend *backend, struct health *evidence, uint64_t now)
{
	if (backend->suspect || !health_is_silent(evidence, now))
		return backend->suspect;
	health_suspect(evidence, now);
	__atomic_store_n(&backend->suspect, 1, __ATOMIC_RELEASE);
	return true;
}

/* What was held against it says nothing of it now. */
static void end_suspicion(struct dataplane *dataplane, struct member *member)
{
	struct health *evidence = &dataplane->healths[member->index];

	evidence->unanswered = 0;
	evidence->unanswered_ns = 0;
	evidence->suspect_ns = 0;
	evidence->refused = 0;
	__atomic_store_n(&dataplane->backends[member->index].suspect, 0, __ATOMIC_RELEASE);
	member->health.suspect_ns = 0;
}

/* Nobody has come to try it for a while: then its check has to do. */
static bool is_acquitted(const struct health *evidence, const struct check_record *record,
			 uint64_t now)
{
	return record && record->verdict == CHECK_UP && !record->failed &&
	       (int64_t)(now - evidence->trial_ns) > (int64_t)UNTRIED_NS;
}

static struct health_facts gather(struct dataplane *dataplane, const struct service_config *service,
				  struct member *member, uint64_t now)
{
	const struct check_record *record = check_record_of(member->health.check);
	struct health *evidence = &dataplane->healths[member->index];
	struct load load = dataplane->loads[member->server];
	bool spared = look_for_silence(&dataplane->backends[member->index], evidence, now);

	if (!member->health.asked_ns)
		member->health.asked_ns = now;
	if (spared)
		member->health.suspect_ns = now;
	if (spared && is_acquitted(evidence, record, now))
		end_suspicion(dataplane, member);
	return (struct health_facts){
		.verdict = record ? record->verdict : CHECK_UNDECIDED,
		.draining = member->config->draining,
		.leaving = member->config->leaving,
		.ipv6 = !address_is_ipv4(member->config->address),
		.reachable = member->neighbour.resolved,
		.unreachable =
			!member->neighbour.resolved &&
			(member->health.facts.reachable || member->health.facts.unreachable ||
			 now - member->health.asked_ns > ASKED_NS),
		.suspect = member->health.suspect_ns &&
			   now - member->health.suspect_ns < SUSPICION_ENDS_NS,
		.reports = load_known(&load, now, service->stale_after_ns),
		.answered = evidence->answered_ns,
	};
}

static void tell(const struct health_watch *watch, const struct service_config *service,
		 const struct member *member, const struct health_facts *before)
{
	static const enum event_kind kinds[] = {
		[HEALTH_HEALTHY] = EVENT_HEALTHY,
		[HEALTH_SUSPECT] = EVENT_SUSPECT,
		[HEALTH_DOWN] = EVENT_DOWN,
	};
	enum health_state state = member->health.state;
	char address[ADDRESS_TEXT_MAX];

	/* By hand, by ARP: told by whoever has seen it first. */
	if (state == HEALTH_UNKNOWN || state == HEALTH_DRAINING || before->draining ||
	    before->unreachable || member->health.facts.unreachable)
		return;
	events_add(watch->events, kinds[state], service->name,
		   address_format(member->config->address, address), "%s%s", member->health.cause,
		   state == HEALTH_DOWN ? ": new connections go to the others" : "");
}

static void set_state(struct member *member, enum health_state state)
{
	member->health.state = state;
	member->health.since = time(NULL);
}

static void come_back(struct health_watch *watch, const struct service_config *service,
		      struct member *member, uint64_t now)
{
	struct dataplane *dataplane = watch->dataplane;

	end_suspicion(dataplane, member);
	if (!service->slow_start_ns)
		return;
	member->health.back_ns = now;
	member_set_ramp(dataplane, member, health_ramp(0, service->slow_start_ns));
}

static void change_state(struct health_watch *watch, size_t service, struct member *member,
			 enum health_state state, uint64_t now)
{
	const struct service_config *config = watch->dataplane->services[service].config;
	enum health_state before = member->health.state;

	set_state(member, state);
	__atomic_store_n(&watch->dataplane->backends[member->index].down, state == HEALTH_DOWN,
			 __ATOMIC_RELEASE);
	if (before == HEALTH_DOWN && state != HEALTH_DRAINING)
		come_back(watch, config, member, now);
	if (before != HEALTH_DOWN && state != HEALTH_DOWN)
		return;
	rebuild_mark(watch->rebuild, service);
	rebuild_soon(watch->rebuild);
}

/* What it has sent shortly after the first unanswered SYN may have been on its way before. */
static bool reports_meanwhile(const struct load *load, const struct health *evidence)
{
	return evidence->unanswered_ns &&
	       (int64_t)(load->received_ns - evidence->unanswered_ns) > (int64_t)ON_ITS_WAY_NS;
}

static void judge(struct health_watch *watch, size_t service, struct member *member, uint64_t now)
{
	const struct service_config *config = watch->dataplane->services[service].config;
	struct health_facts before = member->health.facts;
	struct health_facts facts = gather(watch->dataplane, config, member, now);
	enum health_state state = health_judge(&facts), was = member->health.state;
	const struct health *evidence = &watch->dataplane->healths[member->index];
	struct health_details details = {
		.unanswered = evidence->unanswered,
		.silence_ms =
			(uint32_t)(health_silence_ns(evidence, evidence->suspect_ns) / 1000000),
		.refused = evidence->refused,
		.reports = reports_meanwhile(&watch->dataplane->loads[member->server], evidence),
	};
	char check[CHECK_TEXT_MAX];

	if (member->health.since && health_facts_equal(&facts, &before))
		return;
	member->health.facts = facts;
	if (member->health.check) {
		details.check = check_describe(member->health.check, check);
		details.result = check_record_of(member->health.check)->result;
	}
	health_cause(&facts, &details, member->health.cause);
	if (!member->health.since)
		set_state(member, state);
	if (state == was)
		return;
	change_state(watch, service, member, state, now);
	tell(watch, config, member, &before);
}

/* Takes the next step of a slow start. Returns whether the ring must follow. */
static bool ramp_up(struct dataplane *dataplane, const struct service_config *service,
		    struct member *member, uint64_t now)
{
	uint32_t ramp;

	if (!member->health.back_ns)
		return false;
	ramp = health_ramp(now - member->health.back_ns, service->slow_start_ns);
	if (ramp == HEALTH_RAMP_ONE)
		member->health.back_ns = 0;
	if (ramp == member->ramp)
		return false;
	member_set_ramp(dataplane, member, ramp);
	return true;
}

/* Has it been waited for longer than an answer takes? The longest so far is in *silence_ns. */
static bool is_in_doubt(const struct dataplane *dataplane, const struct member *member,
			uint64_t now, uint64_t *silence_ns)
{
	const struct health *evidence = &dataplane->healths[member->index];
	uint64_t silence = health_silence_ns(evidence, now);

	if (silence <= *silence_ns ||
	    silence < health_two_handshakes_ns(evidence) + JIFFY_MOST_NS ||
	    dataplane->backends[member->index].suspect || !member_is_open(member) ||
	    dataplane->loads[member->server].flags & LOAD_REPORT_DRAINING)
		return false;
	*silence_ns = silence;
	return true;
}

/* To whom the data path is to send the next connection, if it still has not answered by then. */
static void find_doubted(struct dataplane *dataplane, const struct balanced_service *service,
			 uint64_t now)
{
	uint64_t silence_ns = 0, doubted = BACKEND_NONE;

	for (size_t i = 0; i < service->config->backend_count; i++)
		if (is_in_doubt(dataplane, &service->members[i], now, &silence_ns))
			doubted = service->members[i].index;
	if (dataplane->doubted[service->id] != doubted)
		__atomic_store_n(&dataplane->doubted[service->id], doubted, __ATOMIC_RELAXED);
}

/* Who has never answered is given the time that the others of its service take. */
static void share_handshakes(struct dataplane *dataplane, const struct balanced_service *service)
{
	size_t count = service->config->backend_count;
	uint32_t longest = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t took = dataplane->healths[service->members[i].index].handshake_us;

		longest = took > longest ? took : longest;
	}
	for (size_t i = 0; longest && i < count; i++) {
		struct health *evidence = &dataplane->healths[service->members[i].index];

		if (!evidence->handshake_us)
			evidence->handshake_us = longest;
	}
}

void health_follow(struct health_watch *watch, struct rebuild *rebuild)
{
	watch->rebuild = rebuild;
	if (checks_follow(watch->checks))
		log_error("there is no memory for the health checks");
	health_look(watch);
}

void health_look(struct health_watch *watch)
{
	struct dataplane *dataplane = watch->dataplane;
	uint64_t now = now_ns();

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];
		bool ramps = false;

		share_handshakes(dataplane, service);
		for (size_t j = 0; j < service->config->backend_count; j++) {
			judge(watch, i, &service->members[j], now);
			ramps |= ramp_up(dataplane, service->config, &service->members[j], now);
		}
		find_doubted(dataplane, service, now);
		if (!ramps)
			continue;
		rebuild_mark(watch->rebuild, i);
		rebuild_soon(watch->rebuild);
	}
}
