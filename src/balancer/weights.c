/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/weights.h"

#include <math.h>
#include <stdlib.h>

#include "balancer/tables.h"
#include "choose.h"
#include "weighting.h"

/* Successive reports overlap: of so many, one counts as a sample of its own. */
#define REPORTS_PER_SAMPLE 2.0

/* What a server's load said at the last look. */
struct seen {
	uint64_t latency_sum_us;
	uint32_t in_flight_sum;
	uint32_t reports;
};

struct weights {
	struct dataplane *dataplane;
	struct weighted *members; /* of all services, one after another */
	struct seen *seen; /* likewise */
};

static struct seen look(const struct dataplane *dataplane, const struct member *member)
{
	const struct load *load = &dataplane->loads[member->server];

	return (struct seen){
		.latency_sum_us = __atomic_load_n(&load->latency_sum_us, __ATOMIC_RELAXED),
		.in_flight_sum = __atomic_load_n(&load->in_flight_sum, __ATOMIC_RELAXED),
		.reports = __atomic_load_n(&load->reports, __ATOMIC_RELAXED),
	};
}

static void restart(struct weights *weights, const struct member *member, size_t k)
{
	weights->members[k] = (struct weighted){.configured = member->config->weight, .factor = 1};
	weights->seen[k] = look(weights->dataplane, member);
}

void weights_restart(struct weights *weights, size_t i, size_t j)
{
	const struct dataplane *dataplane = weights->dataplane;

	restart(weights, &dataplane->services[i].members[j], first_member(dataplane, i) + j);
}

/* What was learned of a backend holds as long as its configured weight; at first, nothing is. */
static void begin(struct weights *weights)
{
	const struct dataplane *dataplane = weights->dataplane;
	size_t k = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		const struct balanced_service *service = &dataplane->services[i];

		for (size_t j = 0; j < service->config->backend_count; j++, k++)
			if (weights->members[k].configured != service->members[j].config->weight)
				restart(weights, &service->members[j], k);
	}
}

void weights_follow(struct weights *weights, const struct moves *moves)
{
	moves_carry(&weights->members, sizeof(*weights->members), moves->members,
		    moves->member_count);
	moves_carry(&weights->seen, sizeof(*weights->seen), moves->members, moves->member_count);
	begin(weights);
}

struct weights *weights_open(struct dataplane *dataplane)
{
	size_t count = first_member(dataplane, dataplane->config->service_count);
	struct weights *weights = calloc(1, sizeof(*weights));

	if (!weights)
		return NULL;
	weights->dataplane = dataplane;
	weights->members = calloc(count + 1, sizeof(*weights->members));
	weights->seen = calloc(count + 1, sizeof(*weights->seen));
	if (!weights->members || !weights->seen) {
		weights_close(weights);
		return NULL;
	}
	begin(weights);
	return weights;
}

void weights_close(struct weights *weights)
{
	if (!weights)
		return;
	free(weights->members);
	free(weights->seen);
	free(weights);
}

/* Adds what has been reported since the last look. first: where the service's members begin. */
static void gather(struct weights *weights, const struct balanced_service *service, size_t first)
{
	for (size_t i = 0; i < service->config->backend_count; i++) {
		struct seen seen = look(weights->dataplane, &service->members[i]);
		struct seen *before = &weights->seen[first + i];
		struct weighted *own = &weights->members[first + i];

		own->samples +=
			(double)(uint32_t)(seen.reports - before->reports) / REPORTS_PER_SAMPLE;
		own->latency_sum +=
			(double)(seen.latency_sum_us - before->latency_sum_us) / REPORTS_PER_SAMPLE;
		own->in_flight_sum +=
			(double)(uint32_t)(seen.in_flight_sum - before->in_flight_sum) /
			REPORTS_PER_SAMPLE;
		*before = seen;
	}
}

static void apply(struct dataplane *dataplane, struct balanced_service *service,
		  const struct weighted *own)
{
	for (size_t i = 0; i < service->config->backend_count; i++) {
		double weight = own[i].configured * own[i].factor * WEIGHT_ONE;

		member_set_weight(dataplane, &service->members[i],
				  (uint32_t)fmax(1, round(weight)));
	}
	dataplane_build_ring(dataplane, service);
}

static bool step(struct weighted *own, const struct service_config *config)
{
	return weighting_step(own, config->backend_count,
			      is_proportional(config->policy, config->signal, config->choices));
}

static bool weighs_itself(const struct service_config *config)
{
	return config->auto_weights && config->feedback != FEEDBACK_NONE;
}

void weights_update(struct weights *weights)
{
	struct dataplane *dataplane = weights->dataplane;
	size_t first = 0;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];
		struct weighted *own = &weights->members[first];

		if (weighs_itself(service->config)) {
			gather(weights, service, first);
			if (step(own, service->config))
				apply(dataplane, service, own);
		}
		first += service->config->backend_count;
	}
}
