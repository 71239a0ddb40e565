/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel below can do. */
#include "doctor/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "doctor/attached.h"
#include "doctor/checks.h"
#include "kernel_needs.h"

#define VERSION(major, minor) ((major)*1000 + (minor))
/* BPF maps count as the memory of their control group from here on. */
#define VERSION_MEMCG VERSION(5, 11)
/* 2025-01-01: no clock that is right shows less. */
#define CLOCK_LEAST 1735689600

static bool look_version(const struct subject *subject, char *text, size_t size, int *version)
{
	int major, minor;

	if (!look_text(subject, text, size, "/proc/sys/kernel/osrelease") ||
	    sscanf(text, "%d.%d", &major, &minor) != 2)
		return false;
	*version = VERSION(major, minor);
	return true;
}

void check_kernel(const struct subject *subject, struct findings *findings)
{
	char release[128], text[256];

	if (!look_text(subject, release, sizeof(release), "/proc/sys/kernel/osrelease")) {
		saw(findings, RESULT_UNKNOWN, "/proc/sys/kernel/osrelease cannot be read");
	} else if (kernel_lacks(release, true, text, sizeof(text))) {
		saw(findings, RESULT_WRONG, "%s", text);
		mend(findings, "apt-get install linux-image-amd64 && reboot");
	} else {
		saw(findings, RESULT_OK, "Linux %s", release);
	}
}

static const struct kernel_feature features[] = {
	{BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_adjust_head, "bpf_xdp_adjust_head in XDP"},
	{BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_adjust_meta, "bpf_xdp_adjust_meta in XDP"},
	{BPF_PROG_TYPE_XDP, BPF_FUNC_fib_lookup, "bpf_fib_lookup in XDP"},
	{BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, "bpf_xdp_load_bytes in XDP"},
	{BPF_PROG_TYPE_XDP, BPF_FUNC_redirect, "bpf_redirect in XDP"},
	{BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skb_adjust_room, "bpf_skb_adjust_room in tc"},
	{BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_redirect_neigh, "bpf_redirect_neigh in tc"},
	{BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skc_lookup_tcp, "bpf_skc_lookup_tcp in tc"},
	{BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_skc_to_tcp_sock, "bpf_skc_to_tcp_sock in tc"},
	{BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_loop, "bpf_loop in tc"},
};

#define FEATURE_COUNT (sizeof(features) / sizeof(features[0]))

static int probe_helper(const struct kernel_feature *feature)
{
	return libbpf_probe_bpf_helper(feature->program, feature->helper, NULL);
}

void judge_features(kernel_probe *probe, struct findings *findings)
{
	size_t missing = 0;

	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		int there = probe(&features[i]);

		if (there == 1)
			continue;
		missing++;
		if (there) {
			saw(findings, RESULT_UNKNOWN, "the kernel does not let us try: %s",
			    strerror(-there));
			mend(findings, "sudo plimsoll doctor");
			return;
		}
		saw(findings, RESULT_WRONG, "this kernel has no %s", features[i].name);
		mend(findings, "apt-get install linux-image-amd64 && reboot");
	}
	if (!missing)
		saw(findings, RESULT_OK, "XDP, tc and all %zu helpers that were tried",
		    FEATURE_COUNT);
}

void check_kernel_features(const struct subject *subject, struct findings *findings)
{
	(void)subject;
	judge_features(probe_helper, findings);
}

void check_btf(const struct subject *subject, struct findings *findings)
{
	char byte[2];

	if (look_text(subject, byte, sizeof(byte), "/sys/kernel/btf/vmlinux")) {
		saw(findings, RESULT_OK, "/sys/kernel/btf/vmlinux is there");
		return;
	}
	saw(findings, RESULT_WRONG,
	    "/sys/kernel/btf/vmlinux is missing: the kernel was built without "
	    "CONFIG_DEBUG_INFO_BTF");
	mend(findings, "apt-get install linux-image-amd64 && reboot");
}

/* The setting is shown in the host's own network namespace only; a program tells anywhere. */
void check_bpf_jit(const struct subject *subject, struct findings *findings)
{
	struct attached attached;
	long enabled;

	if (look_number(subject, &enabled, "/proc/sys/net/core/bpf_jit_enable")) {
		if (enabled) {
			saw(findings, RESULT_OK, "net.core.bpf_jit_enable is %ld", enabled);
			return;
		}
		saw(findings, RESULT_WRONG, "net.core.bpf_jit_enable is 0");
		mend(findings, "sysctl -w net.core.bpf_jit_enable=1");
		return;
	}
	if (!attached_first(subject, &attached)) {
		saw(findings, RESULT_SKIPPED,
		    "the setting belongs to the host's own network namespace, and no program runs");
	} else if (attached.jited) {
		saw(findings, RESULT_OK, "program %u is compiled", attached.program);
	} else {
		saw(findings, RESULT_WRONG, "program %u is interpreted", attached.program);
		mend(findings, "sysctl -w net.core.bpf_jit_enable=1");
	}
}

void check_memlock(const struct subject *subject, struct findings *findings)
{
	char text[128], limit[32] = "";
	int version;

	if (!look_version(subject, text, sizeof(text), &version)) {
		saw(findings, RESULT_UNKNOWN, "/proc/sys/kernel/osrelease cannot be read");
		return;
	}
	if (version >= VERSION_MEMCG) {
		saw(findings, RESULT_OK, "Linux %s does not count maps as locked memory", text);
		return;
	}
	if (!subject->daemon) {
		saw(findings, RESULT_SKIPPED, "no daemon runs that would have a limit");
		return;
	}
	process_limit(subject, "Max locked memory", limit, sizeof(limit));
	if (!strcmp(limit, "unlimited")) {
		saw(findings, RESULT_OK, "locked memory of process %d is unlimited",
		    (int)subject->daemon);
		return;
	}
	saw(findings, RESULT_WRONG, "locked memory of process %d is limited to %s bytes",
	    (int)subject->daemon, limit);
	mend(findings, "prlimit --pid %d --memlock=unlimited", (int)subject->daemon);
}

void judge_clock(int64_t seconds, bool synchronised, struct findings *findings)
{
	char text[32];
	time_t when = (time_t)seconds;
	struct tm parts;

	gmtime_r(&when, &parts);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts);
	if (seconds < CLOCK_LEAST) {
		saw(findings, RESULT_WRONG, "the clock shows %s", text);
		mend(findings, "timedatectl set-ntp true");
	} else if (!synchronised) {
		saw(findings, RESULT_ADVICE, "nothing keeps the clock right; it shows %s", text);
		mend(findings, "timedatectl set-ntp true");
	} else {
		saw(findings, RESULT_OK, "the clock is kept right");
	}
}

void check_clock(const struct subject *subject, struct findings *findings)
{
	struct timex state = {0};
	bool synchronised = adjtimex(&state) != TIME_ERROR;

	(void)subject;
	judge_clock((int64_t)time(NULL), synchronised, findings);
}
