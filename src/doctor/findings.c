/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "doctor/findings.h"

#include <stdarg.h>

const char *result_name(enum result result)
{
	static const char *const names[] = {
		[RESULT_OK] = "ok",	    [RESULT_SKIPPED] = "skipped",
		[RESULT_ADVICE] = "advice", [RESULT_UNKNOWN] = "unknown",
		[RESULT_WRONG] = "wrong",
	};

	return names[result];
}

void saw(struct findings *findings, enum result result, const char *format, ...)
{
	json_t *finding = json_object();
	va_list arguments;

	va_start(arguments, format);
	json_object_set_new(finding, "result", json_string(result_name(result)));
	json_object_set_new(finding, "saw", json_vsprintf(format, arguments));
	json_object_set_new(finding, "mend", json_null());
	va_end(arguments);
	json_array_append_new(findings->list, finding);
	if (result > findings->worst)
		findings->worst = result;
}

void mend(struct findings *findings, const char *format, ...)
{
	json_t *last = json_array_get(findings->list, json_array_size(findings->list) - 1);
	va_list arguments;

	va_start(arguments, format);
	json_object_set_new(last, "mend", json_vsprintf(format, arguments));
	va_end(arguments);
}
