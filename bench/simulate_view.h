/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one balancer knows of the servers, and how it chooses: its maps, its ring, its slow loop. */
#ifndef PLIMSOLL_SIMULATE_VIEW_H
#define PLIMSOLL_SIMULATE_VIEW_H

#include "simulate.h"

#include "load_report.h"

struct view;

/* What views do not find out for themselves. */
struct surroundings {
	const struct world *world;
	const struct contender *contender;
	const uint32_t *capacities; /* of the servers: their workers */
	const uint32_t *assigned; /* the truth: requests at each server, and on the way to it */
	const bool *absent; /* not among the members */
};

/* first: another one, whose ring may be made use of as long as it lives; NULL. */
struct view *view_open(const struct surroundings *surroundings, const struct view *first,
		       uint64_t seed);
void view_close(struct view *view);

/* A server for a new flow. *age_ns: of its report; UINT64_MAX without. */
uint32_t view_choose(struct view *view, uint64_t hash, uint64_t now, uint64_t *age_ns);
void view_report(struct view *view, uint32_t server, const struct load_report *report,
		 uint64_t now);

/* To be told when a server comes or goes. */
void view_members_changed(struct view *view);

/* One round of the slow loop. Returns the sum of |ln(new / old)| of the weights. */
double view_weigh(struct view *view);
/* How far its weights are from the capacities: the mean of |ln|. */
double view_weight_error(const struct view *view);

#endif
