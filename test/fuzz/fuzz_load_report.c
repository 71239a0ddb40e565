/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any bytes as an option: what decodes must encode to the same bytes again, and the tag must not
 * depend on where it stands. With libFuzzer, or with FUZZ_SEEDS for the files given as arguments.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "load_report.h"

static const struct load_report_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

static void check_float(uint16_t code)
{
	require(load_report_float_encode(load_report_float_decode(code)) == code);
}

static void check_option(const uint8_t *data, size_t size)
{
	struct load_report_option option = {0}, again;
	struct load_report report;

	memcpy(&option, data, size < sizeof(option) ? size : sizeof(option));
	if (load_report_decode(&option, &report) != LOAD_REPORT_OK)
		return;
	require(option.length == LOAD_REPORT_LENGTH || option.length == LOAD_REPORT_LENGTH_KEYED);
	memset(&again, 0xee, sizeof(again));
	load_report_encode(&again, &report);
	require(!memcmp(&again, &option, LOAD_REPORT_LENGTH));
	require(load_report_tag_ipv4(&again, &key, 1, 2) ==
		load_report_tag_ipv4(&option, &key, 1, 2));
	check_float(report.latency);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		check_option(data, size);
	return 0;
}
