/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/trace_record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/decision.h"
#include "config.h"
#include "json.h"
#include "load_report.h"

#define NS_PER_SECOND 1000000000ULL

enum action {
	PASS,
	SEND,
	DROP,
};

static const struct {
	const char *name;
	const char *sentence;
	enum action action;
} verdicts[] = {
#define VERDICT_ROW(symbol, name, action, sentence) {name, sentence, action},
	VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

/* Of a newer data path there may be others. */
static uint8_t known_verdict(const struct trace_record *record)
{
	return record->verdict < VERDICT_COUNT ? record->verdict : VERDICT_NONE;
}

bool trace_went_out(const struct trace_record *record)
{
	return verdicts[known_verdict(record)].action == SEND ||
	       record->verdict == VERDICT_REPORT_RESOLVING;
}

/* Reports go from the service to the client, everything else the other way. */
static struct endpoint client_of(const struct trace_record *record)
{
	if (record->has_report)
		return (struct endpoint){record->destination, ntohs(record->destination_port)};
	return (struct endpoint){record->source, ntohs(record->source_port)};
}

static struct endpoint service_end(const struct trace_record *record)
{
	if (record->has_report)
		return (struct endpoint){record->source, ntohs(record->source_port)};
	return (struct endpoint){record->destination, ntohs(record->destination_port)};
}

/* Whose packet it is: as the data path has found, or by that end of it. */
static const struct known_service *service_of(const struct kernel *kernel,
					      const struct trace_record *record)
{
	const struct known_service *known = kernel_service(kernel, record->service);
	struct endpoint end = service_end(record);

	return known ?: kernel_service_at(kernel, &end, record->protocol);
}

/* By its name, if the packet is one of a service's. */
static const char *service_text(const struct kernel *kernel, const struct trace_record *record,
				char *text)
{
	const struct known_service *known = service_of(kernel, record);
	struct endpoint end = service_end(record);

	return known ? known->name : endpoint_format(&end, text);
}

/* Where a service is one of every port: which. */
static uint16_t service_port(const struct kernel *kernel, const struct trace_record *record)
{
	const struct known_service *known = service_of(kernel, record);

	return known && !known->key.port ? service_end(record).port : 0;
}

static void print_flags(FILE *out, uint8_t flags)
{
	static const char letters[] = "FSRPAUEC";

	fputc('[', out);
	for (int i = 0; letters[i]; i++)
		if (flags & 1 << i)
			fputc(letters[i], out);
	fputc(']', out);
}

/* Of TCP the flags say that it is; of what has no ports nothing is known. */
static void print_protocol(FILE *out, const struct trace_record *record)
{
	if (record->protocol == IPPROTO_TCP)
		print_flags(out, record->tcp_flags);
	else
		fputs(record->protocol ? "udp" : "-", out);
}

static bool report_decode(const struct trace_record *record, struct load_report *report)
{
	struct load_report_option option;

	memcpy(&option, record->option, sizeof(option));
	return load_report_decode(&option, report) == LOAD_REPORT_OK;
}

static void describe_report(FILE *out, const struct kernel *kernel,
			    const struct trace_record *record)
{
	struct load_report report;
	char text[ADDRESS_TEXT_MAX];

	if (!report_decode(record, &report))
		return;
	fprintf(out, ": server %s, sequence %u, in-flight %u, utilisation %.0f%%, latency %lluus, ",
		kernel_server_text(kernel, report.server_id, text), report.sequence,
		report.in_flight, report.utilisation * 100 / 65535.0,
		(unsigned long long)load_report_float_decode(report.latency));
	fprintf(out, "accept queue %.0f%%, connections seen %u%s%s%s%s",
		report.accept_queue * 100 / 65535.0, report.connections_seen,
		report.flags & LOAD_REPORT_KEYED ? ", keyed" : "",
		report.flags & LOAD_REPORT_DRAINING ? ", draining" : "",
		report.flags & LOAD_REPORT_APPLICATION ? ", by the application" : "",
		report.flags & LOAD_REPORT_RESTARTED ? ", restarted" : "");
}

void trace_print_reason(FILE *out, const struct kernel *kernel, const struct trace_record *record)
{
	const struct known_service *known = kernel_service(kernel, record->service);
	const char *sentence = verdicts[known_verdict(record)].sentence;

	if (record->has_report) {
		fputs(sentence, out);
		describe_report(out, kernel, record);
		return;
	}
	if (known)
		decision_describe(out, kernel, &known->service, &record->decision, record->backend,
				  record->opens);
	if (record->verdict != VERDICT_FORWARDED)
		fprintf(out, "%s%s", known ? ": " : "", sentence);
}

void trace_print(FILE *out, const struct kernel *kernel, const struct trace_record *record,
		 uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / NS_PER_SECOND);
	char clock[sizeof("23:59:59")], text[ENDPOINT_TEXT_MAX];
	struct endpoint client = client_of(record);
	struct tm local;

	localtime_r(&seconds, &local);
	strftime(clock, sizeof(clock), "%T", &local);
	fprintf(out, "%s.%06u %s ", clock, (unsigned)(time_ns % NS_PER_SECOND / 1000),
		verdicts[known_verdict(record)].name);
	fputs(service_text(kernel, record, text), out);
	if (service_port(kernel, record))
		fprintf(out, ":%u", service_port(kernel, record));
	fputc(' ', out);
	fprintf(out, "%s ", endpoint_format(&client, text));
	print_protocol(out, record);
	fprintf(out, " %u bytes", record->length_in);
	if (record->service && record->backend && !record->has_report)
		fprintf(out, " to %s", kernel_backend_text(kernel, record->backend, text));
	fputs(": ", out);
	trace_print_reason(out, kernel, record);
}

static json_t *report_json(const struct kernel *kernel, const struct trace_record *record)
{
	struct load_report report;
	json_t *object = json_object();
	char text[ADDRESS_TEXT_MAX];

	if (!report_decode(record, &report)) {
		json_decref(object);
		return json_null();
	}
	json_object_set_new(object, "server",
			    json_string(kernel_server_text(kernel, report.server_id, text)));
	json_set_integer(object, "sequence", report.sequence);
	json_set_integer(object, "in_flight", report.in_flight);
	json_set_real(object, "utilisation", report.utilisation / 65535.0);
	json_set_integer(object, "latency_us", load_report_float_decode(report.latency));
	json_set_real(object, "accept_queue", report.accept_queue / 65535.0);
	json_set_integer(object, "connections_seen", report.connections_seen);
	json_object_set_new(object, "keyed", json_boolean(report.flags & LOAD_REPORT_KEYED));
	json_object_set_new(object, "draining", json_boolean(report.flags & LOAD_REPORT_DRAINING));
	json_object_set_new(object, "application",
			    json_boolean(report.flags & LOAD_REPORT_APPLICATION));
	json_object_set_new(object, "restarted",
			    json_boolean(report.flags & LOAD_REPORT_RESTARTED));
	return object;
}

json_t *trace_json(const struct kernel *kernel, const struct trace_record *record, uint64_t time_ns)
{
	const struct known_service *known = kernel_service(kernel, record->service);
	struct endpoint client = client_of(record);
	char text[ENDPOINT_TEXT_MAX];
	json_t *object = json_object();
	char *reason = NULL;
	size_t length;
	FILE *out;

	json_set_real(object, "time", (double)time_ns / NS_PER_SECOND);
	json_object_set_new(object, "verdict", json_string(verdicts[known_verdict(record)].name));
	json_object_set_new(object, "service", json_string(service_text(kernel, record, text)));
	if (service_port(kernel, record))
		json_set_integer(object, "service_port", service_port(kernel, record));
	json_object_set_new(object, "client", json_string(endpoint_format(&client, text)));
	json_object_set_new(object, "protocol",
			    record->protocol ? json_string(protocol_name(record->protocol)) :
					       json_null());
	json_set_integer(object, "tcp_flags", record->tcp_flags);
	json_set_integer(object, "length", record->length_in);
	if (known)
		decision_json(object, kernel, &known->service, &record->decision, record->backend,
			      record->opens);
	if (record->has_report)
		json_object_set_new(object, "report", report_json(kernel, record));
	out = open_memstream(&reason, &length);
	if (out) {
		trace_print_reason(out, kernel, record);
		fclose(out);
		json_object_set_new(object, "reason", json_string(reason));
		free(reason);
	}
	return object;
}
