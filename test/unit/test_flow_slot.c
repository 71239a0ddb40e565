/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What becomes of a slot of the flow table, and who gives way to whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "flow_slot.h"

#define SECOND 1000000000ULL
#define NOW (100000 * SECOND)
#define UDP_TIMEOUT FLOW_FINE_TICKS(30)

/* A slot whose last packet was so many seconds ago. */
static uint64_t slot(enum flow_state state, uint64_t seconds)
{
	return flow_value(1ULL << FLOW_FINGERPRINT_SHIFT, 7, state, NOW - seconds * SECOND);
}

static const struct step {
	const char *name;
	enum flow_state state;
	uint64_t age;
	enum flow_hint hint;
	enum flow_state next;
} steps[] = {
	{"unknown, SYN", FLOW_FREE, 0, FLOW_HINT_BEGINS, FLOW_OPENING},
	{"unknown, ACK", FLOW_FREE, 0, FLOW_HINT_GOES_ON, FLOW_ADOPTED},
	{"unknown, FIN", FLOW_FREE, 0, FLOW_HINT_ENDS, FLOW_CLOSING},
	{"unknown, datagram", FLOW_FREE, 0, FLOW_HINT_UDP, FLOW_UDP},
	{"opening, SYN again", FLOW_OPENING, 3, FLOW_HINT_BEGINS, FLOW_OPENING},
	{"opening, ACK", FLOW_OPENING, 0, FLOW_HINT_GOES_ON, FLOW_OPEN},
	{"opening, RST", FLOW_OPENING, 0, FLOW_HINT_ENDS, FLOW_CLOSING},
	{"open, at once", FLOW_OPEN, 0, FLOW_HINT_GOES_ON, FLOW_OPEN},
	{"open, later", FLOW_OPEN, 5, FLOW_HINT_GOES_ON, FLOW_LASTING},
	{"open, SYN again", FLOW_OPEN, 5, FLOW_HINT_BEGINS, FLOW_OPEN},
	{"open, FIN", FLOW_OPEN, 0, FLOW_HINT_ENDS, FLOW_CLOSING},
	{"lasting", FLOW_LASTING, 1000, FLOW_HINT_GOES_ON, FLOW_LASTING},
	{"lasting, a forged SYN", FLOW_LASTING, 0, FLOW_HINT_BEGINS, FLOW_LASTING},
	{"lasting, FIN", FLOW_LASTING, 0, FLOW_HINT_ENDS, FLOW_CLOSING},
	{"closing, ACK", FLOW_CLOSING, 0, FLOW_HINT_GOES_ON, FLOW_CLOSING},
	{"closing, ACK later", FLOW_CLOSING, 30, FLOW_HINT_GOES_ON, FLOW_CLOSING},
	{"closing, SYN", FLOW_CLOSING, 0, FLOW_HINT_BEGINS, FLOW_OPENING},
	{"adopted, at once", FLOW_ADOPTED, 0, FLOW_HINT_GOES_ON, FLOW_ADOPTED},
	{"adopted, later", FLOW_ADOPTED, 5, FLOW_HINT_GOES_ON, FLOW_OPEN},
	{"udp, at once", FLOW_UDP, 0, FLOW_HINT_UDP, FLOW_UDP},
	{"udp, later", FLOW_UDP, 5, FLOW_HINT_UDP, FLOW_UDP_LASTING},
	{"udp lasting", FLOW_UDP_LASTING, 0, FLOW_HINT_UDP, FLOW_UDP_LASTING},
};

static void test_steps(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		uint64_t value = steps[i].state ? slot(steps[i].state, steps[i].age) : 0;

		if (flow_next_state(value, steps[i].hint, NOW) != steps[i].next)
			fail_msg("%s", steps[i].name);
	}
}

static void test_age(void **state)
{
	(void)state;
	assert_int_equal(flow_age(slot(FLOW_OPENING, 0), NOW), 0);
	assert_in_range(flow_age(slot(FLOW_OPENING, 10), NOW), 148, 150); /* of 67 ms */
	assert_in_range(flow_age(slot(FLOW_OPEN, 86), NOW), 20, 21); /* of 4.3 s */
	assert_int_equal(flow_backend(slot(FLOW_UDP, 3)), 7);
}

/* From the first to give way to the last. */
static void test_rank(void **state)
{
	const uint64_t slots[] = {
		0,
		slot(FLOW_CLOSING, 50),
		slot(FLOW_UDP_LASTING, 40), /* past its timeout */
		slot(FLOW_OPENING, 30),
		slot(FLOW_ADOPTED, 20),
		slot(FLOW_UDP, 10),
		slot(FLOW_OPENING, 2),
		slot(FLOW_LASTING, 1000),
		slot(FLOW_OPEN, 70),
		slot(FLOW_CLOSING, 0),
		slot(FLOW_OPEN, 50),
		slot(FLOW_LASTING, 40),
	};
	size_t i;

	(void)state;
	for (i = 1; i < sizeof(slots) / sizeof(*slots); i++)
		if (flow_rank(slots[i - 1], NOW, UDP_TIMEOUT) >=
		    flow_rank(slots[i], NOW, UDP_TIMEOUT))
			fail_msg("number %zu is not before its successor", i - 1);
}

static enum flow_class class_of(enum flow_state state, uint64_t age)
{
	return flow_rank_class(flow_rank(slot(state, age), NOW, UDP_TIMEOUT));
}

static void test_who_does_not_give_way(void **state)
{
	(void)state;
	assert_int_equal(class_of(FLOW_OPEN, 50), FLOW_CLASS_ESTABLISHED);
	assert_int_equal(class_of(FLOW_OPEN, 70), FLOW_CLASS_IDLE);
	assert_int_equal(class_of(FLOW_LASTING, 890), FLOW_CLASS_ESTABLISHED);
	assert_int_equal(class_of(FLOW_LASTING, 910), FLOW_CLASS_IDLE);
	assert_int_equal(class_of(FLOW_UDP_LASTING, 29), FLOW_CLASS_ESTABLISHED);
	assert_int_equal(class_of(FLOW_UDP_LASTING, 31), FLOW_CLASS_PAST);
	assert_int_equal(class_of(FLOW_OPENING, 0), FLOW_CLASS_FRESH);
	assert_int_equal(class_of(FLOW_OPENING, 2), FLOW_CLASS_PAST);
}

static const struct {
	enum flow_state state;
	uint64_t kept, over; /* seconds */
} ends[] = {
	{FLOW_OPENING, 64, 67},	      {FLOW_CLOSING, 59, 62},	  {FLOW_ADOPTED, 299, 302},
	{FLOW_UDP, 29, 31},	      {FLOW_UDP_LASTING, 29, 31}, {FLOW_OPEN, 28700, 28900},
	{FLOW_LASTING, 28700, 28900},
};

static void test_what_is_over(void **state)
{
	size_t i;

	(void)state;
	assert_false(flow_over(0, NOW, UDP_TIMEOUT));
	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		assert_false(flow_over(slot(ends[i].state, ends[i].kept), NOW, UDP_TIMEOUT));
		assert_true(flow_over(slot(ends[i].state, ends[i].over), NOW, UDP_TIMEOUT));
	}
	assert_false(flow_timed_out(slot(FLOW_OPENING, 31), NOW, UDP_TIMEOUT));
	assert_false(flow_timed_out(slot(FLOW_UDP, 29), NOW, UDP_TIMEOUT));
	assert_true(flow_timed_out(slot(FLOW_UDP, 31), NOW, UDP_TIMEOUT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),	     cmocka_unit_test(test_age),
		cmocka_unit_test(test_rank),	     cmocka_unit_test(test_who_does_not_give_way),
		cmocka_unit_test(test_what_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
