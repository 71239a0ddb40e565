/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "balancer/weights.h"

#include <math.h>
#include <stdlib.h>

#include "balancer/tables.h"
#include "weighting.h"

/* Successive reports overlap: of so many, one counts as a sample of its own. */
#define REPORTS_PER_SAMPLE 2.0

/* What a server's load said at the last look. */
struct seen {
	uint64_t latency_sum_us;
	uint32_t reports;
};

struct service_weights {
	struct weighted *members; /* in the order of the configuration */
	struct seen *seen;
};

struct weights {
	struct dataplane *dataplane;
	struct service_weights *services;
};

static struct seen look(const struct dataplane *dataplane, const struct member *member)
{
	const struct load *load = &dataplane->loads[member->server];

	return (struct seen){
		.latency_sum_us = __atomic_load_n(&load->latency_sum_us, __ATOMIC_RELAXED),
		.reports = __atomic_load_n(&load->reports, __ATOMIC_RELAXED),
	};
}

static int open_service(struct weights *weights, size_t index)
{
	size_t count = weights->dataplane->services[index].config->backend_count;
	struct service_weights *own = &weights->services[index];

	own->members = calloc(count, sizeof(*own->members));
	own->seen = calloc(count, sizeof(*own->seen));
	if (!own->members || !own->seen)
		return -1;
	for (size_t i = 0; i < count; i++)
		weights_restart(weights, index, i);
	return 0;
}

void weights_restart(struct weights *weights, size_t i, size_t j)
{
	const struct member *member = &weights->dataplane->services[i].members[j];
	struct service_weights *own = &weights->services[i];

	own->members[j] = (struct weighted){.configured = member->configured, .factor = 1};
	own->seen[j] = look(weights->dataplane, member);
}

struct weights *weights_open(struct dataplane *dataplane)
{
	size_t count = dataplane->config->service_count;
	struct weights *weights = calloc(1, sizeof(*weights));

	if (!weights)
		return NULL;
	weights->dataplane = dataplane;
	weights->services = calloc(count, sizeof(*weights->services));
	for (size_t i = 0; i < count; i++) {
		if (!weights->services || open_service(weights, i)) {
			weights_close(weights);
			return NULL;
		}
	}
	return weights;
}

void weights_close(struct weights *weights)
{
	if (!weights)
		return;
	for (size_t i = 0; weights->services && i < weights->dataplane->config->service_count;
	     i++) {
		free(weights->services[i].members);
		free(weights->services[i].seen);
	}
	free(weights->services);
	free(weights);
}

/* Adds what has been reported since the last look. */
static void gather(struct dataplane *dataplane, const struct balanced_service *service,
		   struct service_weights *own)
{
	for (size_t i = 0; i < service->config->backend_count; i++) {
		struct seen seen = look(dataplane, &service->members[i]);
		double reports = (double)(uint32_t)(seen.reports - own->seen[i].reports);
		double sum = (double)(seen.latency_sum_us - own->seen[i].latency_sum_us);

		own->members[i].samples += reports / REPORTS_PER_SAMPLE;
		own->members[i].latency_sum += sum / REPORTS_PER_SAMPLE;
		own->seen[i] = seen;
	}
}

static void apply(struct dataplane *dataplane, struct balanced_service *service,
		  const struct service_weights *own)
{
	for (size_t i = 0; i < service->config->backend_count; i++) {
		double weight = own->members[i].configured * own->members[i].factor * WEIGHT_ONE;

		member_set_weight(dataplane, &service->members[i],
				  (uint32_t)fmax(1, round(weight)));
	}
	dataplane_build_ring(dataplane, service);
}

void weights_update(struct weights *weights)
{
	struct dataplane *dataplane = weights->dataplane;

	for (size_t i = 0; i < dataplane->config->service_count; i++) {
		struct balanced_service *service = &dataplane->services[i];

		if (!service->config->auto_weights || service->config->feedback == FEEDBACK_NONE)
			continue;
		gather(dataplane, service, &weights->services[i]);
		if (weighting_step(weights->services[i].members, service->config->backend_count))
			apply(dataplane, service, &weights->services[i]);
	}
}
