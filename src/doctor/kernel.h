/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_DOCTOR_KERNEL_H
#define PLIMSOLL_DOCTOR_KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "doctor/findings.h"

/* A helper that the programs call, and from which kind of program. */
struct kernel_feature {
	enum bpf_prog_type program;
	enum bpf_func_id helper;
	const char *name;
};

/* 1: there is, 0: there is not; or -errno. */
typedef int kernel_probe(const struct kernel_feature *feature);

void judge_features(kernel_probe *probe, struct findings *findings);
void judge_clock(int64_t seconds, bool synchronised, struct findings *findings);

#endif
