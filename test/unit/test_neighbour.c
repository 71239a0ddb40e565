/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Here, v0 with 10.9.0.1/24; on the other side, in the namespace "far", 10.9.0.2, 10.9.0.3 and
 * 10.9.0.4 share f0's MAC.
 */
#include "address.h"
#include "neighbour.h"
#include "notice.h"
#include "sandbox.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define FIRST_MAC "02:00:00:00:00:0a"
#define OTHER_MAC "02:00:00:00:00:0b"
#define FAR "ip netns exec far "

struct observer {
	struct neighbours *neighbours;
	struct neighbour last; /* of `address`; zero before the first call */
	struct ip_address address;
	bool found;
	int calls;
	int changes; /* calls after the first that said "resolved" */
	int losses; /* of these, those that said "not resolved" any more */
};

static struct ip_address in(const char *text)
{
	struct ip_address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static void observe(const struct neighbour *neighbour, void *context)
{
	struct observer *observer = context;

	if (!address_equal(neighbour->address, observer->address))
		return;
	observer->calls++;
	if (observer->found)
		observer->changes++;
	if (observer->last.resolved && !neighbour->resolved)
		observer->losses++;
	observer->found = observer->found || neighbour->resolved;
	observer->last = *neighbour;
}

static void observe_begin(struct observer *observer, const char *address)
{
	memset(observer, 0, sizeof(*observer));
	observer->address = in(address);
	assert_int_equal(neighbours_open(observe, observer, &observer->neighbours), 0);
	assert_int_equal(neighbours_watch(observer->neighbours, observer->address, NULL), 0);
}

static void observe_end(struct observer *observer)
{
	neighbours_close(observer->neighbours);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Receives until the observer sees what is wanted, or for a time; refresh_ms 0: no refreshes. */
static bool wait_for(struct observer *observer, bool (*wanted)(const struct observer *),
		     int timeout_ms, int refresh_ms)
{
	struct pollfd poll_fd = {neighbours_fd(observer->neighbours), POLLIN, 0};
	int64_t start = now_ms();
	int64_t refreshed = start;

	while (!wanted(observer)) {
		if (now_ms() - start > timeout_ms)
			return false;
		if (poll(&poll_fd, 1, 10) > 0)
			assert_int_equal(neighbours_receive(observer->neighbours), 0);
		if (refresh_ms && now_ms() - refreshed >= refresh_ms) {
			neighbours_refresh(observer->neighbours);
			refreshed = now_ms();
		}
	}
	return true;
}

static bool resolved(const struct observer *observer)
{
	return observer->last.resolved;
}

static bool lost(const struct observer *observer)
{
	return address_is_set(observer->last.address) && !observer->last.resolved;
}

static bool has_mac(const struct observer *observer, const char *mac)
{
	char text[MAC_TEXT_MAX];

	return observer->last.resolved && !strcmp(mac_format(observer->last.mac, text), mac);
}

static bool has_first_mac(const struct observer *observer)
{
	return has_mac(observer, FIRST_MAC);
}

static bool has_other_mac(const struct observer *observer)
{
	return has_mac(observer, OTHER_MAC);
}

static bool never(const struct observer *observer)
{
	(void)observer;
	return false;
}

/* Of the kernel's entry, as `ip neigh` prints it. */
static bool entry_is(const char *address, const char *state)
{
	return !run("ip neigh show %s | grep -q ' %s'", address, state);
}

/* Time for the kernel is ten times faster here: what is not answered fails after 0.3 s. */
static int set_up(void **state)
{
	(void)state;
	if (sandbox_refused)
		return 0;
	return run("ip netns add far && ip link add v0 type veth peer name f0 netns far &&"
		   "ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up &&"
		   "echo 100 > /proc/sys/net/ipv4/neigh/v0/retrans_time_ms &&"
		   "echo 0 > /proc/sys/net/ipv4/neigh/v0/locktime &&" FAR
		   "ip link set f0 address " FIRST_MAC " up &&"
		   "for i in 2 3 4; do " FAR "ip addr add 10.9.0.$i/24 dev f0; done");
}

static int tear_down(void **state)
{
	(void)state;
	if (sandbox_refused)
		return 0;
	return run("ip link del v0; ip netns del far; ip route flush type blackhole");
}

static void test_link(void **state)
{
	struct link_info link, same;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip link set v0 mtu 1400 address 02:00:00:00:00:01"), 0);
	assert_int_equal(link_get("v0", &link), 0);
	assert_true(link.index > 0);
	assert_int_equal(link.mtu, 1400);
	assert_memory_equal(link.mac, "\x02\0\0\0\0\x01", 6);
	assert_true(link.up);
	assert_int_equal(link_get_by_index(link.index, &same), 0);
	assert_memory_equal(&link, &same, sizeof(link));

	assert_int_equal(run(FAR "ip link set f0 down"), 0);
	assert_int_equal(link_get("v0", &link), 0);
	assert_false(link.up);

	assert_int_equal(link_get("nowhere", &link), -ENODEV);
	assert_int_equal(link_get("", &link), -ENODEV);
	assert_int_equal(link_get("a-name-that-is-too-long", &link), -ENODEV);
	assert_int_equal(link_get_by_index(9999, &link), -ENODEV);
	assert_int_equal(link_get_by_index(0, &link), -ENODEV);
}

static void test_resolve(void **state)
{
	struct observer observer;
	struct link_info link;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(link_get("v0", &link), 0);
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(observer.last.ifindex, link.index);
	assert_true(address_equal(observer.last.next_hop, in("10.9.0.2")));
	observe_end(&observer);
}

/* What the kernel knows is told at once; refreshes tell nothing, as nothing changes. */
static void test_known_already(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip neigh replace 10.9.0.2 dev v0 lladdr " FIRST_MAC " nud stale"), 0);
	observe_begin(&observer, "10.9.0.2");
	assert_true(has_first_mac(&observer));
	assert_false(wait_for(&observer, never, 500, 50));
	assert_int_equal(observer.calls, 1);
	assert_true(entry_is("10.9.0.2", "REACHABLE"));
	observe_end(&observer);
}

static void test_gratuitous_arp(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run(FAR "sysctl -qw net.ipv4.conf.f0.arp_notify=1 && " FAR
				 "ip link set f0 address " OTHER_MAC),
			 0);
	assert_true(wait_for(&observer, has_other_mac, 500, 0));
	assert_int_equal(observer.losses, 0);
	observe_end(&observer);
}

/* Nobody says that the MAC has changed: two refreshes later it is found, without a gap. */
static void test_silent_change(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run(FAR "ip link set f0 address " OTHER_MAC), 0);
	assert_true(wait_for(&observer, has_other_mac, 450, 150));
	assert_int_equal(observer.losses, 0);
	assert_int_equal(observer.changes, 1);
	observe_end(&observer);
}

static void test_backend_gone(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run(FAR "ip link set f0 arp off"), 0);
	assert_true(wait_for(&observer, lost, 1500, 150));
	assert_memory_equal(observer.last.mac, "\0\0\0\0\0\0", 6);
	assert_true(observer.last.ifindex > 0);
	assert_int_equal(run(FAR "ip link set f0 arp on"), 0);
	assert_true(wait_for(&observer, has_first_mac, 1500, 150));
	assert_int_equal(observer.losses, 1);
	observe_end(&observer);
}

/* The administrator's `ip neigh flush` costs nothing. */
static void test_flushed(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run("ip neigh flush dev v0"), 0);
	assert_false(wait_for(&observer, lost, 300, 0));
	assert_true(entry_is("10.9.0.2", "REACHABLE"));
	assert_int_equal(observer.changes, 0);
	observe_end(&observer);
}

/* An entry that was written by hand is believed, and left alone. */
static void test_permanent(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip neigh replace 10.9.0.9 dev v0 lladdr " OTHER_MAC " nud permanent"),
			 0);
	observe_begin(&observer, "10.9.0.9");
	assert_true(has_other_mac(&observer));
	assert_false(wait_for(&observer, lost, 300, 50));
	assert_true(entry_is("10.9.0.9", "PERMANENT"));
	observe_end(&observer);
}

static void test_gateway(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip route add 10.20.0.0/16 via 10.9.0.2"), 0);
	observe_begin(&observer, "10.20.0.7");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_true(address_equal(observer.last.address, in("10.20.0.7")));
	assert_true(address_equal(observer.last.next_hop, in("10.9.0.2")));

	/* Another way, by a route of which this is only a part. */
	assert_int_equal(run("ip route add 10.20.0.0/24 via 10.9.0.3"), 0);
	assert_true(wait_for(&observer, lost, 500, 0) ||
		    address_equal(observer.last.next_hop, in("10.9.0.3")));
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_true(address_equal(observer.last.next_hop, in("10.9.0.3")));
	observe_end(&observer);
}

static void test_several_behind_gateway(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip route add 10.20.0.0/16 via 10.9.0.2"), 0);
	observe_begin(&observer, "10.20.0.7");
	assert_int_equal(neighbours_watch(observer.neighbours, in("10.20.0.8"), NULL), 0);
	observer.address = in("10.20.0.9");
	assert_int_equal(neighbours_watch(observer.neighbours, observer.address, NULL), 0);
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run(FAR "ip link set f0 address " OTHER_MAC), 0);
	assert_true(wait_for(&observer, has_other_mac, 450, 150));
	observe_end(&observer);
}

static void test_no_route(void **state)
{
	static const char *const nowhere[] = {"10.30.0.1", "10.31.0.1", "10.9.0.1", "10.9.0.255"};
	struct observer observer;
	size_t i;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(run("ip route add blackhole 10.31.0.0/16"), 0);
	for (i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
		observe_begin(&observer, nowhere[i]);
		assert_false(wait_for(&observer, resolved, 100, 30));
		assert_int_equal(observer.calls, 0);
		observe_end(&observer);
	}
}

/* A link without Ethernet addresses leads somewhere, but to no MAC. */
static void test_no_ethernet(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	if (run("ip tuntap add dev t0 mode tun 2>/dev/null")) {
		print_message("skipped: this kernel has no tun devices\n");
		skip();
	}
	assert_int_equal(run("ip addr add 10.40.0.1/24 dev t0 && ip link set t0 up"), 0);
	observe_begin(&observer, "10.40.0.2");
	assert_false(wait_for(&observer, resolved, 100, 30));
	assert_true(observer.last.ifindex > 0);
	observe_end(&observer);
	assert_int_equal(run("ip link del t0"), 0);
}

static void test_route_comes(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.30.0.1");
	assert_int_equal(run("ip route add default via 10.9.0.4"), 0);
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run("ip route del default"), 0);
	assert_true(wait_for(&observer, lost, 500, 0));
	assert_int_equal(observer.last.ifindex, 0);
	observe_end(&observer);
}

/* Its routes go without a word about them. */
static void test_interface_down(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run("ip link set v0 down"), 0);
	assert_true(wait_for(&observer, lost, 500, 0));
	assert_int_equal(observer.last.ifindex, 0);
	assert_int_equal(run("ip link set v0 up"), 0);
	assert_true(wait_for(&observer, has_first_mac, 1000, 150));
	assert_int_equal(observer.losses, 1);
	observe_end(&observer);
}

static void test_interface_made_anew(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run("ip link del v0; ip netns del far"), 0);
	assert_true(wait_for(&observer, lost, 500, 0));
	assert_int_equal(set_up(NULL), 0);
	assert_true(wait_for(&observer, has_first_mac, 1000, 150));
	observe_end(&observer);
}

static void test_carrier(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(run(FAR "ip link set f0 down"), 0);
	assert_true(wait_for(&observer, lost, 1000, 150));
	assert_int_equal(run(FAR "ip link set f0 up"), 0);
	assert_true(wait_for(&observer, has_first_mac, 1000, 150));
	observe_end(&observer);
}

/* More notifications than the socket holds; the one that matters is lost among them. */
static void test_overrun(void **state)
{
	struct observer observer;
	int size = 1;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(setsockopt(neighbours_fd(observer.neighbours), SOL_SOCKET, SO_RCVBUF,
				    &size, sizeof(size)),
			 0);
	assert_int_equal(run("for i in $(seq 10 100); do "
			     "echo neigh replace 10.9.0.$i dev v0 lladdr " FIRST_MAC "; "
			     "done | ip -batch -"),
			 0);
	assert_int_equal(run("ip neigh replace 10.9.0.2 dev v0 lladdr " OTHER_MAC), 0);
	assert_int_equal(run("awk '$9 > 0 { lost = 1 } END { exit !lost }' /proc/net/netlink"), 0);
	assert_int_equal(neighbours_receive(observer.neighbours), 0);
	assert_true(has_other_mac(&observer));
	observe_end(&observer);
}

static void test_watch_twice_and_forget(void **state)
{
	struct observer observer;

	(void)state;
	SANDBOX_REQUIRED();
	observe_begin(&observer, "10.9.0.2");
	assert_true(wait_for(&observer, has_first_mac, 500, 0));
	assert_int_equal(neighbours_watch(observer.neighbours, observer.address, NULL), 0);
	assert_int_equal(observer.changes, 1); /* told again, for the second one who asks */
	assert_int_equal(neighbours_watch(observer.neighbours, observer.address, &observer.last),
			 0);
	assert_int_equal(observer.changes, 1); /* but not who knows it */
	neighbours_forget(observer.neighbours, observer.address);
	neighbours_forget(observer.neighbours, observer.address);
	neighbours_forget(observer.neighbours, in("10.9.0.77"));
	assert_int_equal(run("ip neigh replace 10.9.0.2 dev v0 lladdr " OTHER_MAC), 0);
	assert_true(wait_for(&observer, has_other_mac, 500, 0));
	neighbours_forget(observer.neighbours, observer.address);
	assert_int_equal(run("ip neigh replace 10.9.0.2 dev v0 lladdr " FIRST_MAC), 0);
	assert_false(wait_for(&observer, has_first_mac, 100, 50));
	observe_end(&observer);
	neighbours_close(NULL);
}

/* A notification of an IPv6 route of which so many bytes behind the header are there. */
static struct notice route_notice(size_t length, const char *prefix, uint8_t bits)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *message = netlink_begin(buffer, RTM_NEWROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	struct in6_addr destination;
	struct notice notice;

	header->rtm_family = AF_INET6;
	header->rtm_dst_len = bits;
	assert_int_equal(inet_pton(AF_INET6, prefix, &destination), 1);
	mnl_attr_put(message, RTA_DST, sizeof(destination), &destination);
	if (length < mnl_nlmsg_get_payload_len(message))
		message->nlmsg_len = NLMSG_LENGTH(length);
	notice_read(message, &notice);
	return notice;
}

/* What cannot be read may have been about anything. */
static void test_short_notification(void **state)
{
	const size_t header = sizeof(struct rtmsg);
	struct notice notice = route_notice(SIZE_MAX, "2001:db8::", 32);

	(void)state;
	assert_true(notice_doubts_route(&notice, in("2001:db8::1")));
	assert_false(notice_doubts_route(&notice, in("2001:db9::1")));
	assert_false(notice_doubts_route(&notice, in("10.9.0.2")));
	notice = route_notice(header - 1, "2001:db8::", 32);
	assert_true(notice_doubts_route(&notice, in("10.9.0.2")));
	notice = route_notice(header + sizeof(struct nlattr) + 15, "2001:db8::", 32);
	assert_int_equal(notice.kind, NOTICE_ROUTE);
	assert_false(address_is_set(notice.address));
}

static int count_message(const struct nlmsghdr *message, void *context)
{
	(void)message;
	++*(int *)context;
	return MNL_CB_OK;
}

static void test_length_that_lies(void **state)
{
	static const uint32_t lies[] = {0, 15, 64, INT32_MAX, 0x80000000, UINT32_MAX};
	char buffer[32] __attribute__((aligned(8))) = "";
	struct nlmsghdr *message = netlink_begin(buffer, RTM_NEWROUTE, 0);
	int count = 0;
	size_t i;

	(void)state;
	assert_true(netlink_run(buffer, NLMSG_HDRLEN, 0, 0, count_message, &count) >= 0);
	assert_int_equal(count, 1);
	for (i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		message->nlmsg_len = lies[i];
		assert_int_equal(netlink_run(buffer, sizeof(buffer), 0, 0, count_message, &count),
				 MNL_CB_ERROR);
		assert_int_equal(errno, EBADMSG);
	}
	assert_int_equal(count, 1);
}

/* In IPv6's table, ::ffff:10.9.0.0/112 is a prefix of 16 bytes all the same. */
static void test_mapped_prefix(void **state)
{
	struct notice notice = route_notice(SIZE_MAX, "::ffff:10.9.0.0", 112);

	(void)state;
	assert_false(notice_doubts_route(&notice, in("2001:db8::1")));
	assert_false(notice_doubts_route(&notice, in("10.9.0.2")));
	notice = route_notice(SIZE_MAX, "2001:db8::1", 255);
	assert_true(notice_doubts_route(&notice, in("2001:db8::1")));
	assert_false(notice_doubts_route(&notice, in("2001:db8::2")));
}

#define NEIGHBOUR_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		NEIGHBOUR_TEST(test_link),
		NEIGHBOUR_TEST(test_resolve),
		NEIGHBOUR_TEST(test_known_already),
		NEIGHBOUR_TEST(test_gratuitous_arp),
		NEIGHBOUR_TEST(test_silent_change),
		NEIGHBOUR_TEST(test_backend_gone),
		NEIGHBOUR_TEST(test_flushed),
		NEIGHBOUR_TEST(test_permanent),
		NEIGHBOUR_TEST(test_gateway),
		NEIGHBOUR_TEST(test_several_behind_gateway),
		NEIGHBOUR_TEST(test_no_route),
		NEIGHBOUR_TEST(test_no_ethernet),
		NEIGHBOUR_TEST(test_route_comes),
		NEIGHBOUR_TEST(test_interface_down),
		NEIGHBOUR_TEST(test_interface_made_anew),
		NEIGHBOUR_TEST(test_carrier),
		NEIGHBOUR_TEST(test_overrun),
		NEIGHBOUR_TEST(test_watch_twice_and_forget),
		cmocka_unit_test(test_short_notification),
		cmocka_unit_test(test_length_that_lies),
		cmocka_unit_test(test_mapped_prefix),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
