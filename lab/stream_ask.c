/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define EVENTS_MAX 256
#define TICK_NS (10 * NS_PER_MS)
#define BEGIN_PER_TICK 20 /* of those that last, at the start */
/* Every so many ticks a connection sends a piece; in between the others do. */
#define SLOTS 50
#define SLOTS_BULK 5
#define PIECE 300
#define PIECE_BULK 1000
#define RATIO 4
#define RATIO_BULK 16
#define BRIEF_MAX 8192 /* at a time */

static void count_server(struct ask *ask, const struct talk *talk)
{
	for (size_t i = 0; i < STREAM_SERVERS_MAX && talk->name[0]; i++) {
		if (!ask->servers[i].name[0])
			memcpy(ask->servers[i].name, talk->name, STREAM_NAME);
		if (memcmp(ask->servers[i].name, talk->name, STREAM_NAME))
			continue;
		ask->servers[i].live += talk->live;
		ask->servers[i].brief += !talk->live;
		return;
	}
}

void ask_ended(struct ask *ask, struct talk *talk)
{
	count_server(ask, talk);
	if (talk->live)
		return;
	if (talk->previous)
		talk->previous->next = talk->next;
	else
		ask->brief = talk->next;
	if (talk->next)
		talk->next->previous = talk->previous;
	ask->brief_now--;
	free(talk);
}

static void begin_live(struct ask *ask)
{
	uint64_t first = ask->tick * BEGIN_PER_TICK;

	for (uint64_t i = first; i < first + BEGIN_PER_TICK && i < ask->live; i++) {
		struct talk *talk = &ask->talks[i];

		talk->live = true;
		talk->piece = i < ask->bulk ? PIECE_BULK : PIECE;
		talk->hello.ratio = i < ask->bulk ? RATIO_BULK : RATIO;
		ask->unstarted += talk_begin(ask, talk) != 0;
	}
}

static void begin_brief(struct ask *ask)
{
	struct talk *talk = ask->brief_now < BRIEF_MAX ? calloc(1, sizeof(*talk)) : NULL;

	if (!talk || (talk->piece = PIECE, talk->hello.ratio = RATIO, talk_begin(ask, talk))) {
		free(talk);
		ask->unstarted++;
		return;
	}
	talk->next = ask->brief;
	if (ask->brief)
		ask->brief->previous = talk;
	ask->brief = talk;
	ask->brief_now++;
}

static void send_pieces(struct ask *ask)
{
	for (uint64_t i = 0; i < ask->live; i++) {
		uint64_t slots = i < ask->bulk ? SLOTS_BULK : SLOTS;

		if (ask->talks[i].fd >= 0 && ask->tick % slots == i % slots)
			talk_send(ask, &ask->talks[i]);
	}
}

static bool is_silent(const struct ask *ask, const struct talk *talk)
{
	uint64_t owed = STREAM_NAME + talk->hello.ratio * talk->sent;

	return talk->fd >= 0 && (talk->received < owed || talk->ending) &&
	       ask->now - talk->quiet_ns > (uint64_t)ask->patience_ns;
}

static void find_silent(struct ask *ask)
{
	struct talk *next;

	for (uint64_t i = 0; i < ask->live; i++)
		if (is_silent(ask, &ask->talks[i]))
			talk_break(ask, &ask->talks[i], BREAK_SILENT, 0);
	for (struct talk *talk = ask->brief; talk; talk = next) {
		next = talk->next;
		if (is_silent(ask, talk))
			talk_break(ask, talk, BREAK_SILENT, 0);
	}
}

static void do_tick(struct ask *ask)
{
	if (!stream_ended) {
		begin_live(ask);
		for (ask->due += ask->rate * TICK_NS / NS_PER_SECOND; ask->due >= 1; ask->due--)
			begin_brief(ask);
		send_pieces(ask);
	}
	if (ask->tick % (NS_PER_SECOND / TICK_NS) == 0)
		find_silent(ask);
	ask->tick++;
}

static void print(const struct ask *ask, uint64_t seconds_ns)
{
	const char *comma = "";

	printf("{\"seconds\": %.2f, \"live\": %lu, \"new\": %lu, \"broken\": %lu, \"wrong_bytes\": %lu, "
	       "\"unstarted\": %lu, \"late_handshakes\": %lu, \"slowest_handshake_ms\": %.1f, "
	       "\"longest_wait_ms\": %.1f, \"bytes_up\": %lu, \"bytes_down\": %lu, \"breaks\": {",
	       (double)seconds_ns / 1e9, ask->live, ask->begun - ask->live, ask->broken, ask->wrong,
	       ask->unstarted, ask->late, (double)ask->slowest_ns / 1e6,
	       (double)ask->longest_quiet_ns / 1e6, ask->sent, ask->received);
	for (int i = 0; i < BREAK_COUNT; i++, comma = ", ")
		printf("%s\"live %s\": %lu, \"new %s\": %lu", comma, break_names[i],
		       ask->breaks[1][i], break_names[i], ask->breaks[0][i]);
	printf("}, \"servers\": {");
	comma = "";
	for (int i = 0; i < STREAM_SERVERS_MAX && ask->servers[i].name[0]; i++, comma = ", ")
		printf("%s\"%.8s\": {\"live\": %lu, \"new\": %lu}", comma, ask->servers[i].name,
		       ask->servers[i].live, ask->servers[i].brief);
	printf("}}\n");
}

/* Returns how many there were. */
static int handle_events(struct ask *ask, const struct timespec *wait)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_pwait2(ask->epoll, events, EVENTS_MAX, wait, NULL);

	if (count < 0 && errno != EINTR)
		return fail(-errno, "epoll");
	ask->now = clock_ns();
	/* Whoever goes away goes in an event of its own. */
	for (int i = 0; i < count; i++)
		talk_event(ask, events[i].data.ptr, events[i].events);
	return count < 0 ? 0 : count;
}

/*
 * All there are: a program that has been kept from running for a while would else ask for more than it
 * ever hears, and call silent who has long answered.
 */
static int wait_for_events(struct ask *ask, uint64_t until)
{
	struct timespec wait = timespec_of(until > ask->now ? until - ask->now : 0);
	const struct timespec none = {0};
	int count = handle_events(ask, &wait);

	while (count == EVENTS_MAX)
		count = handle_events(ask, &none);
	return count < 0 ? count : 0;
}

/* Every connection is ended as it should be; what is not by then is broken. */
static void end_all(struct ask *ask)
{
	for (uint64_t i = 0; i < ask->live; i++)
		if (ask->talks[i].fd >= 0)
			talk_end(ask, &ask->talks[i]);
}

int stream_ask(struct ask *ask)
{
	uint64_t start = clock_ns(), next = start;
	bool told = false;
	int err = 0;

	ask->random.state = ask->seed;
	ask->talks = calloc(ask->live + 1, sizeof(*ask->talks));
	ask->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!ask->talks || ask->epoll < 0)
		return fail(-ENOMEM, "cannot begin");
	for (uint64_t i = 0; i < ask->live; i++)
		ask->talks[i].fd = -1;
	ask->now = start;
	while (!err && (!stream_ended || ask->open_now)) {
		for (; ask->now >= next; next += TICK_NS)
			do_tick(ask);
		if (stream_ended)
			end_all(ask);
		err = wait_for_events(ask, next);
		if (!told && ask->heard == ask->live) {
			puts("started");
			fflush(stdout);
			told = true;
		}
	}
	if (!err)
		print(ask, ask->now - start);
	free(ask->talks);
	return err;
}
