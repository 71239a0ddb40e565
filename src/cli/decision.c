/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/decision.h"

#include <string.h>

#include "choose.h"
#include "json.h"

/* load_projected() scales by 256. */
#define PROJECTED 256.0
#define FRACTION_ONE 65535.0

/* What a flow's packet met. */
enum flow_meeting {
	FLOW_MET_KNOWN,
	FLOW_MET_NEW,
	FLOW_MET_ADOPTED, /* in the middle of a connection that the balancer does not know */
};

static enum flow_meeting flow_meeting(const struct decision *decision, bool opens)
{
	if (!decision->made)
		return FLOW_MET_KNOWN;
	return opens ? FLOW_MET_NEW : FLOW_MET_ADOPTED;
}

/* A candidate, once, however many of a flow's hashes lead to it. */
struct considered {
	uint32_t backend;
	uint64_t key;
};

static size_t list_candidates(const struct decision *decision, struct considered *list)
{
	size_t noted = decision->looked_at < CHOICES_MAX ? decision->looked_at : CHOICES_MAX;
	size_t count = 0, i, j;

	for (i = 0; i < noted; i++) {
		for (j = 0; j < count && list[j].backend != decision->backends[i]; j++)
			;
		if (j == count)
			list[count++] =
				(struct considered){decision->backends[i], decision->keys[i]};
	}
	return count;
}

/* Of a scan only the best are noted, in no order. */
static void sort_candidates(struct considered *list, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		for (size_t j = i; j > 0 && list[j].key < list[j - 1].key; j--) {
			struct considered other = list[j];

			list[j] = list[j - 1];
			list[j - 1] = other;
		}
	}
}

/* A key in the unit of what it stands for: requests per weight, a fraction, microseconds. */
static double key_number(const struct service *service, uint64_t key)
{
	if (service->policy == POLICY_PREQUAL)
		return key & KEY_HOT ? (double)(key & ~KEY_HOT) / (1 << HOT_BITS) : (double)key;
	if (service->policy == POLICY_WEIGHTED_RANDOM)
		return (double)key / (1ULL << LOG2_BITS);
	if (service->signal == SIGNAL_IN_FLIGHT)
		return (double)key / COST_ONE;
	if (service->signal == SIGNAL_LATENCY)
		return (double)key / PROJECTED;
	return (double)key / PROJECTED / FRACTION_ONE;
}

static void print_key(FILE *out, const struct service *service, uint64_t key)
{
	if (key >= KEY_UNKNOWN)
		fputs(key == KEY_UNKNOWN  ? "unknown" :
		      key == KEY_DRAINING ? "draining" :
		      key == KEY_SUSPECT  ? "suspect or down" :
					    "did not answer",
		      out);
	else if (service->policy == POLICY_PREQUAL && key & KEY_HOT)
		fprintf(out, "hot, %.2f", key_number(service, key));
	else if (service->policy == POLICY_PREQUAL ||
		 (service->policy != POLICY_WEIGHTED_RANDOM && service->signal == SIGNAL_LATENCY))
		fprintf(out, "%.0fus", key_number(service, key));
	else
		fprintf(out, "%.2f", key_number(service, key));
}

static void print_candidates(FILE *out, const struct kernel *kernel, const struct service *service,
			     const struct considered *list, size_t count)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s%s (",
			i == 0	      ? "" :
			i < count - 1 ? ", " :
					" and ",
			kernel_backend_text(kernel, list[i].backend, text));
		print_key(out, service, list[i].key);
		fputc(')', out);
	}
}

static void describe_compared(FILE *out, const struct kernel *kernel, const struct service *service,
			      const struct decision *decision)
{
	struct considered list[CHOICES_MAX];
	size_t count = list_candidates(decision, list);
	char text[ADDRESS_TEXT_MAX];

	if (candidates_of(service->policy) == CANDIDATES_ALL && decision->looked_at > 1) {
		sort_candidates(list, count);
		fprintf(out, "of all %u backends the lowest ", decision->looked_at);
	} else if (count == 1 && list[0].key == KEY_UNKNOWN) {
		fprintf(out, "no fresh report of its first candidate %s",
			kernel_backend_text(kernel, list[0].backend, text));
		return;
	} else {
		fputs(count == 1 ? "candidate " : "candidates ", out);
	}
	print_candidates(out, kernel, service, list, count);
}

/* The policies that compare nothing. */
static const char *manner(const struct service *service)
{
	switch (candidates_of(service->policy)) {
	case CANDIDATES_RANDOM:
		return "at random";
	case CANDIDATES_NEXT:
		return "in turn";
	case CANDIDATES_HASH:
		return "by its hash";
	default:
		return service->feedback == FEEDBACK_NONE ?
			       "by its hash, for there is no feedback" :
			       "by its hash, for the flow table is crowded";
	}
}

void decision_describe(FILE *out, const struct kernel *kernel, const struct service *service,
		       const struct decision *decision, uint32_t took, bool opens)
{
	char text[ADDRESS_TEXT_MAX];

	switch (flow_meeting(decision, opens)) {
	case FLOW_MET_KNOWN:
		fputs("flow known", out);
		return;
	case FLOW_MET_ADOPTED:
		fputs("flow unknown, in its middle, by its hash", out);
		break;
	case FLOW_MET_NEW:
		fputs("new flow, ", out);
		if (decision->looked_at)
			describe_compared(out, kernel, service, decision);
		else
			fputs(manner(service), out);
		break;
	}
	fprintf(out, ", took %s",
		took == BACKEND_NONE ? "none" : kernel_backend_text(kernel, took, text));
}

static json_t *candidates_json(const struct kernel *kernel, const struct service *service,
			       const struct decision *decision)
{
	struct considered list[CHOICES_MAX];
	size_t count = list_candidates(decision, list);
	json_t *array = json_array();
	char text[ADDRESS_TEXT_MAX];

	if (candidates_of(service->policy) == CANDIDATES_ALL)
		sort_candidates(list, count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			array, json_pack("{s:s, s:o}", "backend",
					 kernel_backend_text(kernel, list[i].backend, text), "key",
					 list[i].key >= KEY_UNKNOWN ?
						 json_null() :
						 json_real(key_number(service, list[i].key))));
	return array;
}

void decision_json(json_t *object, const struct kernel *kernel, const struct service *service,
		   const struct decision *decision, uint32_t took, bool opens)
{
	static const char *const meetings[] = {
		[FLOW_MET_KNOWN] = "known",
		[FLOW_MET_NEW] = "new",
		[FLOW_MET_ADOPTED] = "adopted",
	};
	char text[ADDRESS_TEXT_MAX];

	json_object_set_new(object, "flow", json_string(meetings[flow_meeting(decision, opens)]));
	json_object_set_new(object, "backend",
			    took == BACKEND_NONE ?
				    json_null() :
				    json_string(kernel_backend_text(kernel, took, text)));
	json_set_integer(object, "looked_at", decision->looked_at);
	json_object_set_new(object, "candidates", candidates_json(kernel, service, decision));
}
