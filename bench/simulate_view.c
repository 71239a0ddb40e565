/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "simulate_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simulate_estimate.h"
#include "simulate_events.h"
#include "simulate_kernel.h"

#include "ring.h"
#include "weighting.h"

/* As in src/balancer/dataplane.h and weights.c. */
#define WEIGHT_ONE 256
#define REPORTS_PER_SAMPLE 2.0
/* A prime; from it the default. Where servers are many it takes the largest. */
#define RING_SIZE 16381
#define SERVERS_PER_RING 160
#define ADDRESS_FIRST 0x0a010003

struct seen {
	uint64_t latency_sum_us;
	uint32_t in_flight_sum;
	uint32_t reports, connections;
};

/* Index 0 of backends and loads is nobody, as in the kernel. */
struct view {
	const struct surroundings *surroundings;
	struct service service;
	struct choice_state state;
	struct backend *backends;
	struct load *loads;
	uint64_t *ring; /* ring, members, schedule */
	bool ring_is_shared; /* it is the first view's: nothing will change it */
	struct weighted *weighted; /* of src/weighting.c */
	struct estimated *estimated;
	struct seen *seen;
	uint32_t random;
};

static struct view *current;
static uint64_t current_ns;

static inline __u64 bpf_ktime_get_ns(void)
{
	return current_ns;
}

static inline __u32 bpf_get_prandom_u32(void)
{
	current->random = current->random * 1664525 + 1013904223;
	return (__u32)hash_mix(current->random);
}

/* For who knows the truth, it is written down before it is looked at. */
static void tell_truth(struct load *load, uint32_t assigned)
{
	load->in_flight = assigned < 65535 ? (__u16)assigned : 65535;
	load->connections_seen = load->connections_sent;
	load->connections_lost = 0;
	load->received_ns = current_ns;
}

static inline void *bpf_map_lookup_elem(void *map, const void *key)
{
	uint32_t index = *(const uint32_t *)key;

	/* Nobody is suspect in the simulation, or doubted. */
	if (!current || map == &healths || map == &doubted)
		return NULL;
	if (map == &rings)
		return current->ring;
	if (map == &choice_states)
		return &current->state;
	if (map == &backends)
		return &current->backends[index];
	if (map == &loads) {
		if (current->surroundings->contender->knowledge == KNOWS_THE_TRUTH)
			tell_truth(&current->loads[index],
				   current->surroundings->assigned[index - 1]);
		return &current->loads[index];
	}
	return (uint64_t *)map + index;
}

static int policy_by_name(const char *name)
{
#define POLICY_NAMED(symbol, text, candidates, key, evens, sentence)                               \
	if (!strcmp(name, text))                                                                   \
		return POLICY_##symbol;
	POLICIES(POLICY_NAMED)
	return -1;
}

static int signal_by_name(const char *name)
{
#define SIGNAL_NAMED(symbol, text, load, sentence)                                                 \
	if (!strcmp(name, text))                                                                   \
		return SIGNAL_##symbol;
	SIGNALS(SIGNAL_NAMED)
	return -1;
}

static void fill_service(struct view *view)
{
	const struct contender *contender = view->surroundings->contender;
	uint32_t count = view->surroundings->world->servers;
	int knows = contender->knowledge != KNOWS_NOTHING;

	view->service = (struct service){
		.id = 1,
		.ring_size = count * SERVERS_PER_RING > RING_SIZE ? RING_SIZE_MAX : RING_SIZE,
		.member_count = count,
		.stale_after_ns = contender->stale_after_ns,
		.policy = contender->policy ? (__u8)policy_by_name(contender->policy) : 0,
		.signal = contender->signal ? (__u8)signal_by_name(contender->signal) : 0,
		.feedback = knows ? FEEDBACK_IN_BAND : FEEDBACK_NONE,
		.choices = contender->choices ? (__u8)contender->choices : 4,
		.with_pending = !contender->without_pending,
	};
}

static uint32_t weight_in_force(const struct view *view, uint32_t server)
{
	const struct weighted *weighted = &view->weighted[server];

	return (uint32_t)fmax(1, round(weighted->configured * weighted->factor * WEIGHT_ONE));
}

static uint32_t weight_in_ring(const struct view *view, uint32_t weight)
{
	double power = 1 - view->surroundings->contender->ring_flatness;

	return (uint32_t)fmax(1, round(WEIGHT_ONE * pow((double)weight / WEIGHT_ONE, power)));
}

static void list_members(struct view *view, struct ring_member *members)
{
	view->service.member_count = 0;
	for (uint32_t i = 0; i < view->surroundings->world->servers; i++) {
		uint32_t weight = weight_in_force(view, i);

		if (view->surroundings->absent[i])
			continue;
		view->backends[i + 1].server = i + 1;
		view->backends[i + 1].cost = (uint32_t)((uint64_t)COST_ONE * WEIGHT_ONE / weight);
		members[view->service.member_count++] = (struct ring_member){
			.id = i + 1,
			.identity = ADDRESS_FIRST + i,
			.weight = weight_in_ring(view, weight),
		};
	}
}

/* As src/balancer/rings.c does it. The schedule only for who goes by it, because it takes long. */
static int build_ring(struct view *view)
{
	struct service *service = &view->service;
	struct ring_member *members =
		grown(NULL, view->surroundings->world->servers + 1, sizeof(*members));
	uint32_t *slots = NULL;
	uint32_t size, fixed;
	int err = -1;

	list_members(view, members);
	fixed = service->ring_size + service->member_count;
	if (service->policy == POLICY_ROUND_ROBIN)
		service->schedule_size = schedule_size(members, service->member_count);
	size = fixed + service->schedule_size;
	slots = calloc(size, sizeof(*slots));
	view->ring = reallocarray(view->ring, size, sizeof(*view->ring));
	if (slots && view->ring &&
	    !ring_build(members, service->member_count, slots, service->ring_size) &&
	    !schedule_build(members, service->member_count, slots + fixed,
			    service->schedule_size)) {
		for (uint32_t i = 0; i < service->member_count; i++)
			slots[service->ring_size + i] = members[i].id;
		for (uint32_t i = 0; i < size; i++)
			view->ring[i] = slots[i];
		err = 0;
	}
	free(slots);
	free(members);
	return err;
}

/* Without a slow loop and without anybody coming or going, the rings of all balancers are the same. */
static bool may_share(const struct surroundings *surroundings)
{
	return !surroundings->contender->estimator &&
	       surroundings->world->incident != INCIDENT_JOIN &&
	       surroundings->world->incident != INCIDENT_DRAIN;
}

static void share_ring(struct view *view, const struct view *first)
{
	struct ring_member *members =
		grown(NULL, view->surroundings->world->servers + 1, sizeof(*members));

	list_members(view, members);
	free(members);
	view->service = first->service;
	view->ring = first->ring;
	view->ring_is_shared = true;
}

struct view *view_open(const struct surroundings *surroundings, const struct view *first,
		       uint64_t seed)
{
	uint32_t count = surroundings->world->servers;
	struct view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->surroundings = surroundings;
	view->backends = aligned_alloc(64, (count + 1) * sizeof(*view->backends));
	view->loads = aligned_alloc(64, (count + 1) * sizeof(*view->loads));
	view->weighted = calloc(count, sizeof(*view->weighted));
	view->estimated = calloc(count, sizeof(*view->estimated));
	view->seen = calloc(count, sizeof(*view->seen));
	if (!view->backends || !view->loads || !view->weighted || !view->estimated || !view->seen)
		goto failed;
	memset(view->backends, 0, (count + 1) * sizeof(*view->backends));
	memset(view->loads, 0, (count + 1) * sizeof(*view->loads));
	for (uint32_t i = 0; i < count; i++) {
		bool known = surroundings->world->weights_known ||
			     surroundings->contender->right_weights;

		view->weighted[i].configured = known ? surroundings->capacities[i] : 1;
		view->weighted[i].factor = 1;
		view->estimated[i].configured = view->weighted[i].configured;
		view->estimated[i].factor = 1;
	}
	fill_service(view);
	view->random = (uint32_t)seed;
	view->state.next = (uint32_t)hash_mix(seed);
	if (first && may_share(surroundings)) {
		share_ring(view, first);
		return view;
	}
	if (!build_ring(view))
		return view;
failed:
	view_close(view);
	return NULL;
}

void view_close(struct view *view)
{
	if (!view)
		return;
	free(view->backends);
	free(view->loads);
	free(view->weighted);
	free(view->estimated);
	free(view->seen);
	if (!view->ring_is_shared)
		free(view->ring);
	free(view);
}

uint32_t view_choose(struct view *view, uint64_t hash, uint64_t now, uint64_t *age_ns)
{
	struct load *load;
	uint32_t index;

	current = view;
	current_ns = now;
	index = view->backends[select_backend(&view->service, hash, 1, BACKEND_NONE, NULL)].server;
	load = &view->loads[index];
	*age_ns = load_known(load, now, view->service.stale_after_ns) ? now - load->received_ns :
									UINT64_MAX;
	load->connections_sent++;
	return index - 1;
}

void view_report(struct view *view, uint32_t server, const struct load_report *report, uint64_t now)
{
	struct load *load = &view->loads[server + 1];
	struct estimated *estimated = &view->estimated[server];

	if (load->received_ns)
		estimated->in_flight_us +=
			(double)load->in_flight * (double)(now - load->received_ns) / (double)US;
	estimated->utilisation += report->utilisation;
	load_update(load, report, now);
}

void view_members_changed(struct view *view)
{
	build_ring(view);
}

/* As src/balancer/weights.c does it, for all estimators. */
static void gather(struct view *view, uint32_t server)
{
	const struct load *load = &view->loads[server + 1];
	struct weighted *weighted = &view->weighted[server];
	struct estimated *estimated = &view->estimated[server];
	struct seen *seen = &view->seen[server];
	double sum = (double)(load->latency_sum_us - seen->latency_sum_us);
	double reports = (uint32_t)(load->reports - seen->reports);

	weighted->samples += reports / REPORTS_PER_SAMPLE;
	weighted->latency_sum += sum / REPORTS_PER_SAMPLE;
	weighted->in_flight_sum +=
		(uint32_t)(load->in_flight_sum - seen->in_flight_sum) / REPORTS_PER_SAMPLE;
	estimated->reports += reports;
	estimated->latency_us += sum;
	estimated->connections += (uint32_t)(load->connections_seen - seen->connections);
	*seen = (struct seen){load->latency_sum_us, load->in_flight_sum, load->reports,
			      load->connections_seen};
}

static bool weigh(struct view *view)
{
	uint32_t count = view->surroundings->world->servers;
	enum estimator estimator = view->surroundings->contender->estimator;
	bool changed;

	if (estimator == ESTIMATOR_PUBLISHED)
		return weighting_step(view->weighted, count,
				      is_proportional(view->service.policy, view->service.signal,
						      view->service.choices));
	changed = estimate(view->estimated, count, estimator);
	for (uint32_t i = 0; i < count; i++)
		view->weighted[i].factor = view->estimated[i].factor;
	return changed;
}

double view_weigh(struct view *view)
{
	uint32_t count = view->surroundings->world->servers;
	double *before = grown(NULL, count, sizeof(*before)), moved = 0;

	for (uint32_t i = 0; i < count; i++) {
		gather(view, i);
		before[i] = view->weighted[i].factor;
	}
	if (weigh(view)) {
		build_ring(view);
		for (uint32_t i = 0; i < count; i++)
			moved += fabs(log(view->weighted[i].factor / before[i]));
	}
	free(before);
	return moved;
}

double view_weight_error(const struct view *view)
{
	uint32_t count = view->surroundings->world->servers;
	double offset = 0, error = 0;

	/* Only ratios of weights matter. */
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < count; i++) {
			const struct weighted *weighted = &view->weighted[i];
			double ratio = log(weighted->configured * weighted->factor /
					   view->surroundings->capacities[i]);

			if (pass)
				error += fabs(ratio - offset / count);
			else
				offset += ratio;
		}
	}
	return error / count;
}
