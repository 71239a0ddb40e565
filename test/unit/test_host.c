/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "address.h"
#include "host.h"
#include "sandbox.h"

#define JOURNAL "/run/journal"

static struct ip_address vip;

/* An interface with a dot in its name, as VLANs have, and another that comes and goes. */
static int set_up(void **state)
{
	(void)state;
	if (sandbox_refused)
		return 0;
	address_parse("10.1.0.100", &vip);
	return run("ip link add eth0.5 type veth peer name other; "
		   "for i in eth0.5 other all; do for k in arp_ignore arp_announce rp_filter; do "
		   "echo 0 > /proc/sys/net/ipv4/conf/$i/$k; done; done");
}

static int tear_down(void **state)
{
	(void)state;
	if (sandbox_refused)
		return 0;
	(void)run("ip link del eth0.5 2>/dev/null; ip addr flush dev lo; rm -f %s", JOURNAL);
	return 0;
}

static struct host *open_host(void)
{
	struct host *host;

	assert_int_equal(host_open(JOURNAL, &host), 0);
	return host;
}

static void restore_and_close(struct host *host)
{
	assert_int_equal(host_restore(host), 0);
	host_close(host);
	assert_int_equal(access(JOURNAL, F_OK), -1);
}

static void assert_journal(const char *expected)
{
	char text[1024] = "";
	FILE *file = fopen(JOURNAL, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(text, expected);
}

static void write_journal(const char *text)
{
	FILE *file = fopen(JOURNAL, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static bool has_address(const char *interface, const char *address)
{
	return !run("ip -o addr show dev %s | grep -q 'inet6\\? %s '", interface, address);
}

static void test_sysctl(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_ignore", 1), 0);
	assert_int_equal(host_set_sysctl(host, "all", "arp_announce", 2), 0);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 1);
	assert_int_equal(host_get_sysctl("all", "arp_announce"), 2);
	assert_journal("sysctl eth0.5 arp_ignore 0 1\nsysctl all arp_announce 0 2\n");
	restore_and_close(host);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 0);
	assert_int_equal(host_get_sysctl("all", "arp_announce"), 0);
}

static void test_sysctl_as_it_was(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_ignore", 0), 0);
	assert_journal("");
	restore_and_close(host);
}

static void test_sysctl_refused(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "../eth0.5", "eth0 5", "sixteenletterslo", "a\n", NULL};
	struct host *host;
	int i;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	for (i = 0; bad[i]; i++) {
		assert_int_equal(host_set_sysctl(host, bad[i], "arp_ignore", 1), -EINVAL);
		assert_int_equal(host_get_sysctl(bad[i], "arp_ignore"), -EINVAL);
	}
	assert_int_equal(host_set_sysctl(host, "eth0.5", "../all/arp_ignore", 1), -EINVAL);
	assert_int_equal(host_set_sysctl(host, "nowhere", "arp_ignore", 1), -ENOENT);
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_nothing", 1), -ENOENT);
	assert_journal("");
	restore_and_close(host);
}

/* What cannot be set is not in the journal either. */
static void test_sysctl_read_only(void **state)
{
	struct host *host;
	int rc;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "all", "arp_ignore", 1), 0);
	assert_int_equal(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, "/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	rc = host_set_sysctl(host, "eth0.5", "arp_ignore", 1);
	assert_int_equal(umount("/proc/sys"), 0);
	assert_int_equal(rc, -EROFS);
	assert_journal("sysctl all arp_ignore 0 1\n");
	restore_and_close(host);
}

/* Killed, and started again with another value: what was there at first comes back. */
static void test_predecessor(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_announce", 1), 0);
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	host_close(host);

	host = open_host();
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_announce", 1), 0);
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	assert_journal("sysctl eth0.5 arp_announce 0 1\naddress lo 10.1.0.100\n");
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_announce", 2), 0);
	host_close(host);

	host = open_host();
	restore_and_close(host);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_announce"), 0);
	assert_false(has_address("lo", "10.1.0.100/32"));
}

/* Killed between the journal and the change. */
static void test_predecessor_between(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	write_journal("sysctl eth0.5 arp_ignore 0 1\naddress lo 10.1.0.100\n");
	restore_and_close(open_host());
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 0);

	write_journal("sysctl eth0.5 arp_ignore 0 1\naddress lo 10.1.0.100\n");
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_ignore", 1), 0);
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	assert_journal("sysctl eth0.5 arp_ignore 0 1\naddress lo 10.1.0.100\n");
	assert_true(has_address("lo", "10.1.0.100/32"));
	restore_and_close(host);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 0);
	assert_false(has_address("lo", "10.1.0.100/32"));
}

static void test_changed_by_another(void **state)
{
	struct host *host;
	char told[512];

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "eth0.5", "rp_filter", 2), 0);
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_ignore", 1), 0);
	assert_int_equal(run("echo 1 > /proc/sys/net/ipv4/conf/eth0.5/rp_filter"), 0);
	capture_begin();
	restore_and_close(host);
	capture_end(told, sizeof(told));
	assert_non_null(strstr(told, "net.ipv4.conf.eth0.5.rp_filter is 1 now and stays"));
	assert_int_equal(host_get_sysctl("eth0.5", "rp_filter"), 1);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 0);
}

static void test_interface_gone(void **state)
{
	struct host *host;
	char told[512];

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_set_sysctl(host, "all", "arp_ignore", 1), 0);
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_ignore", 1), 0);
	assert_int_equal(host_add_address(host, "eth0.5", vip), 0);
	assert_int_equal(run("ip link del eth0.5"), 0);
	capture_begin();
	restore_and_close(host);
	capture_end(told, sizeof(told));
	assert_string_equal(told, "");
	assert_int_equal(host_get_sysctl("all", "arp_ignore"), 0);
}

static void test_damaged_journal(void **state)
{
	struct host *host;
	char told[1024];

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("echo 1 > /proc/sys/net/ipv4/conf/eth0.5/arp_ignore"), 0);
	write_journal("sysctl eth0.5 arp_ignore 0 1\n"
		      "sysctl eth0.5 arp_ignore 0\n"
		      "\n"
		      "address lo 10.1.0.100.1\n"
		      "sysctl eth0.5 arp_ignore 0 1 2\n"
		      "sysctl eth0.5 arp_filt");
	capture_begin();
	host = open_host();
	capture_end(told, sizeof(told));
	assert_null(strstr(told, JOURNAL ":1:"));
	assert_non_null(strstr(told, JOURNAL ":2: \"sysctl eth0.5 arp_ignore 0\" is damaged"));
	assert_non_null(strstr(told, JOURNAL ":3: "));
	assert_non_null(strstr(told, JOURNAL ":4: \"address lo 10.1.0.100.1\""));
	assert_non_null(strstr(told, JOURNAL ":5: "));
	assert_non_null(strstr(told, JOURNAL ":6: "));
	/* What follows the torn line is on its own one. */
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_announce", 2), 0);
	host_close(host);
	capture_begin();
	host = open_host();
	capture_end(told, sizeof(told));
	assert_null(strstr(told, "arp_announce"));
	restore_and_close(host);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 0);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_announce"), 0);
}

static void test_journal_unusable(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(host_open("/run/nowhere/journal", &host), -ENOENT);
	assert_int_equal(host_open("/run", &host), -EISDIR);
	host_close(NULL);
}

/* A full disk: the change is not made. */
static void test_journal_full(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(mount("tmpfs", "/mnt", "tmpfs", 0, "size=4k"), 0);
	assert_int_equal(run("echo full > /mnt/file"), 0);
	assert_int_equal(host_open("/mnt/journal", &host), 0);
	assert_int_equal(host_set_sysctl(host, "eth0.5", "arp_ignore", 1), -ENOSPC);
	assert_int_equal(host_get_sysctl("eth0.5", "arp_ignore"), 0);
	assert_int_equal(host_add_address(host, "lo", vip), -ENOSPC);
	assert_false(has_address("lo", "10.1.0.100/32"));
	host_close(host);
	assert_int_equal(umount("/mnt"), 0);
}

static void test_address(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	assert_true(has_address("lo", "10.1.0.100/32"));
	assert_journal("address lo 10.1.0.100\n");
	restore_and_close(host);
	assert_false(has_address("lo", "10.1.0.100/32"));
}

static struct ip_address in(const char *text)
{
	struct ip_address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

/* Of many, those that the host has are left alone; in IPv6 those that this very interface has. */
static void test_addresses(void **state)
{
	struct ip_address many[] = {in("10.1.0.100"), in("10.1.0.101"), in("10.1.0.102"),
				    in("2001:db8::64"), in("2001:db8::65")};
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip addr add 10.1.0.101/24 dev other"), 0);
	assert_int_equal(run("ip addr add 2001:db8::64/64 dev other nodad"), 0);
	assert_int_equal(run("ip addr add 2001:db8::65/128 dev lo"), 0);
	host = open_host();
	assert_int_equal(host_add_addresses(host, "lo", many, 0), 0);
	assert_journal("");
	assert_int_equal(host_add_addresses(host, "lo", many, sizeof(many) / sizeof(*many)), 0);
	assert_journal("address lo 10.1.0.100\naddress lo 10.1.0.102\naddress lo 2001:db8::64\n");
	assert_true(has_address("lo", "10.1.0.102/32"));
	assert_true(has_address("lo", "2001:db8::64/128"));
	assert_false(has_address("lo", "10.1.0.101/32"));
	restore_and_close(host);
	assert_false(has_address("lo", "10.1.0.100/32"));
	assert_true(has_address("other", "10.1.0.101/24"));
}

/* Also on another interface, also with another prefix. */
static void test_address_of_another(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip addr add 10.1.0.100/24 dev other"), 0);
	host = open_host();
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	assert_journal("");
	assert_false(has_address("lo", "10.1.0.100/32"));
	restore_and_close(host);
	assert_true(has_address("other", "10.1.0.100/24"));
}

static void test_address_refused(void **state)
{
	struct host *host;

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_add_address(host, "nowhere", vip), -ENODEV);
	assert_int_equal(host_add_address(host, "no/where", vip), -ENODEV);
	assert_journal("");
	restore_and_close(host);
}

static void test_address_removed_by_another(void **state)
{
	struct host *host;
	char told[512];

	(void)state;
	SANDBOX_REQUIRED();
	host = open_host();
	assert_int_equal(host_add_address(host, "lo", vip), 0);
	assert_int_equal(run("ip addr del 10.1.0.100/32 dev lo"), 0);
	capture_begin();
	restore_and_close(host);
	capture_end(told, sizeof(told));
	assert_string_equal(told, "");
}

#define HOST_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		HOST_TEST(test_sysctl),
		HOST_TEST(test_sysctl_as_it_was),
		HOST_TEST(test_sysctl_refused),
		HOST_TEST(test_sysctl_read_only),
		HOST_TEST(test_predecessor),
		HOST_TEST(test_predecessor_between),
		HOST_TEST(test_changed_by_another),
		HOST_TEST(test_interface_gone),
		HOST_TEST(test_damaged_journal),
		HOST_TEST(test_journal_unusable),
		HOST_TEST(test_journal_full),
		HOST_TEST(test_address),
		HOST_TEST(test_addresses),
		HOST_TEST(test_address_of_another),
		HOST_TEST(test_address_refused),
		HOST_TEST(test_address_removed_by_another),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
