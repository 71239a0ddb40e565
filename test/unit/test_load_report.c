/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the machines, held against bytes written by hand and hashes computed by
 * others: the vectors of SipHash's authors, and OpenSSL 3 for the tag of a packet
 * (openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt size:8 SIPHASH, which
 * prints the hash with its lowest byte first).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load_report.h"

/* Every field's every byte is another one, so that no two can be mistaken. */
static const uint8_t keyed_bytes[32] = {
	0x5e, 0x20, 0xb7, 0x1a, /* type, length, magic, version 1 with flags K and A */
	0x0a, 0x01, 0x00, 0x03, /* server id 10.1.0.3 */
	0x01, 0x02, 0x03, 0x04, /* sequence */
	0x00, 0x07, 0x80, 0x00, /* in-flight, utilisation */
	0x05, 0xdc, 0x00, 0x40, /* latency 1500 us, accept queue */
	0x00, 0xbc, 0x61, 0x4e, /* connections seen: 12345678 */
	0xf0, 0xcb, 0xcc, 0x84, 0x56, 0x7a, 0xbb, 0xef, /* tag, from OpenSSL */
};

static const uint8_t unkeyed_bytes[24] = {
	0x5e, 0x18, 0xb7, 0x15, /* version 1 with flags D and R */
	0xc0, 0xa8, 0xfe, 0xfd, /* 192.168.254.253 */
	0xff, 0xfe, 0xfd, 0xfc, /* sequence */
	0xff, 0xff, 0x12, 0x34, /* in-flight, utilisation */
	0x4f, 0x42, 0xab, 0xcd, /* latency 999,936 us, accept queue */
	0x89, 0x76, 0x54, 0x32, /* connections seen */
};

static const uint8_t source_bytes[4] = {10, 1, 0, 100};
static const uint8_t destination_bytes[4] = {10, 1, 2, 55};

/* Key 00 01 .. 0f, whatever this machine's byte order. */
static const struct load_report_key counting_key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

static struct load_report_option option_from(const uint8_t *bytes, size_t length)
{
	struct load_report_option option = {0};

	memcpy(&option, bytes, length);
	return option;
}

static uint32_t word_from(const uint8_t *bytes)
{
	uint32_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static void test_decode_keyed(void **state)
{
	struct load_report_option option = option_from(keyed_bytes, sizeof(keyed_bytes));
	struct load_report report;

	(void)state;
	assert_int_equal(load_report_decode(&option, &report), LOAD_REPORT_OK);
	assert_memory_equal(&report.server_id, &keyed_bytes[4], 4);
	assert_int_equal(report.flags, LOAD_REPORT_KEYED | LOAD_REPORT_APPLICATION);
	assert_int_equal(report.sequence, 0x01020304);
	assert_int_equal(report.in_flight, 7);
	assert_int_equal(report.utilisation, 0x8000);
	assert_int_equal(load_report_float_decode(report.latency), 1500);
	assert_int_equal(report.accept_queue, 0x40);
	assert_int_equal(report.connections_seen, 12345678);
}

static void test_decode_unkeyed(void **state)
{
	struct load_report_option option = option_from(unkeyed_bytes, sizeof(unkeyed_bytes));
	struct load_report report;

	(void)state;
	assert_int_equal(load_report_decode(&option, &report), LOAD_REPORT_OK);
	assert_memory_equal(&report.server_id, &unkeyed_bytes[4], 4);
	assert_int_equal(report.flags, LOAD_REPORT_DRAINING | LOAD_REPORT_RESTARTED);
	assert_int_equal(report.sequence, 0xfffefdfc);
	assert_int_equal(report.in_flight, 0xffff);
	assert_int_equal(report.utilisation, 0x1234);
	assert_int_equal(load_report_float_decode(report.latency), 999936);
	assert_int_equal(report.accept_queue, 0xabcd);
	assert_int_equal(report.connections_seen, 0x89765432);
}

static void test_encode_keyed(void **state)
{
	struct load_report report = {
		.server_id = word_from(&keyed_bytes[4]),
		.sequence = 0x01020304,
		.connections_seen = 12345678,
		.in_flight = 7,
		.utilisation = 0x8000,
		.accept_queue = 0x40,
		.latency = load_report_float_encode(1500),
		.flags = LOAD_REPORT_KEYED | LOAD_REPORT_APPLICATION,
	};
	struct load_report_option option;

	(void)state;
	memset(&option, 0xee, sizeof(option));
	load_report_encode(&option, &report);
	option.tag = load_report_tag_ipv4(&option, &counting_key, word_from(source_bytes),
					  word_from(destination_bytes));
	assert_memory_equal(&option, keyed_bytes, sizeof(keyed_bytes));
}

static void test_encode_unkeyed(void **state)
{
	struct load_report report = {
		.server_id = word_from(&unkeyed_bytes[4]),
		.sequence = 0xfffefdfc,
		.connections_seen = 0x89765432,
		.in_flight = 0xffff,
		.utilisation = 0x1234,
		.accept_queue = 0xabcd,
		.latency = load_report_float_encode(1000000),
		.flags = LOAD_REPORT_DRAINING | LOAD_REPORT_RESTARTED,
	};
	struct load_report_option option;

	(void)state;
	memset(&option, 0xee, sizeof(option));
	load_report_encode(&option, &report);
	assert_memory_equal(&option, unkeyed_bytes, sizeof(unkeyed_bytes));
	assert_true(option.tag == 0);
}

/* Flags beyond the four have no room, and must not spill into the version. */
static void test_encode_keeps_version(void **state)
{
	struct load_report report = {.flags = 0xf0 | LOAD_REPORT_RESTARTED};
	struct load_report_option option;

	(void)state;
	load_report_encode(&option, &report);
	assert_int_equal(option.version_flags, 0x11);
}

static void test_decode_refuses(void **state)
{
	static const struct {
		size_t offset;
		uint8_t byte;
		enum load_report_error expected;
	} wrong[] = {
		{0, 0x00, LOAD_REPORT_NOT_OURS}, /* end of options */
		{0, 0x01, LOAD_REPORT_NOT_OURS}, /* no operation */
		{0, 0xde, LOAD_REPORT_NOT_OURS}, /* ours, but copied on fragmentation */
		{0, 0x1e, LOAD_REPORT_NOT_OURS}, /* the same number in class 0 */
		{2, 0x00, LOAD_REPORT_NOT_OURS}, /* another experiment */
		{2, 0xb6, LOAD_REPORT_NOT_OURS},    {3, 0x0a, LOAD_REPORT_BAD_VERSION},
		{3, 0x2a, LOAD_REPORT_BAD_VERSION}, {3, 0xfa, LOAD_REPORT_BAD_VERSION},
		{3, 0x12, LOAD_REPORT_BAD_LENGTH}, /* 32 bytes without K */
		{1, 0, LOAD_REPORT_BAD_LENGTH},	    {1, 1, LOAD_REPORT_BAD_LENGTH},
		{1, 2, LOAD_REPORT_BAD_LENGTH},	    {1, 23, LOAD_REPORT_BAD_LENGTH},
		{1, 24, LOAD_REPORT_BAD_LENGTH}, /* K, but no room for the tag */
		{1, 25, LOAD_REPORT_BAD_LENGTH},    {1, 31, LOAD_REPORT_BAD_LENGTH},
		{1, 33, LOAD_REPORT_BAD_LENGTH},    {1, 40, LOAD_REPORT_BAD_LENGTH},
		{1, 255, LOAD_REPORT_BAD_LENGTH},
	};
	struct load_report report;
	uint8_t bytes[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct load_report_option option;

		memcpy(bytes, keyed_bytes, sizeof(bytes));
		bytes[wrong[i].offset] = wrong[i].byte;
		option = option_from(bytes, sizeof(bytes));
		assert_int_equal(load_report_decode(&option, &report), wrong[i].expected);
	}
}

/* Only 24 and 32 are lengths, and each only with its flag. */
static void test_decode_takes_two_lengths(void **state)
{
	struct load_report_option option = option_from(keyed_bytes, sizeof(keyed_bytes));
	struct load_report report;
	unsigned int length, flags;
	enum load_report_error expected;

	(void)state;
	for (length = 0; length <= 255; length++)
		for (flags = 0; flags <= 15; flags++) {
			option.length = length;
			option.version_flags = 0x10 | flags;
			expected = length == (flags & 8 ? 32 : 24) ? LOAD_REPORT_OK :
								     LOAD_REPORT_BAD_LENGTH;
			assert_int_equal(load_report_decode(&option, &report), expected);
		}
}

/* The nearest of all 65536 values, found by another program that knows only how to decode. */
static void test_float_vectors(void **state)
{
	static const struct {
		uint64_t value;
		uint16_t code;
		uint64_t decoded;
	} vectors[] = {
		{0, 0x0000, 0},
		{1, 0x0001, 1},
		{2047, 0x07ff, 2047},
		{2048, 0x0800, 2048},
		{4095, 0x0fff, 4095}, /* the last that needs no rounding */
		{4096, 0x1000, 4096},
		{4097, 0x1001, 4098}, /* a tie, upwards */
		{4098, 0x1001, 4098},
		{8190, 0x17ff, 8190},
		{8191, 0x1800, 8192}, /* carries into the exponent */
		{8192, 0x1800, 8192},
		{8193, 0x1800, 8192},
		{8194, 0x1801, 8196},
		{16383, 0x2000, 16384},
		{16384, 0x2000, 16384},
		{1000000, 0x4f42, 999936}, /* a second */
		{1000000000, 0x9ee7, 1000079360},
		{3600000000, 0xad69, 3599761408}, /* an hour */
		{4396435898367, 0xfffe, 4395899027456},
		{4396435898368, 0xffff, 4396972769280},
		{4396972769279, 0xffff, 4396972769280},
		{4396972769280, 0xffff, 4396972769280}, /* the largest: 51 days */
		{4396972769281, 0xffff, 4396972769280},
		{UINT64_MAX, 0xffff, 4396972769280},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		assert_int_equal(load_report_float_encode(vectors[i].value), vectors[i].code);
		assert_int_equal(load_report_float_decode(vectors[i].code), vectors[i].decoded);
	}
}

static void test_float_codes_are_ordered_and_return(void **state)
{
	uint64_t value, previous = 0;
	uint32_t code;

	(void)state;
	for (code = 0; code <= 0xffff; code++) {
		value = load_report_float_decode(code);
		if (code)
			assert_true(value > previous);
		assert_int_equal(load_report_float_encode(value), code);
		previous = value;
	}
}

/* Between any two codes: below the middle the lower one, from the middle on the upper one. */
static void test_float_rounds_to_nearest(void **state)
{
	uint64_t low, high, middle;
	uint32_t code;

	(void)state;
	for (code = 0; code < 0xffff; code++) {
		low = load_report_float_decode(code);
		high = load_report_float_decode(code + 1);
		middle = low + (high - low + 1) / 2;
		assert_int_equal(load_report_float_encode(middle), code + 1);
		assert_int_equal(load_report_float_encode(middle - 1), code);
		assert_true(high - middle <= middle / 4096);
	}
}

static void test_newer_at_the_wrap(void **state)
{
	static const struct {
		uint32_t a, b;
		int newer;
	} pairs[] = {
		{1, 0, 1},
		{0, 1, 0},
		{0, 0, 0},
		{0, 0xffffffff, 1},
		{0xffffffff, 0, 0},
		{0x7fffffff, 0, 1},
		{0x80000000, 0, 0}, /* RFC 1982 leaves these two undefined: here neither is newer */
		{0, 0x80000000, 0},
		{0x80000001, 0, 0},
		{0, 0x80000001, 1},
		{0x80000000, 0x7fffffff, 1},
		{0x7fffffff, 0x80000000, 0},
		{5, 0xfffffffb, 1},
		{0xfffffffb, 5, 0},
		{0xffffffff, 0xffffffff, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		assert_int_equal(load_report_newer(pairs[i].a, pairs[i].b), pairs[i].newer);
}

static uint64_t little_endian(const uint8_t *bytes, size_t length)
{
	uint64_t word = 0;

	while (length--)
		word = word << 8 | bytes[length];
	return word;
}

static uint64_t siphash_of(const uint8_t *bytes, size_t length)
{
	struct siphash s;
	size_t done;

	siphash_start(&s, &counting_key);
	for (done = 0; length - done >= 8; done += 8)
		siphash_word(&s, little_endian(&bytes[done], 8));
	return siphash_finish(&s,
			      (uint64_t)length << 56 | little_endian(&bytes[done], length - done));
}

/*
 * vectors_sip64 of the authors' reference implementation: key 00 .. 0f, inputs of 0 to 63 bytes
 * 00 01 02 ...; the one of 15 bytes is worked through in their paper's appendix A.
 */
static void test_siphash_vectors(void **state)
{
	static const uint64_t expected[64] = {
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
		0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
		0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
		0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
		0x3f2acc7f57c29bdb, 0x699ae9f52cbe4794, 0x4bc1b3f0968dd39c, 0xbb6dc91da77961bd,
		0xbed65cf21aa2ee98, 0xd0f2cbb02e3b67c7, 0x93536795e3a33e88, 0xa80c038ccd5ccec8,
		0xb8ad50c6f649af94, 0xbce192de8a85b8ea, 0x17d835b85bbb15f3, 0x2f2e6163076bcfad,
		0xde4daaaca71dc9a5, 0xa6a2506687956571, 0xad87a3535c49ef28, 0x32d892fad841c342,
		0x7127512f72f27cce, 0xa7f32346f95978e3, 0x12e0b01abb051238, 0x15e034d40fa197ae,
		0x314dffbe0815a3b4, 0x027990f029623981, 0xcadcd4e59ef40c4d, 0x9abfd8766a33735c,
		0x0e3ea96b5304a7d0, 0xad0c42d6fc585992, 0x187306c89bc215a9, 0xd4a60abcf3792b95,
		0xf935451de4f21df2, 0xa9538f0419755787, 0xdb9acddff56ca510, 0xd06c98cd5c0975eb,
		0xe612a3cb9ecba951, 0xc766e62cfcadaf96, 0xee64435a9752fe72, 0xa192d576b245165a,
		0x0a8787bf8ecb74b2, 0x81b3e73d20b49b6f, 0x7fa8220ba3b2ecea, 0x245731c13ca42499,
		0xb78dbfaf3a8d83bd, 0xea1ad565322a1a0b, 0x60e61c23a3795013, 0x6606d7e446282b93,
		0x6ca4ecb15c5f91e1, 0x9f626da15c9625f3, 0xe51b38608ef25f57, 0x958a324ceb064572,
	};
	uint8_t input[64];
	size_t length;

	(void)state;
	for (length = 0; length < 64; length++) {
		input[length] = length;
		assert_true(siphash_of(input, length) == expected[length]);
	}
}

static uint64_t tag_of(const uint8_t *option_bytes, const uint8_t *source,
		       const uint8_t *destination, const uint8_t *key_bytes)
{
	struct load_report_option option = option_from(option_bytes, 24);
	struct load_report_key key = {
		{little_endian(key_bytes, 8), little_endian(&key_bytes[8], 8)},
	};
	uint64_t tag;

	tag = load_report_tag_ipv4(&option, &key, word_from(source), word_from(destination));
	return tag;
}

static void test_tag_as_openssl_has_it(void **state)
{
	uint8_t key[16];
	uint64_t tag;
	int i;

	(void)state;
	for (i = 0; i < 16; i++)
		key[i] = i;
	tag = tag_of(keyed_bytes, source_bytes, destination_bytes, key);
	assert_memory_equal(&tag, &keyed_bytes[24], sizeof(tag));
}

/* 24 bytes of the option, source, destination, key, one after the other. */
static void test_tag_depends_on_every_bit(void **state)
{
	uint8_t all[24 + 4 + 4 + 16] = {0};
	uint64_t tag;
	size_t bit;

	(void)state;
	memcpy(all, keyed_bytes, 24);
	memcpy(&all[24], source_bytes, 4);
	memcpy(&all[28], destination_bytes, 4);
	tag = tag_of(all, &all[24], &all[28], &all[32]);
	for (bit = 0; bit < 8 * sizeof(all); bit++) {
		all[bit / 8] ^= 1 << bit % 8;
		assert_true(tag_of(all, &all[24], &all[28], &all[32]) != tag);
		all[bit / 8] ^= 1 << bit % 8;
	}
	assert_true(tag_of(all, &all[28], &all[24], &all[32]) != tag);
	assert_true(tag_of(all, &all[24], &all[28], &all[32]) == tag);
}

/* What stands in the tag's own field is not hashed: sender and receiver differ there. */
static void test_tag_ignores_its_own_field(void **state)
{
	struct load_report_option option = option_from(keyed_bytes, sizeof(keyed_bytes));
	uint64_t first, second;

	(void)state;
	first = load_report_tag_ipv4(&option, &counting_key, 1, 2);
	option.tag = ~option.tag;
	second = load_report_tag_ipv4(&option, &counting_key, 1, 2);
	assert_true(first == second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_keyed),
		cmocka_unit_test(test_decode_unkeyed),
		cmocka_unit_test(test_encode_keyed),
		cmocka_unit_test(test_encode_unkeyed),
		cmocka_unit_test(test_encode_keeps_version),
		cmocka_unit_test(test_decode_refuses),
		cmocka_unit_test(test_decode_takes_two_lengths),
		cmocka_unit_test(test_float_vectors),
		cmocka_unit_test(test_float_codes_are_ordered_and_return),
		cmocka_unit_test(test_float_rounds_to_nearest),
		cmocka_unit_test(test_newer_at_the_wrap),
		cmocka_unit_test(test_siphash_vectors),
		cmocka_unit_test(test_tag_as_openssl_has_it),
		cmocka_unit_test(test_tag_depends_on_every_bit),
		cmocka_unit_test(test_tag_ignores_its_own_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
