/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/sweep.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "clock.h"
#include "meter_slot.h"
#include "netlink.h"

#define SUSPECT_AGE_TICKS (METER_TICKS(1) / 2)
#define ELSEWHERE_AGE_TICKS METER_TICKS(300)
/* As long as all that wait are owed an answer, and no others have come to be suspects, no more often. */
#define KNOWN_PAUSE_NS 1000000000ULL
/* Pauses are longer by so much than asking took. */
#define PAUSE_FACTOR 100
/* The kernel's times of a socket come in ticks of up to 10 ms. */
#define TIME_SLACK_MS 20

#define STATE(name) (1U << (name))
/* linux/tcp_states.h is not in the UAPI. */
enum { SOCKET_ESTABLISHED = 1, SOCKET_SYN_RECEIVED = 3, SOCKET_CLOSE_WAIT = 8 };

int sweep_open(struct sweep *sweep, struct bucket *meter, uint32_t buckets, struct metrics *metrics)
{
	memset(sweep, 0, sizeof(*sweep));
	sweep->meter = meter;
	sweep->buckets = buckets;
	sweep->metrics = metrics;
	sweep->sockets = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!sweep->sockets || mnl_socket_bind(sweep->sockets, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	return 0;
}

void sweep_close(struct sweep *sweep)
{
	if (sweep->sockets)
		mnl_socket_close(sweep->sockets);
	free(sweep->suspects);
	memset(sweep, 0, sizeof(*sweep));
}

static int suspect_add(struct sweep *sweep, uint32_t bucket, __u64 *slot, uint64_t value)
{
	struct suspect *suspects = sweep->suspects;

	if (sweep->count == sweep->room) {
		sweep->room = sweep->room ? 2 * sweep->room : 64;
		suspects = reallocarray(suspects, sweep->room, sizeof(*suspects));
		if (!suspects) {
			sweep->room = sweep->count;
			return -ENOMEM;
		}
		sweep->suspects = suspects;
	}
	suspects[sweep->count++] = (struct suspect){.slot = slot, .value = value, .bucket = bucket};
	return 0;
}

static bool is_suspect(uint64_t value, uint64_t now)
{
	uint64_t age = meter_age(value, now);

	return (meter_state(value) == METER_WAITING && age > SUSPECT_AGE_TICKS) ||
	       (meter_state(value) == METER_ELSEWHERE && age > ELSEWHERE_AGE_TICKS);
}

/* Most are: to look at all of them at once is what makes a large table quick to go through. */
static bool is_empty(const struct bucket *bucket)
{
	uint64_t any = 0;

	for (int i = 0; i < BUCKET_SLOTS; i++)
		any |= bucket->slot[i];
	return !any;
}

/* Was it none yet when the sockets were last asked? */
static bool is_new(const struct sweep *sweep, uint64_t value, uint64_t now)
{
	return meter_age(value, now) <=
	       SUSPECT_AGE_TICKS + ((now - sweep->asked_ns) >> LATENCY_TICK_SHIFT);
}

static bool is_behind(const struct sweep *sweep, uint32_t bucket)
{
	return bucket >= meter_front(sweep->buckets);
}

/* Unless the slot has changed in the meantime. */
static bool clear(struct sweep *sweep, uint32_t bucket, __u64 *slot, uint64_t value)
{
	if (!__sync_bool_compare_and_swap(slot, value, 0))
		return false;
	if (is_behind(sweep, bucket))
		__sync_fetch_and_sub(&sweep->metrics->spilled, 1);
	return true;
}

static int look_at(struct sweep *sweep, uint32_t bucket, uint64_t now)
{
	for (int i = 0; i < BUCKET_SLOTS; i++) {
		__u64 *slot = &sweep->meter[bucket].slot[i];
		uint64_t value = __atomic_load_n(slot, __ATOMIC_RELAXED);

		if (is_suspect(value, now)) {
			if (suspect_add(sweep, bucket, slot, value))
				return -ENOMEM;
			sweep->has_new |= is_new(sweep, value, now);
		}
		/* In the front whoever needs room takes it; behind, it is to be empty again. */
		if (is_behind(sweep, bucket) && meter_is_stale(value, now))
			clear(sweep, bucket, slot, value);
	}
	return 0;
}

static int find_suspects(struct sweep *sweep, uint64_t now)
{
	uint32_t end = sweep->metrics->spilled ? sweep->buckets : meter_front(sweep->buckets);
	int err = 0;

	sweep->count = 0;
	sweep->has_new = false;
	for (uint32_t i = 0; !err && i < end; i++)
		if (!is_empty(&sweep->meter[i]))
			err = look_at(sweep, i, now);
	return err;
}

/* Is the connection's last word the client's? */
static bool socket_owes(const struct tcp_info *info)
{
	return info->tcpi_last_data_recv <= info->tcpi_last_data_sent + TIME_SLACK_MS;
}

/* A socket for both families has an address of IPv4 as we have it. */
static struct ip_address address_of(const struct inet_diag_msg *socket, const __be32 *address)
{
	return address_of_bytes(address, socket->idiag_family == AF_INET ? 4 : 16);
}

static void mark_in(struct sweep *sweep, uint32_t bucket, uint64_t hash)
{
	size_t low = 0, high = sweep->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (sweep->suspects[middle].bucket < bucket)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < sweep->count && sweep->suspects[low].bucket == bucket; low++)
		if (meter_same(sweep->suspects[low].value, hash))
			sweep->suspects[low].is_owed = true;
}

static void mark_owed(struct sweep *sweep, const struct inet_diag_msg *socket)
{
	struct ip_address client = address_of(socket, socket->id.idiag_dst);
	struct ip_address own = address_of(socket, socket->id.idiag_src);
	uint64_t hash = meter_hash(&client, socket->id.idiag_dport, &own, socket->id.idiag_sport);

	mark_in(sweep, meter_bucket(hash, sweep->buckets), hash);
	mark_in(sweep, meter_bucket_behind(hash, sweep->buckets), hash);
}

static int socket_seen(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *socket = netlink_header(message, sizeof(*socket));
	const struct nlattr *attribute;

	if (!socket)
		return MNL_CB_OK;
	netlink_for_each (attribute, message, sizeof(*socket)) {
		struct tcp_info info = {0};
		size_t length = mnl_attr_get_payload_len(attribute);

		if (mnl_attr_get_type(attribute) != INET_DIAG_INFO)
			continue;
		memcpy(&info, mnl_attr_get_payload(attribute),
		       length < sizeof(info) ? length : sizeof(info));
		if (socket_owes(&info))
			mark_owed(context, socket);
	}
	return MNL_CB_OK;
}

/* The older of two ways to ask, since it takes those of both families from one walk through all there are. */
static int ask_sockets(struct sweep *sweep)
{
	char buffer[NETLINK_REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *request = netlink_begin(buffer, TCPDIAG_GETSOCK, NLM_F_DUMP);
	struct inet_diag_req *which = mnl_nlmsg_put_extra_header(request, sizeof(*which));

	which->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	which->idiag_states =
		STATE(SOCKET_ESTABLISHED) | STATE(SOCKET_SYN_RECEIVED) | STATE(SOCKET_CLOSE_WAIT);
	return netlink_ask(sweep->sockets, request, socket_seen, sweep);
}

static void drop_suspects(struct sweep *sweep)
{
	for (size_t i = 0; i < sweep->count; i++) {
		struct suspect *suspect = &sweep->suspects[i];

		if (suspect->is_owed ||
		    !clear(sweep, suspect->bucket, suspect->slot, suspect->value))
			continue;
		__sync_fetch_and_sub(&sweep->metrics->in_flight, 1);
		__sync_fetch_and_add(&sweep->metrics->swept, 1);
	}
}

static int sweep_now(struct sweep *sweep, uint64_t now)
{
	int err = find_suspects(sweep, now);

	if (err || !sweep->count)
		return err;
	if (!sweep->has_new && now < sweep->asked_ns + KNOWN_PAUSE_NS)
		return 0;
	sweep->asked_ns = now;
	err = ask_sockets(sweep);
	/* A half told list would make orphans of the rest. */
	if (!err)
		drop_suspects(sweep);
	return err;
}

int sweep_run(struct sweep *sweep)
{
	uint64_t now = now_ns(), start;
	int err;

	if (now < sweep->not_before_ns ||
	    (sweep->metrics->in_flight <= 0 && !sweep->metrics->spilled))
		return 0;
	start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	err = sweep_now(sweep, now);
	/* Asking, too, is done in our time: the kernel fills its answer as we read. */
	sweep->not_before_ns = now + PAUSE_FACTOR * (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start);
	return err == -EINTR ? 0 : err;
}
