/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "log_limit.h"

/* FNV-1a */
#define FNV_OFFSET 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

uint64_t log_limit_key(uint64_t key, const char *text)
{
	if (!key)
		key = FNV_OFFSET;
	do
		key = (key ^ (uint8_t)*text) * FNV_PRIME;
	while (*text++);
	return key;
}

bool log_limit_allows(struct log_limit *limit, uint64_t key, uint32_t most, uint64_t now_ns,
		      uint32_t *withheld)
{
	struct log_limit_slot *slot = &limit->slots[key % LOG_LIMIT_SLOTS];

	if (slot->key != key)
		*slot = (struct log_limit_slot){.key = key, .since_ns = now_ns};
	if (now_ns - slot->since_ns >= LOG_LIMIT_WINDOW_NS) {
		slot->since_ns = now_ns;
		slot->told = 0;
	}
	if (slot->told == most) {
		slot->withheld++;
		return false;
	}
	slot->told++;
	*withheld = slot->withheld;
	slot->withheld = 0;
	return true;
}
