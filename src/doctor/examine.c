/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of checks, gone through from top to bottom. */
#include "doctor/doctor.h"

#include <string.h>

#include "json.h"

enum sides {
	SIDE_BALANCER = 1,
	SIDE_SERVER = 2,
	SIDE_BOTH = SIDE_BALANCER | SIDE_SERVER,
	SIDE_LATER = 4,
	SIDE_BALANCER_LATER = SIDE_BALANCER | SIDE_LATER,
	SIDE_SERVER_LATER = SIDE_SERVER | SIDE_LATER,
};

static const struct check {
	const char *name;
	enum sides sides;
	const char *why;
	void (*run)(const struct subject *subject, struct findings *findings);
} checks[] = {
#define CHECK_ROW(symbol, side, name, why) {name, SIDE_##side, why, check_##symbol},
	CHECKS(CHECK_ROW)
#undef CHECK_ROW
};

#define CHECK_COUNT (sizeof(checks) / sizeof(checks[0]))

static json_t *run_check(const struct check *check, const struct subject *subject,
			 enum result *worst)
{
	struct findings findings = {.list = json_array()};

	check->run(subject, &findings);
	if (findings.worst > *worst)
		*worst = findings.worst;
	return json_pack("{s:s,s:s,s:s,s:o}", "name", check->name, "result",
			 result_name(findings.worst), "why", check->why, "findings", findings.list);
}

json_t *examine(struct subject *subject, examine_progress *progress, enum result *worst)
{
	enum sides side = subject->role == CONFIG_BALANCER ? SIDE_BALANCER : SIDE_SERVER;
	json_t *made = json_array();

	*worst = RESULT_OK;
	for (size_t i = 0; i < CHECK_COUNT; i++) {
		if (!(checks[i].sides & side))
			continue;
		progress(checks[i].name);
		if (checks[i].sides & SIDE_LATER)
			subject_look_again(subject);
		json_array_append_new(made, run_check(&checks[i], subject, worst));
	}
	progress(NULL);
	return json_pack("{s:s,s:s?,s:s?,s:s,s:o}", "role", role_name(subject), "instance",
			 *subject->instance ? subject->instance : NULL, "config",
			 *subject->config_path ? subject->config_path : NULL, "version",
			 PLIMSOLL_VERSION, "checks", made);
}

static const char *side_text(enum sides sides)
{
	return (sides & SIDE_BOTH) == SIDE_BOTH ? "both" :
	       sides & SIDE_BALANCER		? "balancer" :
						  "server";
}

void examine_explain(FILE *out)
{
	for (size_t i = 0; i < CHECK_COUNT; i++)
		fprintf(out, "%-16s %-8s  %s\n", checks[i].name, side_text(checks[i].sides),
			checks[i].why);
}
