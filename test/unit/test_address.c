/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "address.h"

static void address_round_trip(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0",
		"10.1.0.3",
		"255.255.255.255",
		"::",
		"::1",
		"2001:db8::3",
		"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	char text[ADDRESS_TEXT_MAX];
	struct ip_address address;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(address_parse(texts[i], &address), 0);
		assert_string_equal(address_format(address, text), texts[i]);
	}
	assert_int_equal(address_parse("10.1.0.3", &address), 0);
	assert_int_equal(address.word[0], 0);
	assert_int_equal(address.word[1], 0);
	assert_int_equal(ntohl(address.word[2]), 0xffff);
	assert_int_equal(ntohl(address.word[3]), 0x0a010003);
	assert_int_equal(address_parse("2001:db8::3", &address), 0);
	assert_int_equal(ntohl(address.word[0]), 0x20010db8);
	assert_int_equal(ntohl(address.word[3]), 3);
}

static void address_wrong(void **state)
{
	static const char *const texts[] = {
		"",
		"10",
		"10.1.0",
		"10.1.0.256",
		"10.1.0.3.4",
		"10.1.0.3 ",
		" 10.1.0.3",
		"10.1.0.03",
		"10.1.0.0x3",
		"10.1.0.-3",
		"10..0.3",
		"a.b.c.d",
		"10.1.0.3:80",
		"10.1.0.3/24",
		"[::1]",
		"localhost",
		"::ffff:10.1.0.3",
		"2001:db8::3%lo",
		"2001:db8:::3",
		"2001:db8::3/64",
	};
	struct ip_address address = {{0x12345678}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (address_parse(texts[i], &address) != -EINVAL)
			fail_msg("\"%s\" was taken for an address", texts[i]);
	}
	assert_int_equal(address.word[0], 0x12345678);
}

static void endpoint_round_trip(void **state)
{
	static const char *const texts[] = {"10.1.0.100:80", "0.0.0.0:1", "255.255.255.255:65535",
					    "[2001:db8::64]:443", "[::]:1"};
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(endpoint_parse(texts[i], &endpoint), 0);
		assert_string_equal(endpoint_format(&endpoint, text), texts[i]);
	}
	assert_int_equal(endpoint_parse("10.1.0.100:80", &endpoint), 0);
	assert_int_equal(ntohl(endpoint.address.word[3]), 0x0a010064);
	assert_int_equal(endpoint.port, 80);
}

static void endpoint_wrong(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		":80",
		"10.1.0.100",
		"10.1.0.100:",
		"10.1.0.100:0",
		"10.1.0.100:65536",
		"10.1.0.100:99999",
		"10.1.0.100:4294967376",
		"10.1.0.100:080",
		"10.1.0.100:+80",
		"10.1.0.100:-80",
		"10.1.0.100: 80",
		"10.1.0.100:80 ",
		"10.1.0.100:http",
		"10.1.0.100:0x50",
		"10.1.0.100:80:80",
		"10.1.0.300:80",
		"host:80",
		"[::1]",
		"[::1]80",
		"[::1:80",
		"::1]:80",
		"[10.1.0.100]:80",
		"[]:80",
		"[::1]:0",
		"2001:db8::1",
		"::1",
		"1111111111111111111111111111111111111111:80",
	};
	struct endpoint endpoint = {.port = 7};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (endpoint_parse(texts[i], &endpoint) != -EINVAL)
			fail_msg("\"%s\" was taken for an endpoint", texts[i]);
	}
	assert_int_equal(endpoint.port, 7);
}

static void prefix_round_trip(void **state)
{
	static const struct {
		const char *text, *again;
	} pairs[] = {
		{"10.1.0.2", "10.1.0.2/32"},	    {"10.1.0.2/32", "10.1.0.2/32"},
		{"10.1.2.3/15", "10.0.0.0/15"},	    {"10.1.2.3/0", "0.0.0.0/0"},
		{"2001:db8::1", "2001:db8::1/128"}, {"2001:db8:ff::1/33", "2001:db8::/33"},
	};
	char text[PREFIX_TEXT_MAX];
	struct address_prefix prefix;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(prefix_parse(pairs[i].text, &prefix), 0);
		assert_string_equal(prefix_format(&prefix, text), pairs[i].again);
	}
}

static void prefix_wrong(void **state)
{
	static const char *const texts[] = {
		"",
		"/24",
		"10.1.0.0/",
		"10.1.0.0/33",
		"10.1.0.0/-1",
		"10.1.0.0/+1",
		"10.1.0.0/ 1",
		"10.1.0.0/8x",
		"10.1.0.0//8",
		"2001:db8::/129",
		"host/8",
		"10.1/16",
		"10.1.0.0/0008",
	};
	struct address_prefix prefix;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (prefix_parse(texts[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" was taken for a prefix", texts[i]);
}

static void mac(void **state)
{
	static const uint8_t bytes[6] = {0x02, 0x00, 0x00, 0xab, 0x0c, 0xff};
	char text[MAC_TEXT_MAX];

	(void)state;
	assert_string_equal(mac_format(bytes, text), "02:00:00:ab:0c:ff");
	assert_int_equal(strlen(text) + 1, MAC_TEXT_MAX);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_round_trip),
		cmocka_unit_test(address_wrong),
		cmocka_unit_test(endpoint_round_trip),
		cmocka_unit_test(endpoint_wrong),
		cmocka_unit_test(prefix_round_trip),
		cmocka_unit_test(prefix_wrong),
		cmocka_unit_test(mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
