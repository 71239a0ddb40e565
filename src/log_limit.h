/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* That what happens again and again does not fill the log: so many lines alike in a while, and a count. */
#ifndef PLIMSOLL_LOG_LIMIT_H
#define PLIMSOLL_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_WINDOW_NS 10000000000ULL
#define LOG_LIMIT_SLOTS 256

struct log_limit {
	struct log_limit_slot {
		uint64_t key;
		uint64_t since_ns;
		uint32_t told;
		uint32_t withheld; /* since the last that was told */
	} slots[LOG_LIMIT_SLOTS];
};

/* What a key is made of: strings, one after another, the first with 0. */
uint64_t log_limit_key(uint64_t key, const char *text);

/*
 * May one more line of this key be told, of which `most` are in LOG_LIMIT_WINDOW_NS? Then *withheld says
 * how many were not since the last; of keys that share a slot the newer one counts anew.
 */
bool log_limit_allows(struct log_limit *limit, uint64_t key, uint32_t most, uint64_t now_ns,
		      uint32_t *withheld);

#endif
